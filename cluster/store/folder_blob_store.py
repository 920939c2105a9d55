"""The blob store in a folder that every api node and worker can access."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cluster.errors import BlobError
from cluster.store.blob_store import BlobStore, Deletion


class FolderBlobStore(BlobStore):
    """Blobs as files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        path = self.folder.joinpath(*parts)
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise BlobError(f"{key!r} is not the name of a blob", temporary=False)
        return path

    def write(self, key: str, data: bytes) -> None:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written to a temporary file, then renamed: another process must never see half a blob.
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                try:
                    file.write(data)
                    file.flush()
                    os.chmod(file.name, 0o644)
                    os.replace(file.name, path)
                except BaseException:
                    os.unlink(file.name)
                    raise
        except OSError as error:
            temporary = error.errno not in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
            raise BlobError(f"cannot write the blob {key}: {error.strerror}", temporary=temporary) from error

    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        try:
            with self._path(key).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise BlobError(f"cannot read the blob {key}: {error.strerror}") from error

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

    def delete_many(self, task_ids: Sequence[str], *, before: float) -> Deletion:
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
