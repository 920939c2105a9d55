"""The blob store: one suite for the folder and for S3."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from cluster.errors import BlobError
from cluster.store import s3_blob_store
from cluster.store.blob_store import CHUNK_BYTES, BlobStore
from cluster.store.blob_url import open_blob_store
from cluster.store.blob_writer import Written
from cluster.store.folder_blob_store import FolderBlobStore
from tests.s3 import bucket

KEY = "b9a7c7263c0332d12e52f09809754586/1/digits.txt"


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobStore]:
    if request.param == "folder":
        yield open_blob_store(tmp_path.as_uri())
        return
    with bucket(monkeypatch) as url:
        yield open_blob_store(url)


def test_a_blob_that_is_written_piece_by_piece_is_hashed_on_the_way(blobs: BlobStore) -> None:
    data = bytes(range(256)) * 10_000
    with blobs.open_write(KEY) as file:
        for start in range(0, len(data), 70_001):
            file.write(data[start : start + 70_001])
        assert file.tell() == len(data)
        with pytest.raises(BlobError):
            blobs.read_sync(KEY, 0, 1)
    assert (file.written.size_bytes, file.written.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert b"".join(blobs.read_chunks(KEY)) == data
    assert b"".join(blobs.read_chunks(KEY, len(data) - 5)) == data[-5:]
    assert max(map(len, blobs.read_chunks(KEY))) <= CHUNK_BYTES


@pytest.mark.parametrize("size", [0, 10, 20, 55])
def test_a_large_object_is_written_in_parts(
    blobs: BlobStore, size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(s3_blob_store, "PART_BYTES", 10)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    monkeypatch.setattr(s3_blob_store, "PARTS_OF_A_SIZE", 2)
    data = bytes(range(size))
    written = blobs.write_from(KEY, (data[start : start + 7] for start in range(0, size, 7)))
    assert written == blobs.read_to(KEY, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


def test_a_write_that_is_given_up_leaves_no_blob_and_the_old_one(blobs: BlobStore, tmp_path: Path) -> None:
    blobs.write(KEY, b"old")

    def pieces() -> Iterator[bytes]:
        yield b"new" * 5_000_000
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        blobs.write_from(KEY, pieces())
    assert b"".join(blobs.read_chunks(KEY)) == b"old"
    if isinstance(blobs, FolderBlobStore):
        assert len(list((blobs.folder / KEY).parent.iterdir())) == 1


def test_a_library_writes_to_it_as_to_any_binary_file(blobs: BlobStore) -> None:
    with blobs.open_write(KEY) as file, io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8") as text:
        text.write("a,b\n1,2\n")
    assert b"".join(blobs.read_chunks(KEY)) == b"a,b\n1,2\n"


def test_a_linked_blob_outlives_the_first_one(blobs: BlobStore) -> None:
    blobs.write(KEY, b"shared")
    blobs.link(KEY, "uploads/abc/data")
    blobs.delete(KEY.split("/")[0])
    assert b"".join(blobs.read_chunks("uploads/abc/data")) == b"shared"
    assert blobs.delete_many(["uploads/abc"], before=None).deleted == ["uploads/abc"]
    with pytest.raises(BlobError):
        blobs.read_sync("uploads/abc/data", 0, 1)


def test_a_client_writes_to_s3_itself_if_the_hash_is_right(blobs: BlobStore) -> None:
    content = Written(7, hashlib.sha256(b"content").hexdigest())
    assert not blobs.has_uploaded("uploads/a/data", content)
    target = blobs.offer_upload("uploads/a/data", content, "text/plain", 60)
    if isinstance(blobs, FolderBlobStore):
        assert target is None
        return
    assert target is not None
    # Only with these headers is the signature valid, so that S3 refuses other bytes.
    assert "x-amz-checksum-sha256" in target.url
    assert httpx.put(target.url, content=b"content", headers=target.headers).status_code == 200
    assert blobs.has_uploaded("uploads/a/data", content)
    assert not blobs.has_uploaded("uploads/a/data", Written(7, "0" * 64))


def test_anyone_with_a_signed_url_of_s3_downloads_one_blob_as_the_api_would_send_it(blobs: BlobStore) -> None:
    blobs.write(KEY, b"<script>")
    url = blobs.offer_download(KEY, "text/html", 'attachment; filename="page.html"', 60.4)
    if isinstance(blobs, FolderBlobStore):
        assert url is None
        return
    assert url is not None
    answer = httpx.get(url)
    assert (answer.status_code, answer.content) == (200, b"<script>")
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-disposition"] == 'attachment; filename="page.html"'
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["60"]


def test_a_blob_that_does_not_exist_is_not_a_fault_of_the_store(blobs: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(BlobError) as linked:
        blobs.link(KEY, "uploads/abc/data")
    with pytest.raises(BlobError) as read:
        blobs.read_to(KEY, tmp_path / "copy")
    assert not linked.value.temporary
    assert not read.value.temporary


async def test_parts_are_read_as_they_were_written(blobs: BlobStore) -> None:
    data = bytes(range(256)) * 20_000
    blobs.write(KEY, data)
    assert await blobs.read(KEY, 0, 10) == data[:10]
    assert await blobs.read(KEY, len(data) - 7, 7) == data[-7:]
    assert await blobs.read(KEY, 5, 0) == b""
    assert b"".join([part async for part in blobs.stream(KEY, len(data))]) == data


async def test_a_missing_blob_is_an_error_of_its_own(blobs: BlobStore) -> None:
    with pytest.raises(BlobError, match="cannot read"):
        await blobs.read(KEY, 0, 10)


async def test_deleting_a_task_deletes_its_blobs_and_no_others(blobs: BlobStore) -> None:
    other = KEY.replace("b9a7", "c9a7")
    blobs.write(KEY, b"1")
    blobs.write(other, b"2")
    blobs.delete(KEY.split("/")[0])
    blobs.delete(KEY.split("/")[0])
    with pytest.raises(BlobError):
        await blobs.read(KEY, 0, 1)
    assert await blobs.read(other, 0, 1) == b"2"


def test_a_key_cannot_leave_the_folder(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path / "blobs")
    (tmp_path / "secret").write_text("x")
    for key in ("../secret", "a/../../secret", "/etc/passwd"):
        with pytest.raises(BlobError):
            store.read_sync(key, 0, 1)


def test_a_half_written_file_is_never_seen(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    store.write(KEY, b"first")
    store.write(KEY, b"second")
    assert sorted(path.name for path in (tmp_path / KEY).parent.iterdir()) == ["digits.txt"]
    assert store.read_sync(KEY, 0, 100) == b"second"


async def test_a_part_beyond_the_end_is_cut_off_at_the_end(blobs: BlobStore) -> None:
    blobs.write(KEY, b"0123456789")
    assert await blobs.read(KEY, 8, 100) == b"89"


async def test_an_empty_blob_is_a_blob(blobs: BlobStore) -> None:
    blobs.write(KEY, b"")
    assert [part async for part in blobs.stream(KEY, 0)] == []


async def test_deleting_a_task_spares_one_whose_id_has_the_same_prefix(blobs: BlobStore) -> None:
    blobs.write("abc/1/x", b"1")
    blobs.write("abcd/1/x", b"2")
    blobs.delete("abc")
    assert await blobs.read("abcd/1/x", 0, 1) == b"2"


def test_a_folder_that_cannot_be_written_is_a_blob_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BlobError, match="cannot write"):
        FolderBlobStore(tmp_path / "file").write(KEY, b"x")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / KEY).mkdir(parents=True)
    with pytest.raises(BlobError, match="cannot write"):
        FolderBlobStore(tmp_path).write(KEY, b"x")
    assert [path.name for path in (tmp_path / KEY).parent.iterdir()] == ["digits.txt"]


def test_deleting_no_task_deletes_nothing(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    store.write(KEY, b"x")
    with pytest.raises(BlobError):
        store.delete("")
    assert store.read_sync(KEY, 0, 1) == b"x"
