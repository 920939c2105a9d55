"""Forwards cancellations to the scheduler, so that cancelled attempts also leave Dask's queue.

The record is authoritative: an attempt of a cancelled task does not start, or is ended by its worker's watchdog. But in
Dask's queue it would still count as demand and cause workers to be started. Cancellations are sent in batches and wait
while the scheduler is unavailable. A cancellation that is lost leaves one Dask task that does nothing.
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

MAX_MESSAGE: Final = 1_000
"""Maximum number of attempts in one message."""
MAX_WAITING: Final = 100_000
"""Maximum number of attempts that wait while the scheduler is unavailable; beyond it the oldest are dropped."""
RETRY_SECONDS: Final = 0.5
"""Pause after the scheduler did not answer."""


class Cancellations:
    """Sends cancelled attempts to the scheduler in the background."""

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
        """Queues the record of a task that was just cancelled. Never blocks."""
        # `started_at` is set while the attempt runs: from `start` until it is lost or fails.
        self._put(record.task_id, record.attempt, started=record.started_at is not None)

    def put_superseded(self, task_id: str, attempt: int) -> None:
        """Queues an attempt that had not started when another one took its place. Never blocks."""
        self._put(task_id, attempt, started=False)

    def _put(self, task_id: str, attempt: int, *, started: bool) -> None:
        self._waiting[task_id, attempt] = started
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._wake.set()

    async def _round(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        while self._waiting:
            message = dict(islice(self._waiting.items(), MAX_MESSAGE))
            try:
                await self._scheduler.call(
                    "dask_graphql_cancelled",
                    attempts=[[task_id, attempt, started] for (task_id, attempt), started in message.items()],
                )
            except SchedulerUnavailable as error:
                logger.debug("%d cancellations are waiting for the scheduler: %s", len(self._waiting), error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for member in message:
                self._waiting.pop(member, None)
