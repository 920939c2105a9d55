"""Recovery: an open task without a living attempt is dispatched again.

One recoverer is active at a time, by a lease in Redis; every api node is a candidate. It claims the open tasks
whose time has come: new attempts of lost ones, retries and delayed tasks, which it dispatches; and tasks not heard
of for a while, for which it asks the scheduler. A new scheduler knows no task: after its beginning all open tasks are
looked at (a sweep), page by page, each dispatched before the next, and nobody is charged for what the former one held.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import orjson

from cluster import attempt_errors
from cluster.api_node.dispatcher import Dispatchable, Dispatcher
from cluster.observability import metrics
from cluster.observability.logs import log_context
from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.leader_lease import LeaderLease
from cluster.store.lua_scripts import Call
from cluster.store.replies import Due
from cluster.store.script_calls import CHECK_AFTER_SECONDS, LossReason, milliseconds
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.5
"""How often due tasks are looked for; a loss that was told is acted on at once."""
MARK_SECONDS: Final = 1.0
"""How often a completed round is written to Redis."""
QUEUE_AGE_SECONDS: Final = 30.0
"""How often the age of the queue is logged."""
PAGE: Final = 64
"""Most tasks of one shard in one step: 1,024 of all shards, some 10 ms of Redis's time in slices of one shard each."""
ON_THE_WAY_SECONDS: Final = 3.0
"""An attempt that was dispatched no longer ago may not have reached the scheduler."""
UNCHARGED_SECONDS: Final = 30.0
"""For so long after a new scheduler's beginning nobody is charged for an attempt that it does not know: whoever ran it
may have been heard of until a moment ago."""


_DIED: Final = attempt_errors.worker_lost("that ran it")
_UNKNOWN: Final = attempt_errors.undelivered("it was handed to the scheduler many times, which then did not know it")


@dataclass(frozen=True, slots=True)
class _Sweep:
    """The first half of a sweep is done.

    Attributes:
        epoch: of the new scheduler.
        began_at: milliseconds since 1970 by Redis's clock.
        monotonic: the same moment by this process's `time.monotonic`.
    """

    epoch: str
    began_at: int
    monotonic: float


class Recoverer:
    """A candidate for recovery on one node.

    Args:
        node: this node's id, unique among living nodes.
    """

    def __init__(self, store: Store, scheduler: SchedulerClient, dispatcher: Dispatcher, node: str) -> None:
        self._store = store
        self._scheduler = scheduler
        self._dispatcher = dispatcher
        self.lease = LeaderLease(store, "recovery", store.calls.lease_key, node)
        self.loop = BackgroundLoop("recovery", self._round)
        self._wake = asyncio.Event()
        self._term = 0
        self._swept: str | None = None
        self._sweeping: _Sweep | None = None
        self._uncharged_until = 0.0
        self._mark_at = self._queue_age_at = 0.0

    @property
    def active(self) -> bool:
        """Whether this node recovers now."""
        return self.lease.held

    def start(self) -> None:
        self.lease.start()
        self.loop.start()

    def wake(self) -> None:
        """Something is due now."""
        self._wake.set()

    async def close(self) -> None:
        """Stops, and lets another candidate take over at once."""
        await self.loop.close()
        await self.lease.close()

    async def _round(self) -> None:
        """Waits for something to be due, then claims it and acts on it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN_SECONDS):
                await self._wake.wait()
        self._wake.clear()
        if not self.active:
            return
        if self._term != self.lease.term:
            await self._take_over()
        if time.monotonic() >= self._queue_age_at:
            self._queue_age_at = time.monotonic() + QUEUE_AGE_SECONDS
            await self._log_queue_age()
        try:
            await self._recover()
        except SchedulerUnavailable as error:
            logger.info("what is due waits: %s", error)
        if time.monotonic() >= self._mark_at:
            self._mark_at = time.monotonic() + MARK_SECONDS
            await self._store.run(self._store.calls.record_time(self._store.calls.recovered_key))

    async def _recover(self) -> None:
        """Claims what is due and acts on it. Without a scheduler it stays due.

        Raises:
            SchedulerUnavailable: the scheduler went away; a sweep that it cut short begins anew.
        """
        epoch = await self._living_epoch() if self._scheduler.connected else None
        if epoch is None:
            return
        if epoch != self._swept:
            await self._sweep(epoch)
        await self._claim()

    async def _take_over(self) -> None:
        """Goes on where the former holder of the lease was."""
        marked = await self._store.command("GET", self._store.calls.swept_key)
        swept_at, _, self._swept = marked.decode().partition(" ") if marked else ("0", "", None)
        age = (await self._store.server_milliseconds() - int(swept_at)) / 1000
        self._uncharged_until = time.monotonic() + UNCHARGED_SECONDS - age
        self._sweeping = None
        self._term = self.lease.term

    async def _living_epoch(self) -> str | None:
        word = await self._store.command("GET", self._store.calls.scheduler_key)
        return None if word is None else str(orjson.loads(word)["epoch"])

    # A new scheduler --------------------------------------------------------------------------------------------------

    async def _sweep(self, epoch: str) -> None:
        """Looks at every task that was dispatched before this epoch began: at once, and some seconds later at those
        that may just have been on their way to the new scheduler."""
        now, monotonic = await self._store.server_milliseconds(), time.monotonic()
        if self._sweeping is None or self._sweeping.epoch != epoch:
            logger.info("a new scheduler: all open tasks are looked at")
            self._uncharged_until = monotonic + UNCHARGED_SECONDS
            await self._sweep_once(now, heard_before=now - milliseconds(ON_THE_WAY_SECONDS))
            self._sweeping = _Sweep(epoch, now, monotonic)
        elif monotonic - self._sweeping.monotonic >= ON_THE_WAY_SECONDS:
            await self._sweep_once(now, heard_before=self._sweeping.began_at)
            if self.active:
                await self._store.run(self._store.calls.record_time(self._store.calls.swept_key, epoch))
                self._swept, self._sweeping = epoch, None

    async def _sweep_once(self, now: int, *, heard_before: int) -> None:
        # A dispatched task is due CHECK_AFTER_SECONDS after its last sign of life, so its score says when that was.
        # Only Redis's clock counts.
        check = milliseconds(CHECK_AFTER_SECONDS)
        await self._claim(cutoff=now + check, skip_unstarted_after=heard_before + check)

    # What is due ------------------------------------------------------------------------------------------------------

    async def _claim(self, cutoff: int | None = None, skip_unstarted_after: int | None = None) -> None:
        """Claims what is due, a page of each shard at a time, and acts on it."""
        shards = list(SHARDS)
        while shards and self.active:
            calls = self._store.calls
            answers = await self._store.run_many(
                [calls.claim_due(digit, PAGE, cutoff, skip_unstarted_after=skip_unstarted_after) for digit in shards]
            )
            await self._act([item for _, due in answers for item in due])
            # What a page brought is on its way before the next one is looked at.
            await self._dispatcher.drained()
            shards = [digit for digit, (more, _) in zip(shards, answers, strict=True) if more]

    async def _act(self, due: list[Due]) -> None:
        """Dispatches, or asks the scheduler and gives up what it does not know.

        Raises:
            SchedulerUnavailable: the scheduler does not answer; the attempts are due again after CHECK_AFTER_SECONDS.
        """
        self._dispatch([item for item in due if item.action == "dispatch"])
        checks = [item for item in due if item.action == "check"]
        if not checks:
            return
        metrics.labelled(metrics.RECOVERIES, "checked").inc(len(checks))
        held = await self._scheduler.call(
            "dask_graphql_held", attempts=[[item.task_id, item.attempt] for item in checks]
        )
        if lost := [item for item, is_held in zip(checks, held, strict=True) if not is_held]:
            await self._give_up(lost)

    def _dispatch(self, due: list[Due]) -> None:
        metrics.labelled(metrics.RECOVERIES, "dispatched").inc(len(due))
        for item in due:
            self._dispatcher.put(Dispatchable(item.task_id, item.attempt, item.name, item.input, item.priority))

    async def _give_up(self, lost: list[Due]) -> None:
        """Gives up attempts that the scheduler does not know, and dispatches the next ones."""
        # Asked after the scheduler was: a new one in between would know none of them.
        uncharged = time.monotonic() < self._uncharged_until or await self._living_epoch() != self._swept
        answers = await self._store.run_many([self._take_over_from(item, uncharged=uncharged) for item in lost])
        self._dispatch([due for _, due in answers if due is not None])
        metrics.labelled(metrics.RECOVERIES, "lost").inc(len(lost))
        for verdict, count in Counter(verdict for verdict, _ in answers).items():
            metrics.count_lost("unknown", verdict, count)
        if uncharged:
            logger.info("%d attempts that the new scheduler does not know are dispatched again", len(lost))
        else:
            for item, (verdict, _) in zip(lost, answers, strict=True):
                with log_context(taskId=item.task_id, attempt=item.attempt):
                    logger.warning("task %s attempt %d has no living attempt: %s", item.task_id, item.attempt, verdict)
        if any(verdict == "QUEUED" and due is None for verdict, due in answers):
            self._wake.set()

    def _take_over_from(self, item: Due, *, uncharged: bool) -> Call[tuple[str, Due | None]]:
        loss_reason: LossReason = "none" if uncharged else "worker" if item.running else "undelivered"
        return self._store.calls.replace_lost(
            item.task_id, item.attempt, loss_reason, _DIED if item.running else _UNKNOWN
        )

    async def _log_queue_age(self) -> None:
        """One line of the log, of which terraform/modules/observability makes a metric.
        A task that waits for its `notBefore` waits too."""
        age = round(await self._store.queue_age(), 1)
        logger.info("queue_age_seconds %.1f", age, extra={"fields": {"queueAgeSeconds": age}})
