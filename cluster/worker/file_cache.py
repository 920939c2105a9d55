"""The files of tasks on a worker machine's disk: fetched once, checked, and deleted when the room is needed.

The worker processes of a machine share one folder. A file is complete when it has its name, so a process that dies
leaves none that is not. What a task has opened is pinned by a lock of the operating system, which ends with the
process.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from threading import Event
from typing import Final

from cluster.data.manifest import manifest_itself, read_manifest
from cluster.errors import BlobError
from cluster.store.blob_store import BlobStore, retry
from cluster.task_types.file import MANIFEST, FileContent, OpenedFile, content_of
from cluster.worker.task_context import running_attempt

FOLDER: Final = "folder-"
"""How the names of the folders begin that manifests stand for."""
PARALLEL_FETCHES: Final = 8
"""Files of a manifest that are fetched at the same time."""


class FileCache:
    """The files of one machine.

    Args:
        limit_bytes: how much they may take together; files in use are kept beyond it.
    """

    def __init__(self, folder: Path, limit_bytes: int, blobs: BlobStore) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._blobs = blobs

    def fetch(self, sha256: str, content: FileContent) -> OpenedFile:
        """The path of a file, which is kept there as long as the returned object.

        Raises:
            BlobError: the blob store does not have it, or does not answer; or the disk is full.
        """
        if content.media_type == MANIFEST:
            return self._fetch_folder(sha256, content)
        path = self._folder / sha256
        while True:
            pin = _pin(path)
            if pin is not None:
                os.utime(path)
                return OpenedFile(path, pin)
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                # One process fetches, the others wait for it. Files share 256 locks, so that these do not pile up.
                with _locked(self._folder / f"lock-{sha256[:2]}"):
                    if not path.exists():
                        self._download(path, sha256, content)
            except OSError as error:
                raise BlobError(f"cannot keep the file {sha256} in {self._folder}: {error.strerror}") from error

    def _fetch_folder(self, sha256: str, content: FileContent) -> OpenedFile:
        """A folder with the files that a manifest lists. It is deleted with the returned object, or else when another
        one is made after the process has died."""
        opened = self.fetch(sha256, manifest_itself(content))
        manifest = read_manifest(opened.path.read_bytes())

        def add(name: str, path: str) -> None:
            file = manifest.file(name, content)
            fetched = self.fetch(file.sha256, content_of(file))
            target = folder.path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # A second name: what makes room in the cache does not take it away.
            os.link(fetched.path, target)

        try:
            with _locked(self._folder / "lock-folders"):
                self._delete_left_folders()
                folder = _Folder(self._folder / f"{FOLDER}{secrets.token_hex(8)}")
            with ThreadPoolExecutor(PARALLEL_FETCHES) as pool:
                # In the attempt's context, whose cancellation ends a fetch.
                for added in [pool.submit(copy_context().run, partial(add, *it)) for it in manifest.paths()]:
                    added.result()
        except OSError as error:
            raise BlobError(f"cannot keep the files of {sha256} in {self._folder}: {error.strerror}") from error
        return OpenedFile(folder.path, folder)

    def _delete_left_folders(self) -> None:
        for left in self._folder.glob(f"{FOLDER}*"):
            if (pin := _pin(left)) is not None and pin.is_alone():
                shutil.rmtree(left, ignore_errors=True)

    def _download(self, path: Path, sha256: str, content: FileContent) -> None:
        for left in self._folder.glob(f"part-{sha256[:2]}*"):  # by a process that died
            left.unlink(missing_ok=True)
        self._make_room(content.size_bytes)
        part = self._folder / f"part-{sha256[:2]}-{secrets.token_hex(8)}"
        attempt = running_attempt()
        try:
            written = retry(
                lambda: self._blobs.read_to(content.key, part), attempt.stop if attempt is not None else Event()
            )
            if written.sha256 != sha256:
                raise BlobError(
                    f"the bytes at {content.key} have the SHA-256 {written.sha256}, not {sha256}", temporary=False
                )
            part.chmod(0o444)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Deletes the files that were used least recently until there is room for `size` bytes."""
        found = []
        for entry in os.scandir(self._folder):
            if len(entry.name) == 64:
                with suppress(FileNotFoundError):
                    status = entry.stat()
                    found.append((status.st_mtime, status.st_size, entry.path))
        total = sum(length for _, length, _ in found)
        for _, length, path in sorted(found):
            if total + size <= self._limit_bytes:
                return
            if _delete_unpinned(path):
                total -= length


class _Pin:
    """Keeps a file in the cache as long as it lives."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)

    def is_alone(self) -> bool:
        """Whether nobody else has pinned it; then nobody can any more."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class _Folder:
    """A folder that is deleted with this object."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self._pin = _pin(path)

    def __del__(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _pin(path: Path) -> _Pin | None:
    """Pins a file; None if it is not there, or is being deleted."""
    try:
        pin = _Pin(os.open(path, os.O_RDONLY))
        fcntl.flock(pin._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # It may have been deleted in between.
        is_there = os.path.samestat(os.fstat(pin._descriptor), os.stat(path))
    except (FileNotFoundError, BlockingIOError):
        return None
    return pin if is_there else None


def _delete_unpinned(path: str) -> bool:
    try:
        pin = _Pin(os.open(path, os.O_RDONLY))
        fcntl.flock(pin._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
