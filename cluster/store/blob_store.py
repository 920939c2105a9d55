"""The blob store: where values lie that are too long for a record. A folder that all nodes share, or S3."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from cluster.errors import BlobError
from cluster.observability import metrics
from cluster.system.ecs_metadata import aws_region

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

LISTINGS: Final = 16
"""Tasks whose S3 objects are listed at a time."""
DELETIONS: Final = 1_000
"""Most objects in one request to delete them; S3's own limit."""

logger = logging.getLogger(__name__)

CHUNK_BYTES: Final = 1 << 20
"""How much of a blob an api node holds at a time while it streams one."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What became of the deletion of several tasks' blobs.

    Attributes:
        deleted: ids of tasks that have no blobs any more.
        problem: why others have; None where there are no others.
    """

    deleted: list[str]
    problem: str | None = None


S3_REFUSES_THE_BLOB: Final = ("EntityTooLarge", "InvalidArgument", "KeyTooLongError")
"""Errors of S3 that another try would meet as well."""
WRITE_SECONDS: Final = 20.0
"""How long a task waits in place for a blob store that takes nothing; as a rule it is full or away for a moment."""


class BlobStore(ABC):
    """Named bytes. A name is `<task id>/<attempt>/<file>`; what is written under one name never changes."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Writes a blob, whole or not at all.

        Raises:
            BlobError: the store refuses or does not answer.
        """

    def write_with_retries(self, key: str, data: bytes, stop: Event) -> None:
        """As `write`, again and again for WRITE_SECONDS, or until `stop` is set.

        Raises:
            BlobError: as with `write`.
        """
        deadline, pause = time.monotonic() + WRITE_SECONDS, 0.25
        while True:
            try:
                self.write(key, data)
                return
            except BlobError as error:
                metrics.BLOB_FAILURES.inc()
                if not error.temporary or time.monotonic() + pause > deadline or stop.wait(pause):
                    raise
                logger.warning("%s; trying again", error)
                pause = min(2.0, pause * 2)

    @abstractmethod
    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        """Reads a part. Raises BlobError where the blob is missing or the store does not answer."""

    @abstractmethod
    def delete(self, task_id: str, *, before: float | None = None) -> None:
        """Deletes the blobs of a task; nothing happens where there are none.

        Args:
            before: only those written before this time (seconds since 1970), so that a run which begins meanwhile keeps
                its own; None for all.
        """

    @abstractmethod
    def delete_many(self, task_ids: Sequence[str], *, before: float) -> Deletion:
        """As `delete`, of many tasks. Raises nothing: what failed is to be tried again."""

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Reads a part without holding up the event loop."""
        return b"" if length <= 0 else await asyncio.to_thread(self.read_sync, key, offset, length)

    async def stream(self, key: str, size_bytes: int) -> AsyncIterator[bytes]:
        """Reads all of it, CHUNK_BYTES at a time."""
        for offset in range(0, size_bytes, CHUNK_BYTES):
            yield await self.read(key, offset, min(CHUNK_BYTES, size_bytes - offset))


class FolderBlobStore(BlobStore):
    """Blobs as files below a folder, which every api node and worker must see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        path = self.folder.joinpath(*parts)
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise BlobError(f"{key!r} is no name of a blob", temporary=False)
        return path

    def write(self, key: str, data: bytes) -> None:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Another process must never see half a file: written beside, then renamed.
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
        """The tasks' folders that were last changed longer ago."""
        limit = time.time() - seconds
        found = []
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.is_dir() and entry.stat().st_mtime < limit:
                        found.append(entry.name)
        return found


class S3BlobStore(BlobStore):
    """Blobs as objects in an S3 bucket; credentials and region come as boto3 finds them."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3
        from botocore.config import Config

        self.bucket, self.prefix = bucket, prefix
        self.client: S3Client = boto3.client(
            "s3",
            region_name=aws_region(),
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=32,
                retries={"mode": "standard", "max_attempts": 4},
            ),
        )

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def write(self, key: str, data: bytes) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data)
        except (BotoCoreError, ClientError) as error:
            code = error.response["Error"].get("Code") if isinstance(error, ClientError) else None
            raise BlobError(
                f"cannot write the blob {key} to S3: {error}", temporary=code not in S3_REFUSES_THE_BLOB
            ) from error

    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self.client.get_object(
                Bucket=self.bucket, Key=self._key(key), Range=f"bytes={offset}-{offset + length - 1}"
            )
            return answer["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise BlobError(f"cannot read the blob {key} from S3: {error}") from error

    def delete(self, task_id: str, *, before: float | None = None) -> None:
        deletion = self._delete([task_id], before)
        if deletion.problem:
            raise BlobError(f"cannot delete the blobs of {task_id} from S3: {deletion.problem}")

    def delete_many(self, task_ids: Sequence[str], *, before: float) -> Deletion:
        return self._delete(task_ids, before)

    def _delete(self, task_ids: Sequence[str], before: float | None) -> Deletion:
        """Lists the tasks' objects side by side, and deletes them up to 1,000 in one request."""
        from botocore.exceptions import BotoCoreError, ClientError

        failed: dict[str, str] = {}

        def list_one(task_id: str) -> list[str]:
            try:
                return self._list(task_id, before)
            except (BotoCoreError, ClientError) as error:
                failed[task_id] = str(error)
                return []

        with ThreadPoolExecutor(LISTINGS) as pool:
            found = list(pool.map(list_one, task_ids))
        owner = {name: task_id for task_id, names in zip(task_ids, found, strict=True) for name in names}
        ordered = list(owner)
        for i in range(0, len(ordered), DELETIONS):
            names = ordered[i : i + DELETIONS]
            objects: list[ObjectIdentifierTypeDef] = [{"Key": name} for name in names]
            try:
                answer = self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            except (BotoCoreError, ClientError) as error:
                failed |= {owner[name]: str(error) for name in names}
            else:
                for problem in answer.get("Errors", ()):
                    failed[owner[problem["Key"]]] = problem.get("Message", "")
        return Deletion(
            [task_id for task_id in task_ids if task_id not in failed], next(iter(failed.values())) if failed else None
        )

    def _list(self, task_id: str, before: float | None) -> list[str]:
        return [
            item["Key"]
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(task_id) + "/"
            )
            for item in page.get("Contents", [])
            if before is None or item["LastModified"].timestamp() < before
        ]


def open_blob_store(url: str) -> BlobStore:
    """The blob store of a URL: `file:///folder` or `s3://bucket/prefix`."""
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return S3BlobStore(parts.netloc, parts.path.strip("/"))
    return FolderBlobStore(Path(unquote(parts.path)))
