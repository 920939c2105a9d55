"""The dispatcher: batches of new attempts to the Dask scheduler, fire and forget.

A lone attempt is sent at once. While the workers have more to do than they can take, what comes is held for some
milliseconds, and short attempts of one task type go as one Dask task, which costs the scheduler and the worker as much
as one attempt would. How many, follows how long they take (measured by the scheduler's plugin).

It holds nothing that matters. An attempt that it cannot hand over is given back to the store at once; one that dies
with this process is found by the recoverer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from cluster.errors import StoreUnavailable
from cluster.observability import metrics, tracing
from cluster.scheduling.attempt_keys import attempt_key
from cluster.scheduling.entry_point import run_attempts
from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable
from cluster.store.async_store import Store
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)
T = TypeVar("T")
K = TypeVar("K")

BATCH: Final = 500
"""Most attempts in one message to the scheduler."""
PACK: Final = 64
"""Most attempts in one Dask task."""
PACK_SECONDS: Final = 0.1
"""How much work goes into one Dask task: what stands behind in it waits for no longer."""
HOLD_SECONDS: Final = 0.02
"""How long an attempt is held while the workers are busy."""
BATCH_BYTES: Final = 4 * 2**20
"""Inputs in one message, roughly: one that is longer goes alone."""
DEEP: Final = 1
"""The workers are busy with so many Dask tasks for each of their threads."""


@dataclass(frozen=True, slots=True)
class Dispatchable:
    """One attempt that this node must hand to the scheduler."""

    task_id: str
    attempt: int
    name: str
    canonical_input: bytes
    priority: int = 0
    trace: str = ""
    """W3C trace context of the submission; empty where nothing is traced, and for later attempts."""


class Dispatcher:
    """Collects what comes while the last batch is sent; a lone task is sent at once."""

    def __init__(self, store: Store, scheduler: SchedulerClient) -> None:
        self._store = store
        self._scheduler = scheduler
        self._waiting: list[Dispatchable] = []
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self.loop = BackgroundLoop("dispatcher", self._round, needed=True)

    def start(self) -> None:
        self.loop.start()

    def put(self, attempt: Dispatchable) -> None:
        """Takes an attempt. Never waits: what the list holds is bounded by the requests that are being answered."""
        self._waiting.append(attempt)
        self._wake.set()

    async def drained(self) -> None:
        """Returns when no more than one batch waits to be sent, for whoever brings many attempts at once."""
        while len(self._waiting) > BATCH:
            self._sent.clear()
            await self._sent.wait()

    async def close(self) -> None:
        """Sends what it has, then stops."""
        await self.loop.close()
        await self._flush()

    async def _round(self) -> None:
        """Waits for attempts and sends them."""
        await self._wake.wait()
        if self._busy:
            await self._hold()
        self._wake.clear()
        await self._flush()

    @property
    def _busy(self) -> bool:
        load = self._scheduler.load
        return bool(load.threads) and load.outstanding >= DEEP * load.threads

    async def _hold(self) -> None:
        """Lets more attempts come, until the workers have room."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD_SECONDS):
                while self._busy and len(self._waiting) < BATCH:
                    self._scheduler.load_changed.clear()
                    await self._scheduler.load_changed.wait()

    async def _flush(self) -> None:
        while self._waiting:
            count = self._fitting()
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            try:
                self._send(batch)
            except SchedulerUnavailable:
                await self._give_back(batch)
            except Exception:
                # A client that is closing raises what it likes. This loop is the node's only one, so it goes on.
                logger.exception("%d attempts could not be sent", len(batch))
                await self._give_back(batch)
            self._sent.set()
            # Lets requests go on between two batches.
            await asyncio.sleep(0)

    def _fitting(self) -> int:
        """How many of those that wait go into one message."""
        length = 0
        for count, attempt in enumerate(self._waiting[:BATCH]):
            length += len(attempt.canonical_input)
            if length > BATCH_BYTES and count:
                return count
        return BATCH

    def _send(self, batch: list[Dispatchable]) -> None:
        from distributed import fire_and_forget

        client, load, began = self._scheduler.client, self._scheduler.load, time.time()
        free = load.free
        for priority, group in _grouped(batch, lambda attempt: attempt.priority).items():
            packs = [
                (name, pack)
                for name, same in _grouped(group, lambda attempt: attempt.name).items()
                for pack in packed(same, free, load.durations.get(name) if load.threads else None)
            ]
            futures = client.map(
                run_attempts,
                [name for name, _ in packs],
                [[(item.task_id, item.attempt, item.canonical_input) for item in pack] for _, pack in packs],
                key=[attempt_key(name, ((item.task_id, item.attempt) for item in pack)) for name, pack in packs],
                priority=priority,
                pure=False,
            )
            fire_and_forget(futures)
            # Until it tells again.
            load.outstanding += len(packs)
            metrics.labelled(metrics.DISPATCHED, "sent").inc(len(group))
            for _, pack in packs:
                for item in pack:
                    tracing.record_span(
                        "dispatch", "PRODUCER", item.trace, began, task_id=item.task_id, packed=len(pack)
                    )

    async def _give_back(self, batch: list[Dispatchable]) -> None:
        """The scheduler is away: the attempts wait in the store, and the recoverer sends them when it is back."""
        metrics.labelled(metrics.DISPATCHED, "returned").inc(len(batch))
        try:
            await self._store.run_many(
                [self._store.calls.release(attempt.task_id, attempt.attempt) for attempt in batch]
            )
        except StoreUnavailable as error:
            logger.warning("%d attempts are left to the recoverer's sweep: %s", len(batch), error)


def packed(attempts: Sequence[T], free: int, duration: float | None) -> list[Sequence[T]]:
    """Cuts attempts of one task type into those that share a Dask task.

    Args:
        free: threads that have nothing to do, each of which gets a part before any part grows.
        duration: seconds that one of them takes; None for unknown: then each goes alone.
    """
    if not duration:
        return [attempts[i : i + 1] for i in range(len(attempts))]
    size = max(1, min(PACK, int(PACK_SECONDS / duration), len(attempts) // max(1, free)))
    return [attempts[i : i + size] for i in range(0, len(attempts), size)]


def _grouped(attempts: Iterable[Dispatchable], by: Callable[[Dispatchable], K]) -> dict[K, list[Dispatchable]]:
    groups: dict[K, list[Dispatchable]] = defaultdict(list)
    for attempt in attempts:
        groups[by(attempt)].append(attempt)
    return groups
