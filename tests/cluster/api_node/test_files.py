"""Files on an api node: what becomes of an offer, of a blob of a task, and of a file that nobody needs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api_node.admission_control import Admission
from cluster.api_node.file_deletion import delete_files
from cluster.api_node.files import Announced, Files, Owner
from cluster.api_node.policy_cache import PolicyCache
from cluster.data.manifest import MAGIC
from cluster.errors import FileNotFound, FileTooLarge
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.blob_store import UploadTarget
from cluster.store.blob_writer import Written
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.keys import SHARDS
from cluster.task_types.registry import load_registry

CONTENT = b"content"
SHA = hashlib.sha256(CONTENT).hexdigest()
OWNER = Owner("acme", "acme")


class Blobs(FolderBlobStore):
    """Takes uploads of clients, as S3 does."""

    def offer_upload(self, key: str, content: Written, media_type: str, seconds: float) -> UploadTarget | None:
        return UploadTarget(key, {})

    def has_uploaded(self, key: str, content: Written) -> bool:
        return self._path(key).exists()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def files(settings: Settings, store: Store, blobs: Blobs) -> Files:
    return made(settings, store, blobs)


def made(settings: Settings, store: Store, blobs: Blobs) -> Files:
    return Files(settings, store, blobs, Admission(settings, store, PolicyCache(store)))


async def pieces() -> AsyncIterator[bytes]:
    yield CONTENT


async def test_what_a_client_sent_to_the_blob_store_is_a_file_when_it_is_used(files: Files, blobs: Blobs) -> None:
    announced = Announced(len(CONTENT), SHA, "text/plain", "a.txt")
    target = await files.offer(OWNER, announced)
    again = await files.offer(OWNER, announced)
    assert target is not None
    assert again == target
    bound = load_registry(["tests.task_modules.files"])["digest_file"].bind({"file": f"sha256:{SHA}"})
    with pytest.raises(FileNotFound):
        await files.use([bound], OWNER)
    blobs.write(target.url, CONTENT)
    await files.use([bound], OWNER)
    found = await files.find(OWNER, SHA)
    assert found is not None
    assert (found.key, found.size_bytes, found.name) == (target.url, len(CONTENT), "a.txt")
    with pytest.raises(FileNotFound):
        await files.use([bound], Owner("other", "other"))


async def test_the_list_of_a_tables_files_is_no_file_if_a_client_sent_it_to_the_blob_store(
    files: Files, blobs: Blobs
) -> None:
    listed = MAGIC + b',"files":[]}'
    sha256 = hashlib.sha256(listed).hexdigest()
    target = await files.offer(OWNER, Announced(len(listed), sha256))
    assert target is not None
    blobs.write(target.url, listed)
    assert await files.find(OWNER, sha256) is None


async def test_a_blob_that_is_passed_on_outlives_its_task(files: Files, blobs: Blobs, store: Store) -> None:
    task_id = "b" * 32
    await store.run(store.calls.submit(task_id, "t", "1", b"{}", tenant="acme"))
    blobs.write(f"{task_id}/1/a.txt", CONTENT)
    await store.run(store.calls.borrow_file("acme", SHA, f"{task_id}/1/a.txt", task_id, 7, "text/plain", "a.txt"))
    bound = load_registry(["tests.task_modules.files"])["digest_file"].bind({"file": f"sha256:{SHA}"})
    await files.use([bound], OWNER)
    blobs.delete(task_id)
    found = await files.find(OWNER, SHA)
    assert found is not None
    assert blobs.read_sync(found.key, 0, 100) == CONTENT


async def test_a_blob_that_is_gone_is_no_file(files: Files, store: Store) -> None:
    await store.run(store.calls.borrow_file("acme", SHA, f"{'b' * 32}/1/a.txt", "b" * 32, 7, "text/plain", "a.txt"))
    assert await files.find(OWNER, SHA) is None
    bound = load_registry(["tests.task_modules.files"])["digest_file"].bind({"file": f"sha256:{SHA}"})
    with pytest.raises(FileNotFound, match="nothing was submitted"):
        await files.use([bound], OWNER)


async def test_a_file_is_deleted_after_its_time_unless_a_record_needs_it(
    settings: Settings, store: Store, blobs: Blobs
) -> None:
    calls = store.calls
    calls._file_ttl = 0
    files = made(settings, store, blobs)
    await files.upload(pieces(), OWNER, Announced())
    task_id = "b" * 32
    await store.run(calls.submit(task_id, "t", "1", b"{}", tenant="acme"))
    await store.run(calls.use_file("acme", SHA, task_id))
    await delete_files(store, blobs, SHA[0], lambda: True)
    assert len(list(blobs.folder.glob("uploads/*/data"))) == 1
    await store.command("DEL", calls.record_key(task_id))
    key = calls.shard_prefix(SHA[0])
    await store.command("ZADD", f"{key}:file_users:acme:{SHA}", 1, task_id)
    await store.command("ZADD", f"{key}:files", 1, f"acme:{SHA}")
    await delete_files(store, blobs, SHA[0], lambda: True)
    assert list(blobs.folder.glob("uploads/*")) == []
    keys = [await store.command("KEYS", f"{calls.shard_prefix(digit)}:file*") for digit in SHARDS]
    assert not any(keys)


async def test_a_file_beyond_the_limit_is_refused_before_it_is_sent(
    settings: Settings, store: Store, blobs: Blobs
) -> None:
    small = made(replace(settings, file_limit_bytes=1_000), store, blobs)
    with pytest.raises(FileTooLarge):
        await small.offer(OWNER, Announced(1_001, SHA))
    with pytest.raises(FileTooLarge):
        await small.upload(pieces(), OWNER, Announced(1_001))
