"""Recovery: dispatches open tasks again that have no live attempt.

The recoverer claims open tasks that are due. New attempts of lost ones, retries and delayed tasks are dispatched. For
tasks without a recent sign of life it asks the scheduler whether it still holds the attempt. A new scheduler knows no
tasks, so after its start all open tasks are checked (a sweep), page by page, each page being dispatched before the next
is claimed. Attempts that were lost with the previous scheduler do not count against their tasks.

Each scheduler has a recoverer of its own, for the shards whose tasks belong to it: while one is away, the others' tasks
are recovered all the same.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from cluster import attempt_errors
from cluster.api_node.dispatcher import Dispatchable, Dispatches
from cluster.api_node.leader_service import LeaderService
from cluster.observability import metrics
from cluster.observability.logs import log_context
from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable, numbered
from cluster.scheduling.scheduler_heartbeat import read_heartbeat
from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.call_builder import CHECK_AFTER_SECONDS, milliseconds
from cluster.store.child_calls import Unwanted, submitter_name
from cluster.store.keys import shards_of
from cluster.store.lua_scripts import Call
from cluster.store.record import Record
from cluster.store.replies import Due
from cluster.store.task_calls import LossReason

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
"""Interval at which due tasks are claimed. A loss that was announced is handled at once."""
REPORT_SECONDS: Final = 1.0
"""Interval at which the completion of a round is recorded in Redis."""
QUEUE_AGE_SECONDS: Final = 30.0
"""Interval at which the age of the queue is logged."""
PAGE_SIZE: Final = 64
"""Maximum number of tasks per shard in one step: 1,024 in all shards, about 10 ms of Redis's time in 16 slices."""
UNWANTED_PAGE_SIZE: Final = 8
"""Maximum number of runs per shard whose children are withdrawn in one step; each may have thousands."""
IN_TRANSIT_SECONDS: Final = 3.0
"""An attempt that was dispatched more recently may not have reached the scheduler yet."""
GRACE_SECONDS: Final = 30.0
"""For this long after the start of a new scheduler, attempts that it does not know do not count against their tasks:
the worker that ran one may have reported until a moment ago."""

_WORKER_LOST: Final = attempt_errors.worker_lost(None)
_UNKNOWN: Final = attempt_errors.undelivered(
    "it was sent to the scheduler many times, and each time the scheduler did not know it afterwards"
)


@dataclass(frozen=True, slots=True)
class _Sweep:
    """A sweep whose first pass is done.

    Attributes:
        epoch: of the new scheduler.
        started_at: milliseconds since 1970 by Redis's clock.
        started_monotonic: the same moment by this process's `time.monotonic`.
    """

    epoch: str
    started_at: int
    started_monotonic: float


class Recoverer(LeaderService):
    """One node's candidate for recovery.

    Args:
        paused: returns the names of the paused task types, whose due tasks are held.
        forget: called with id and attempt of a task that has ended, which the scheduler may still have.
        cancelled: called with the record of a task that was just cancelled.
        number: of the scheduler, whose shards this candidate recovers.
        schedulers: how many there are.
    """

    def __init__(
        self,
        store: Store,
        scheduler: SchedulerClient,
        dispatcher: Dispatches,
        node: str,
        paused: Callable[[], Collection[str]] = tuple,
        forget: Callable[[str, int], None] = lambda task_id, attempt: None,
        cancelled: Callable[[Record], None] = lambda record: None,
        *,
        number: int = 0,
        schedulers: int = 1,
    ) -> None:
        self._keys = store.calls.of_scheduler(number)
        super().__init__(store, numbered("recovery", number), self._keys.recoverer_key, node)
        self._number, self._schedulers = number, schedulers
        self._shards = shards_of(number, schedulers)
        self._paused, self._forget, self._cancelled = paused, forget, cancelled
        self._scheduler = scheduler
        self._dispatcher = dispatcher
        self._term = 0
        self._swept_epoch: str | None = None
        self._sweep_state: _Sweep | None = None
        self._grace_until = 0.0
        self._next_report = self._next_queue_age = 0.0

    async def _round(self) -> None:
        """Waits until something may be due, then claims and handles it."""
        await self._wait_for_work(POLL_SECONDS)
        if not self.active:
            return
        if self._term != self.lease.term:
            await self._on_leadership_acquired()
        if not self._number and time.monotonic() >= self._next_queue_age:
            self._next_queue_age = time.monotonic() + QUEUE_AGE_SECONDS
            await self._log_queue_age()
        await self._expire_unstarted()
        await self._withdraw_children()
        try:
            await self._recover()
        except SchedulerUnavailable as error:
            logger.info("recovery is waiting for the scheduler: %s", error)
        if time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + REPORT_SECONDS
            await self._store.run(self._store.calls.record_time(self._keys.recovered_key))

    async def _recover(self) -> None:
        """Claims and handles what is due. Without a scheduler it stays due.

        Raises:
            SchedulerUnavailable: the scheduler became unavailable. An interrupted sweep starts again.
        """
        epoch = await self._current_epoch() if self._scheduler.connected else None
        if epoch is None:
            return
        if epoch != self._swept_epoch:
            await self._sweep(epoch)
        await self._claim()

    async def _expire_unstarted(self) -> None:
        """Ends the tasks that have not started in time, whether or not there is a scheduler."""
        shards = list(self._shards)
        while shards and self.active:
            calls = [self._store.calls.expire_unstarted(digit, PAGE_SIZE) for digit in shards]
            replies = await self._store.run_many(calls)
            for count, ended in replies:
                metrics.labelled(metrics.RECOVERIES, "expired").inc(count)
                for task_id, attempt in ended:
                    self._forget(task_id, attempt)
            shards = [digit for digit, (count, _) in zip(shards, replies, strict=True) if count == PAGE_SIZE]

    async def _withdraw_children(self) -> None:
        """Withdraws the children of runs that have ended without needing them; those of a child that this ends are
        withdrawn next."""
        shards = list(self._shards)
        while shards and self.active:
            replies = await self._store.run_many(
                [self._store.calls.claim_unwanted(digit, UNWANTED_PAGE_SIZE) for digit in shards]
            )
            for digit, runs in zip(shards, replies, strict=True):
                for run in runs:
                    await self._withdraw(run)
                if runs:
                    await self._store.run(self._store.calls.remove_unwanted(digit, runs))
            shards = [digit for digit, runs in zip(shards, replies, strict=True) if len(runs) == UNWANTED_PAGE_SIZE]

    async def _withdraw(self, run: Unwanted) -> None:
        actor = Actor(submitter_name(run.task_id, run.submitted_at))
        for i in range(0, len(run.children), PAGE_SIZE):
            page = run.children[i : i + PAGE_SIZE]
            calls = [self._store.calls.cancel(child, actor, "withdraw") for child in page]
            for ended, record in await self._store.run_many(calls):
                if ended and record is not None:
                    self._cancelled(record)

    async def _on_leadership_acquired(self) -> None:
        """Continues from the state of the previous lease holder."""
        marked = await self._store.command("GET", self._keys.swept_key)
        swept_at, _, self._swept_epoch = marked.decode().partition(" ") if marked else ("0", "", None)
        age = (await self._store.server_milliseconds() - int(swept_at)) / 1000
        self._grace_until = time.monotonic() + GRACE_SECONDS - age
        self._sweep_state = None
        self._term = self.lease.term

    async def _current_epoch(self) -> str | None:
        """The scheduler's epoch, and the number of schedulers if there are several: with another number it has other
        shards, of whose tasks it knows nothing, as a new one."""
        heartbeat = await read_heartbeat(self._store, self._keys)
        if heartbeat is None:
            return None
        return heartbeat.epoch if self._schedulers == 1 else f"{heartbeat.epoch}/{self._schedulers}"

    # A new scheduler --------------------------------------------------------------------------------------------------

    async def _sweep(self, epoch: str) -> None:
        """Checks every task that was dispatched before this epoch began, in two passes: at once, and some seconds later
        those that may have been in transit to the new scheduler."""
        now, monotonic = await self._store.server_milliseconds(), time.monotonic()
        if self._sweep_state is None or self._sweep_state.epoch != epoch:
            logger.info("the scheduler is new: checking all open tasks")
            self._grace_until = monotonic + GRACE_SECONDS
            # Workers of another release need a moment to report what they still run.
            await self._sweep_pass(now, now - milliseconds(IN_TRANSIT_SECONDS), checks_running=False)
            self._sweep_state = _Sweep(epoch, now, monotonic)
        elif monotonic - self._sweep_state.started_monotonic >= IN_TRANSIT_SECONDS:
            await self._sweep_pass(now, self._sweep_state.started_at)
            if self.active:
                await self._store.run(self._store.calls.record_time(self._keys.swept_key, epoch))
                self._swept_epoch, self._sweep_state = epoch, None

    async def _sweep_pass(self, now: int, dispatched_before: int, *, checks_running: bool = True) -> None:
        # A dispatched task is due CHECK_AFTER_SECONDS after its last sign of life, so its score says when that was.
        # Only Redis's clock counts.
        check = milliseconds(CHECK_AFTER_SECONDS)
        await self._claim(now + check, dispatched_before + check, checks_running=checks_running)

    # Due tasks --------------------------------------------------------------------------------------------------------

    async def _claim(
        self, cutoff: int | None = None, skip_unstarted_after: int | None = None, *, checks_running: bool = True
    ) -> None:
        """Claims and handles what is due, one page of each shard at a time."""
        shards = list(self._shards)
        while shards and self.active:
            calls = self._store.calls
            replies = await self._store.run_many(
                [
                    calls.claim_due(
                        digit, PAGE_SIZE, cutoff, skip_unstarted_after=skip_unstarted_after, paused=self._paused()
                    )
                    for digit in shards
                ]
            )
            await self._handle([item for _, due in replies for item in due if checks_running or not item.running])
            # Send this page before claiming the next.
            await self._dispatcher.drained()
            shards = [digit for digit, (more, _) in zip(shards, replies, strict=True) if more]

    async def _handle(self, due: list[Due]) -> None:
        """Dispatches attempts, or asks the scheduler for them and replaces those that it does not know.

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
            await self._replace_lost(lost)

    def _dispatch(self, due: list[Due]) -> None:
        metrics.labelled(metrics.RECOVERIES, "dispatched").inc(len(due))
        for item in due:
            attempt = Dispatchable(
                item.task_id, item.attempt, item.name, item.input, item.priority, "", item.account, item.resumes,
                item.pool,
            )  # fmt: skip
            self._dispatcher.put(attempt)

    async def _replace_lost(self, lost: list[Due]) -> None:
        """Replaces attempts that the scheduler does not know and dispatches the new ones."""
        # The epoch is read after the scheduler was asked: one that started in between would know none of them.
        in_grace = time.monotonic() < self._grace_until or await self._current_epoch() != self._swept_epoch
        replies = await self._store.run_many([self._replace_call(item, in_grace=in_grace) for item in lost])
        self._dispatch([due for _, due in replies if due is not None])
        metrics.labelled(metrics.RECOVERIES, "lost").inc(len(lost))
        for verdict, count in Counter(verdict for verdict, _ in replies).items():
            metrics.count_lost("unknown", verdict, count)
        if in_grace:
            logger.info("%d attempts unknown to the new scheduler are dispatched again", len(lost))
        else:
            for item, (verdict, _) in zip(lost, replies, strict=True):
                with log_context(taskId=item.task_id, attempt=item.attempt):
                    logger.warning(
                        "task %s attempt %d is unknown to the scheduler: %s", item.task_id, item.attempt, verdict
                    )
        if any(verdict == "QUEUED" and due is None for verdict, due in replies):
            self.wake()

    def _replace_call(self, item: Due, *, in_grace: bool) -> Call[tuple[str, Due | None]]:
        loss_reason: LossReason = "none" if in_grace else "worker" if item.running else "undelivered"
        error = _WORKER_LOST if item.running else _UNKNOWN
        hold = item.name in self._paused()
        return self._store.calls.replace_lost(item.task_id, item.attempt, loss_reason, error, claim=not hold)

    async def _log_queue_age(self) -> None:
        """Logs one line, from which terraform/modules/observability derives a metric. Tasks that wait for their
        `notBefore` are included."""
        age = round(await self._store.queue_age(), 1)
        logger.info("queue_age_seconds %.1f", age, extra={"fields": {"queueAgeSeconds": age}})
