"""The blob store: where values lie that are too long for a record. A folder that all nodes share, or S3."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from cluster.ecs_task import aws_region
from cluster.errors import BlobError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

CHUNK_BYTES: Final = 1 << 20
"""How much of a blob an api node holds at a time while it streams one."""


class BlobStore(ABC):
    """Named bytes. A name is `<task id>/<attempt>/<file>`; what is written under one name never changes."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Writes a blob, whole or not at all.

        Raises:
            BlobError: the store refuses or does not answer.
        """

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
            raise BlobError(f"{key!r} is no name of a blob")
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
            raise BlobError(f"cannot write the blob {key}: {error.strerror}") from error

    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        try:
            with self._path(key).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise BlobError(f"cannot read the blob {key}: {error.strerror}") from error

    def delete(self, task_id: str, *, before: float | None = None) -> None:
        folder = self._path(task_id)
        if before is None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for attempt in folder.glob("*"):
            with suppress(FileNotFoundError):
                if attempt.stat().st_mtime < before:
                    shutil.rmtree(attempt, ignore_errors=True)
        with suppress(OSError):  # not empty, or gone
            folder.rmdir()

    def delete_older(self, seconds: float) -> int:
        """Deletes what no index knew of any more (a worker that died between blob and record); answers how many."""
        limit = time.time() - seconds
        stale = [path for path in self.folder.glob("*") if path.is_dir() and path.stat().st_mtime < limit]
        for path in stale:
            shutil.rmtree(path, ignore_errors=True)
        return len(stale)


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
            raise BlobError(f"cannot write the blob {key} to S3: {error}") from error

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
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(task_id) + "/"
            ):
                objects: list[ObjectIdentifierTypeDef] = [
                    {"Key": item["Key"]}
                    for item in page.get("Contents", [])
                    if before is None or item["LastModified"].timestamp() < before
                ]
                if objects:
                    answer = self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
                    if errors := answer.get("Errors"):
                        raise BlobError(f"cannot delete the blobs of {task_id} from S3: {errors[0].get('Message')}")
        except (BotoCoreError, ClientError) as error:
            raise BlobError(f"cannot delete the blobs of {task_id} from S3: {error}") from error


def open_blob_store(url: str) -> BlobStore:
    """The blob store of a URL: `file:///folder` or `s3://bucket/prefix`."""
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return S3BlobStore(parts.netloc, parts.path.strip("/"))
    return FolderBlobStore(Path(unquote(parts.path)))
