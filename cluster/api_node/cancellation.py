"""Cancellations on their way to the scheduler: what nobody wants any more leaves Dask, too.

The record decides: an attempt whose task is cancelled does not begin, or is ended by its worker's watchdog. This is
about what waits: it would keep a place in Dask's queue, count as demand and buy workers. Cancellations go in batches;
while the scheduler is away they wait, and one that is lost costs a Dask task that does nothing.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import Final

from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable
from cluster.store.record import Record
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

BATCH: Final = 1_000
"""Most attempts in one message."""
LIMIT: Final = 100_000
"""Most attempts that wait for a scheduler that is away; the oldest are dropped beyond it."""
AWAY_SECONDS: Final = 0.5
"""Pause after a scheduler did not answer."""


class Cancellations:
    """Tells the scheduler which attempts were cancelled."""

    def __init__(self, scheduler: SchedulerClient) -> None:
        self._scheduler = scheduler
        self._waiting: dict[tuple[str, int], bool] = {}
        self._wake = asyncio.Event()
        self.loop = BackgroundLoop("cancellations", self._round)

    def start(self) -> None:
        self.loop.start()

    async def close(self) -> None:
        await self.loop.close()

    def put(self, record: Record) -> None:
        """Takes the record of a task that was just cancelled. Never waits."""
        # An attempt has a beginning from `start` on, and until it is lost or fails.
        self._waiting[record.task_id, record.attempt] = record.started_at is not None
        if len(self._waiting) > LIMIT:
            del self._waiting[next(iter(self._waiting))]
        self._wake.set()

    async def _round(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        while self._waiting:
            batch = dict(islice(self._waiting.items(), BATCH))
            try:
                await self._scheduler.call(
                    "dask_graphql_cancelled",
                    attempts=[[task_id, attempt, begun] for (task_id, attempt), begun in batch.items()],
                )
            except SchedulerUnavailable as error:
                logger.debug("%d cancellations wait: %s", len(self._waiting), error)
                await asyncio.sleep(AWAY_SECONDS)
                continue
            for member in batch:
                self._waiting.pop(member, None)
