"""The blob store in a folder that every api node and worker can access."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from cluster.errors import BlobError
from cluster.store.blob_store import CHUNK_BYTES, BlobStore, Deletion
from cluster.store.blob_writer import BlobWriter

FILES: Final = "uploads"
"""The folder of the places of files; all others are named by tasks."""
NO_LINKS: Final = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)
"""A file system that cannot link the file (a second time): it is copied."""


class FolderBlobStore(BlobStore):
    """Blobs as files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        return self.folder.absolute().as_uri()

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        path = self.folder.joinpath(*parts)
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise BlobError(f"{key!r} is not the name of a blob", temporary=False)
        return path

    def open_write(self, key: str) -> BlobWriter:
        return FolderWriter(key, self._path(key))

    def link(self, source: str, target: str) -> None:
        path, link = self._path(source), self._path(target)
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, link)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                shutil.copyfile(path, link)
        except FileNotFoundError as error:
            raise BlobError(f"there is no blob {source}", temporary=False) from error
        except OSError as error:
            raise BlobError(f"cannot link the blob {source}: {error.strerror}") from error

    def read_chunks(self, key: str, offset: int = 0) -> Iterator[bytes]:
        try:
            with self._path(key).open("rb") as file:
                file.seek(offset)
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise _unreadable(key, error) from error

    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        try:
            with self._path(key).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise _unreadable(key, error) from error

    def delete(self, task_id: str, *, before: float | None = None) -> None:
        folder = self._path(task_id)
        try:
            with suppress(FileNotFoundError):
                if before is None:
                    shutil.rmtree(folder)
                    return
                for attempt in os.scandir(folder):
                    with suppress(FileNotFoundError):
                        if attempt.stat().st_mtime < before:
                            shutil.rmtree(attempt.path)
                with suppress(OSError):  # not empty, or gone
                    folder.rmdir()
        except OSError as error:
            raise BlobError(f"cannot delete the blobs of {task_id}: {error.strerror}") from error

    def delete_many(self, task_ids: Sequence[str], *, before: float | None) -> Deletion:
        deleted, problem = [], None
        for task_id in task_ids:
            try:
                self.delete(task_id, before=before)
            except (BlobError, OSError) as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                deleted.append(task_id)
        return Deletion(deleted, problem)

    def folders_older_than(self, seconds: float) -> list[str]:
        """Lists the folders of tasks that were last changed more than `seconds` ago."""
        limit = time.time() - seconds
        found = []
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.is_dir() and entry.stat().st_mtime < limit:
                        found.append(entry.name)
        return found

    def delete_unfinished(self, seconds: float) -> None:
        """Deletes what was written of files whose upload ended more than `seconds` ago with the node that served it."""
        limit = time.time() - seconds
        with suppress(FileNotFoundError), os.scandir(self.folder / FILES) as places:
            for place in places:
                with suppress(OSError):  # another node deletes it too
                    if place.stat().st_mtime < limit and not os.path.exists(f"{place.path}/data"):
                        shutil.rmtree(place.path)


class FolderWriter(BlobWriter):
    """Writes a temporary file, which is renamed at the end: another process must never see half a blob."""

    def __init__(self, key: str, path: Path) -> None:
        super().__init__()
        self._key, self._path = key, path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.NamedTemporaryFile(dir=path.parent, delete=False)  # noqa: SIM115 - until the commit
        except OSError as error:
            raise self._failed(error) from error

    def _write(self, data: memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failed(error) from error

    def commit(self) -> None:
        try:
            self._file.close()
            os.chmod(self._file.name, 0o644)
            os.replace(self._file.name, self._path)
        except OSError as error:
            self.discard()
            raise self._failed(error) from error

    def discard(self) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            os.unlink(self._file.name)

    def _failed(self, error: OSError) -> BlobError:
        temporary = error.errno not in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
        return BlobError(f"cannot write the blob {self._key}: {error.strerror}", temporary=temporary)


def _unreadable(key: str, error: OSError) -> BlobError:
    return BlobError(
        f"cannot read the blob {key}: {error.strerror}", temporary=not isinstance(error, FileNotFoundError)
    )
