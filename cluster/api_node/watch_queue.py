"""The tasks that a node watches or unwatches next, in order. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import Final

MAX_BATCH: Final = 256
"""Maximum number of tasks in one round trip."""
FIRST_BATCH: Final = 32
RENEWAL_SLOTS: Final = 32
"""Slots of a batch that are reserved for renewals, however many new requests there are."""
MAX_UNWATCHED: Final = 20_000
"""Maximum number of tasks that wait to be unwatched. Beyond it the oldest are dropped: Redis deletes their watch with
the task, after one notification that this node ignores."""


class WatchQueue:
    """Three queues without duplicates: new requests, renewals, and tasks to unwatch. The batch size shrinks after a
    failed batch and grows back while batches succeed.

    Attributes:
        batch_size: size of the next batch.
        pending: set while there is anything to do.
    """

    def __init__(self) -> None:
        self.batch_size = FIRST_BATCH
        self.pending = asyncio.Event()
        self._fast_growth_limit = MAX_BATCH
        self._requests: dict[str, None] = {}
        self._renewals: dict[str, None] = {}
        self._unwatched: dict[str, None] = {}

    @property
    def requests(self) -> int:
        """Number of new requests that wait."""
        return len(self._requests)

    def request(self, task_id: str) -> None:
        """Watch this task as soon as possible."""
        self._requests[task_id] = None
        self.pending.set()

    def renew(self, task_ids: Iterable[str]) -> None:
        """Watch these tasks again, after most of the new requests."""
        self._renewals.update(dict.fromkeys(task_ids))
        self.pending.set()

    def unwatch(self, task_id: str) -> None:
        """No subscriber of this node waits for the task any more."""
        if len(self._unwatched) >= MAX_UNWATCHED:
            del self._unwatched[next(iter(self._unwatched))]
        self._unwatched[task_id] = None
        self.pending.set()

    def next_batch(self) -> list[str]:
        """Removes and returns the tasks to watch next: new requests first, but some renewals in every batch."""
        reserved = min(RENEWAL_SLOTS, self.batch_size // 2, len(self._renewals))
        batch = list(islice(self._requests, self.batch_size - reserved))
        for task_id in batch:
            del self._requests[task_id]
            self._renewals.pop(task_id, None)
        renewed = list(islice(self._renewals, self.batch_size - len(batch)))
        for task_id in renewed:
            del self._renewals[task_id]
        return batch + renewed

    def next_unwatched(self) -> list[str]:
        """Removes and returns the tasks to unwatch next."""
        batch = list(islice(self._unwatched, MAX_BATCH))
        for task_id in batch:
            del self._unwatched[task_id]
        return batch

    def requeue_unwatched(self, task_ids: list[str]) -> None:
        """Takes tasks back that could not be unwatched, as far as there is room."""
        self._unwatched.update(dict.fromkeys(task_ids[: MAX_UNWATCHED - len(self._unwatched)]))

    def requeue(self, batch: list[str]) -> None:
        """Takes a failed batch back; the next one is half as large."""
        self._requests.update(dict.fromkeys(batch))
        self.batch_size = self._fast_growth_limit = max(1, len(batch) // 2)

    def shrink(self) -> None:
        """Halves the next batch, because the last one carried too many bytes."""
        self.batch_size = max(1, self.batch_size // 2)

    def grow(self) -> None:
        """Enlarges the next batch: doubles it up to the size that the last failure left, then adds one at a time."""
        doubled = min(self.batch_size * 2, self._fast_growth_limit)
        self.batch_size = min(MAX_BATCH, max(self.batch_size + 1, doubled))

    def clear_pending_if_empty(self) -> None:
        if not (self._requests or self._renewals or self._unwatched):
            self.pending.clear()
