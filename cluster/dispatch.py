"""The dispatcher: batches of new attempts to the Dask scheduler, fire and forget.

It holds nothing that matters. An attempt that it cannot hand over is given back to the store at once; one that dies
with this process is found by the recoverer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from cluster import metrics
from cluster.attempts import attempt_key
from cluster.errors import StoreUnavailable
from cluster.execute import run_attempt
from cluster.link import SchedulerAway, SchedulerLink
from cluster.store.store import Store

logger = logging.getLogger(__name__)

BATCH: Final = 500
"""Most attempts in one message to the scheduler."""


@dataclass(frozen=True, slots=True)
class Dispatchable:
    """One attempt that this node must hand to the scheduler."""

    task_id: str
    attempt: int
    name: str
    canonical_input: bytes
    priority: int = 0


class Dispatcher:
    """Collects what comes while the last batch is sent; a lone task is sent at once."""

    def __init__(self, store: Store, link: SchedulerLink) -> None:
        self._store = store
        self._link = link
        self._waiting: list[Dispatchable] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def put(self, attempt: Dispatchable) -> None:
        """Takes an attempt. Never waits: what the list holds is bounded by the requests that are being answered."""
        self._waiting.append(attempt)
        self._wake.set()

    async def close(self) -> None:
        """Sends what it has, then stops."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._flush()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                self._send(batch)
            except SchedulerAway:
                await self._give_back(batch)
            except Exception:
                # A client that is closing raises what it likes. This loop is the node's only one, so it goes on.
                logger.exception("%d attempts could not be sent", len(batch))
                await self._give_back(batch)
            # Lets requests go on between two batches.
            await asyncio.sleep(0)

    def _send(self, batch: list[Dispatchable]) -> None:
        from distributed import fire_and_forget

        client = self._link.client
        by_priority: dict[int, list[Dispatchable]] = defaultdict(list)
        for attempt in batch:
            by_priority[attempt.priority].append(attempt)
        for priority, group in by_priority.items():
            futures = client.map(
                run_attempt,
                [attempt.task_id for attempt in group],
                [attempt.attempt for attempt in group],
                [attempt.name for attempt in group],
                [attempt.canonical_input for attempt in group],
                key=[attempt_key(attempt.name, attempt.task_id, attempt.attempt) for attempt in group],
                priority=priority,
                pure=False,
            )
            fire_and_forget(futures)
            metrics.DISPATCHED.labels("sent").inc(len(group))

    async def _give_back(self, batch: list[Dispatchable]) -> None:
        """The scheduler is away: the attempts wait in the store, and the recoverer sends them when it is back."""
        metrics.DISPATCHED.labels("returned").inc(len(batch))
        try:
            await self._store.run_many(
                [self._store.calls.release(attempt.task_id, attempt.attempt) for attempt in batch]
            )
        except StoreUnavailable as error:
            logger.warning("%d attempts are left to the recoverer's sweep: %s", len(batch), error)
