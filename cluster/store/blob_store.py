"""The blob store: values that are too long for a record. Its implementations are a folder that all nodes share, and
S3."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final, TypeVar

from cluster.errors import BlobError
from cluster.observability import metrics
from cluster.store.blob_writer import BlobWriter, Written

T = TypeVar("T")

logger = logging.getLogger(__name__)

CHUNK_BYTES: Final = 1 << 20
"""How much of a blob is held at a time while it is streamed."""
WRITE_SECONDS: Final = 20.0
"""How long a task retries a write in place; a blob store is usually full or unavailable only for a moment."""


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """Where a client may send the bytes of one blob itself, with a PUT.

    Attributes:
        headers: that the request must have; the store checks the length and the SHA-256 by them.
    """

    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Deletion:
    """The outcome of deleting the blobs of several tasks.

    Attributes:
        deleted: ids of the tasks that have no blobs any more.
        problem: why the others still have; None if there are no others.
    """

    deleted: list[str]
    problem: str | None = None


class BlobStore(ABC):
    """Named bytes. A name is `<task id>/<attempt>/<file>` or `uploads/<random>/data`; its content never changes.

    Attributes:
        buffer_bytes: what an open `BlobWriter` holds in memory, besides what is being written to it.
    """

    buffer_bytes: int = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """By which another process opens the same store: `open_blob_store(url)`."""

    @abstractmethod
    def open_write(self, key: str) -> BlobWriter:
        """Begins to write a blob; `with blobs.open_write(key) as file: ...` makes it, whole or not at all.

        Raises:
            BlobError: the store refuses or does not answer.
        """

    def write(self, key: str, data: bytes) -> Written:
        """Writes a blob, whole or not at all.

        Raises:
            BlobError: the store refuses or does not answer.
        """
        return self.write_from(key, (data,))

    def write_from(self, key: str, chunks: Iterable[bytes | memoryview]) -> Written:
        """As `write`, from pieces of any size; only one of them is in memory at a time."""
        with self.open_write(key) as file:
            for chunk in chunks:
                file.write(chunk)
        return file.written

    def write_with_retries(self, key: str, data: bytes, stop: Event) -> Written:
        """As `write`, with `retry`."""
        return retry(lambda: self.write(key, data), stop)

    @abstractmethod
    def link(self, source: str, target: str) -> None:
        """Gives a blob a second name, with no bytes passing through this process. The two are deleted independently.

        Raises:
            BlobError: there is no such blob (then `temporary` is False), or the store does not answer.
        """

    def offer_upload(self, key: str, content: Written, media_type: str, seconds: float) -> UploadTarget | None:
        """Lets a client write a blob of this length and hash itself, for some time; None if the store cannot."""
        return None

    def offer_download(self, key: str, media_type: str, disposition: str, seconds: float) -> str | None:
        """A URL from which anyone may download a blob for some time; None if the store has none.

        Args:
            media_type, disposition: the Content-Type and Content-Disposition that the response must have.
        """
        return None

    def has_uploaded(self, key: str, content: Written) -> bool:
        """Whether a client has written what `offer_upload` let it.

        Raises:
            BlobError: the store does not answer.
        """
        return False

    @abstractmethod
    def read_chunks(self, key: str, offset: int = 0) -> Iterator[bytes]:
        """Yields a blob from `offset` to its end, at most CHUNK_BYTES at a time, in one request.

        Raises:
            BlobError: the blob does not exist, or the store does not answer.
        """

    def read_to(self, key: str, path: Path) -> Written:
        """Copies a blob into a file, and hashes it on the way.

        Raises:
            BlobError: as `read_chunks`.
            OSError: the file cannot be written.
        """
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            for chunk in self.read_chunks(key):
                digest.update(chunk)
                size += file.write(chunk)
        return Written(size, digest.hexdigest())

    @abstractmethod
    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        """Reads part of a blob.

        Raises:
            BlobError: the blob does not exist, or the store does not answer.
        """

    @abstractmethod
    def delete(self, task_id: str, *, before: float | None = None) -> None:
        """Deletes the blobs of a task, if it has any.

        Args:
            before: only those written before this time (seconds since 1970), so that a run that begins meanwhile keeps
                its own; None for all.

        Raises:
            BlobError: the store refuses or does not answer.
        """

    @abstractmethod
    def delete_many(self, task_ids: Sequence[str], *, before: float | None) -> Deletion:
        """As `delete`, for many tasks. Raises nothing: failed deletions are to be tried again."""

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Reads part of a blob without blocking the event loop."""
        return b"" if length <= 0 else await asyncio.to_thread(self.read_sync, key, offset, length)

    async def stream(self, key: str, size_bytes: int) -> AsyncIterator[bytes]:
        """Yields a whole blob, CHUNK_BYTES at a time."""
        for offset in range(0, size_bytes, CHUNK_BYTES):
            yield await self.read(key, offset, min(CHUNK_BYTES, size_bytes - offset))


def retry(work: Callable[[], T], stop: Event) -> T:
    """Calls `work`, which may raise BlobError, and calls it again for WRITE_SECONDS, or until `stop` is set.

    Raises:
        BlobError: the last one, or one that is not temporary.
    """
    deadline, pause = time.monotonic() + WRITE_SECONDS, 0.25
    while True:
        try:
            return work()
        except BlobError as error:
            metrics.BLOB_FAILURES.inc()
            if not error.temporary or time.monotonic() + pause > deadline or stop.wait(pause):
                raise
            logger.warning("%s; trying again", error)
            pause = min(2.0, pause * 2)
