"""The blob store: values that are too long for a record. Its implementations are a folder that all nodes share, and
S3."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final

from cluster.errors import BlobError
from cluster.observability import metrics

logger = logging.getLogger(__name__)

CHUNK_BYTES: Final = 1 << 20
"""How much of a blob an api node holds at a time while it streams one."""
WRITE_SECONDS: Final = 20.0
"""How long a task retries a write in place; a blob store is usually full or unavailable only for a moment."""


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
    """Named bytes. A name is `<task id>/<attempt>/<file>`; the content of a name never changes."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Writes a blob, whole or not at all.

        Raises:
            BlobError: the store refuses or does not answer.
        """

    def write_with_retries(self, key: str, data: bytes, stop: Event) -> None:
        """As `write`, retried for WRITE_SECONDS, or until `stop` is set.

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
    def delete_many(self, task_ids: Sequence[str], *, before: float) -> Deletion:
        """As `delete`, for many tasks. Raises nothing: failed deletions are to be tried again."""

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Reads part of a blob without blocking the event loop."""
        return b"" if length <= 0 else await asyncio.to_thread(self.read_sync, key, offset, length)

    async def stream(self, key: str, size_bytes: int) -> AsyncIterator[bytes]:
        """Yields a whole blob, CHUNK_BYTES at a time."""
        for offset in range(0, size_bytes, CHUNK_BYTES):
            yield await self.read(key, offset, min(CHUNK_BYTES, size_bytes - offset))
