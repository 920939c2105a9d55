"""Files on a worker: fetched once per machine, checked, kept while they are used, and known to the function."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from cluster.errors import BlobError
from cluster.settings import Settings
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.record import TaskState
from cluster.store.thread_store import ThreadStore
from cluster.task_types.file import FileContent
from cluster.task_types.registry import load_registry
from cluster.task_types.task_type import Bound
from cluster.worker.executor import Executor
from cluster.worker.file_cache import FileCache
from dask_graphql import File
from dask_graphql.testing import run_task
from tests.task_modules.files import digest_file


class Blobs(FolderBlobStore):
    """Counts what is read of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reads = 0

    def read_chunks(self, key: str, offset: int = 0) -> Iterator[bytes]:
        self.reads += 1
        return super().read_chunks(key, offset)

    def add(self, content: bytes) -> tuple[str, FileContent]:
        sha256 = hashlib.sha256(content).hexdigest()
        key = f"uploads/{sha256}/data"
        self.write(key, content)
        return sha256, FileContent(key, len(content), "text/plain", "a.txt")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def cached(folder: Path) -> int:
    return len([path for path in folder.iterdir() if len(path.name) == 64])


def test_a_file_is_fetched_once_however_many_ask_for_it(blobs: Blobs, tmp_path: Path) -> None:
    sha256, content = blobs.add(b"x" * 3_000_000)
    caches = [FileCache(tmp_path / "cache", 10_000_000, blobs) for _ in range(2)]  # as of two processes
    found = []

    def fetch(cache: FileCache) -> None:
        found.append(cache.fetch(sha256, content).path.read_bytes())

    threads = [Thread(target=fetch, args=(cache,)) for cache in caches * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {b"x" * 3_000_000}
    assert blobs.reads == 1


def test_what_was_used_least_recently_makes_room_unless_it_is_in_use(blobs: Blobs, tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 2_500, blobs)
    first, second, third, fourth = (blobs.add(letter * 1_000) for letter in (b"a", b"b", b"c", b"d"))
    in_use = cache.fetch(*first)
    os.utime(in_use.path, (1, 1))
    cache.fetch(*second)
    cache.fetch(*third)
    assert in_use.path.exists()
    assert not (tmp_path / "cache" / second[0]).exists()
    del in_use
    os.utime(tmp_path / "cache" / first[0], (1, 1))
    cache.fetch(*fourth)
    assert not (tmp_path / "cache" / first[0]).exists()
    assert cached(tmp_path / "cache") == 2


def test_bytes_that_are_damaged_are_not_given_to_a_task(blobs: Blobs, tmp_path: Path) -> None:
    sha256, content = blobs.add(b"content")
    blobs.write(content.key, b"c0ntent")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"part-{sha256[:2]}-left").write_bytes(b"of a process that died")
    with pytest.raises(BlobError, match="have the SHA-256"):
        FileCache(tmp_path / "cache", 10_000, blobs).fetch(sha256, content)
    assert not list((tmp_path / "cache").glob("part-*"))
    assert cached(tmp_path / "cache") == 0


def test_a_function_is_called_with_a_file_of_the_machine_in_a_test(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"content")
    digest = digest_file(File.from_path(tmp_path / "a.txt", media_type="text/plain"))
    assert (digest.sha256, digest.name) == (hashlib.sha256(b"content").hexdigest(), "a.txt")
    outcome = run_task(digest_file, file=File.from_path(tmp_path / "a.txt"))
    assert outcome.value.sha256 == digest.sha256
    file = File.from_path(tmp_path / "a.txt")
    assert (file.read(), file.open().read(), pickle.loads(pickle.dumps(file)).read()) == (b"content",) * 3
    with pytest.raises(RuntimeError, match="from_path"):
        _ = File(file.id).size_bytes
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        File("sha256:ABC")


class Bench:
    """An executor on the real store."""

    def __init__(self, settings: Settings, blobs: Blobs) -> None:
        self.store = ThreadStore(settings, retry_seconds=2)
        self.registry = load_registry(["tests.task_modules.files"])
        self.executor = Executor(settings, self.registry, self.store, blobs, "w1")

    def run(self, bound: Bound, tenant: str) -> tuple[TaskState, bytes | None, str]:
        calls, name = self.store.calls, bound.task_type.name
        self.store.run(calls.submit(bound.task_id, name, "1", bound.canonical_input, tenant=tenant))
        self.executor.run(name, [(bound.task_id, 1, bound.canonical_input)])
        record = self.store.run(calls.watch(bound.task_id, "n")).record
        assert record is not None
        return record.state, record.result, str((record.error_fields() or {}).get("code"))


@pytest.fixture
def bench(settings: Settings, blobs: Blobs) -> Iterator[Bench]:
    made = Bench(settings, blobs)
    yield made
    made.store.close()


def test_a_task_gets_the_file_of_its_own_tenant(bench: Bench, blobs: Blobs) -> None:
    sha256, content = blobs.add(b"content")
    calls = bench.store.calls
    place = content.key.removesuffix("/data")
    bench.store.run(calls.register_place(place, sha256))
    bench.store.run(calls.register_file("acme", sha256, place, 7, "text/plain", "a.txt", "acme"))
    bound = bench.registry["digest_file"].bind({"file": f"sha256:{sha256}"})
    assert bound.files == (sha256,)
    state, result, _ = bench.run(bound, "acme")
    assert state is TaskState.SUCCEEDED
    assert result == f'{{"sha256":"{sha256}","size_bytes":7,"name":"a.txt","media_type":"text/plain"}}'.encode()
    other = bench.registry["digest_file"].bind({"file": f"sha256:{sha256}"}, salt="other")
    assert bench.run(other, "other")[::2] == (TaskState.FAILED, "FILE_NOT_FOUND")
