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

from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable, numbered
from cluster.store.keys import scheduler_of
from cluster.store.record import Record
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

MAX_MESSAGE: Final = 1_000
"""Maximum number of attempts in one message."""
MAX_WAITING: Final = 100_000
"""Maximum number of attempts that wait while their scheduler is unavailable; beyond it the oldest are dropped."""
RETRY_SECONDS: Final = 0.5
"""Pause after the scheduler did not answer."""


class Cancellations:
    """Sends cancelled attempts to their schedulers in the background.

    Args:
        schedulers: all of them, by number. One that is unavailable does not delay what the others are told.
    """

    def __init__(self, *schedulers: SchedulerClient) -> None:
        self.outboxes = [Outbox(scheduler, number) for number, scheduler in enumerate(schedulers)]

    @property
    def loops(self) -> list[BackgroundLoop]:
        return [outbox.loop for outbox in self.outboxes]

    def start(self) -> None:
        for outbox in self.outboxes:
            outbox.loop.start()

    async def close(self) -> None:
        for outbox in self.outboxes:
            await outbox.loop.close()

    def put(self, record: Record) -> None:
        """Queues the record of a task that was just cancelled. Never blocks."""
        # `started_at` is set while the attempt runs: from `start` until it is lost or fails.
        self._put(record.task_id, record.attempt, started=record.started_at is not None)

    def put_superseded(self, task_id: str, attempt: int) -> None:
        """Queues an attempt that had not started when another one took its place. Never blocks."""
        self._put(task_id, attempt, started=False)

    def _put(self, task_id: str, attempt: int, *, started: bool) -> None:
        self.outboxes[scheduler_of(task_id, len(self.outboxes))].put(task_id, attempt, started=started)


class Outbox:
    """The cancelled attempts of one scheduler."""

    def __init__(self, scheduler: SchedulerClient, number: int = 0) -> None:
        self._scheduler = scheduler
        self.waiting: dict[tuple[str, int], bool] = {}
        """Whether each attempt had started."""
        self._wake = asyncio.Event()
        self.loop = BackgroundLoop(numbered("cancellations", number), self._round)

    def put(self, task_id: str, attempt: int, *, started: bool) -> None:
        self.waiting[task_id, attempt] = started
        if len(self.waiting) > MAX_WAITING:
            del self.waiting[next(iter(self.waiting))]
        self._wake.set()

    async def _round(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        while self.waiting:
            message = dict(islice(self.waiting.items(), MAX_MESSAGE))
            try:
                await self._scheduler.call(
                    "dask_graphql_cancelled",
                    attempts=[[task_id, attempt, started] for (task_id, attempt), started in message.items()],
                )
            except SchedulerUnavailable as error:
                logger.debug("%d cancellations are waiting for the scheduler: %s", len(self.waiting), error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for member in message:
                self.waiting.pop(member, None)
