"""The blobs in the items of a stream that has no result: it runs, or its task failed or was cancelled.

Once the task has succeeded, its result lists them. Until then they are only in the items, which may be long, so each
node keeps what it has found in those that it has read, and reads only the items that have come since.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from cluster.store.async_store import Store
from cluster.store.record import Record
from cluster.task_types.output_type import OutputType
from cluster.task_types.value_types import Blob
from cluster.task_types.walk import instances_in

KEPT_STREAMS: Final = 64
"""Streams of which a node keeps the blobs, at most 1,000 each; those not asked for longest are read anew."""


@dataclass(slots=True)
class _Stream:
    """What was read of a stream: of which attempt, how many items, and the blobs in them by key."""

    attempt: int | None = None
    read: int = 0
    blobs: dict[str, Blob] = field(default_factory=dict)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class StreamBlobs:
    """Finds the blobs of one node's downloads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._streams: OrderedDict[tuple[str, int], _Stream] = OrderedDict()

    async def find(self, record: Record, items: OutputType, key: str) -> Blob | None:
        """The blob with this key in the items of a task; None if there is none, or a later attempt made it void.

        Args:
            items: the type of the task's items.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        if not items.has_blobs:
            return None
        run = record.task_id, record.submitted_at
        stream = self._streams.setdefault(run, _Stream())
        self._streams.move_to_end(run)
        while len(self._streams) > KEPT_STREAMS:
            self._streams.popitem(last=False)
        # One reader: a page that shows a hundred pictures asks for all of them at once.
        async with stream.reading:
            await self._read_on(record.task_id, items, stream)
        return stream.blobs.get(key)

    async def _read_on(self, task_id: str, items: OutputType, stream: _Stream) -> None:
        more = True
        while more:
            page = await self._store.run(self._store.calls.read_items(task_id, stream.attempt, stream.read))
            if page.attempt != stream.attempt:
                stream.attempt, stream.read, stream.blobs = page.attempt, 0, {}
            for encoded in page.items:
                stream.blobs.update((blob.key, blob) for blob in _blobs_in(items, encoded))
            stream.read += len(page.items)
            more = page.more


def _blobs_in(items: OutputType, encoded: bytes) -> list[Blob]:
    try:
        return list(instances_in(items.read(encoded), Blob))
    except ValidationError:
        return []  # of an item that no client can read either
