"""Submits what is scheduled. One api node at a time does; a lease decides.

A tick's time is the run key of its task. So if two nodes ever submit the same tick, they submit the same task, and the
second joins the first; and a node that dies between the submission and the note of it leaves nothing to be undone.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Final

from cluster.api_node.cancellation import Cancellations
from cluster.api_node.leader_service import LeaderService
from cluster.api_node.submission import Submissions, SubmitOptions
from cluster.errors import BadInput, PublicError, StoreUnavailable
from cluster.observability import metrics
from cluster.schedules.schedule import Overlap, Schedule, Tick, TickOutcome, decide
from cluster.settings import Settings
from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.record import Record
from cluster.store.schedules import SCHEDULES_CHANGED, record_tick, stored_schedules
from cluster.task_types.registry import Registry
from cluster.task_types.task_type import Bound

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
"""Pause between two looks at the clock."""
READ_SECONDS: Final = 15.0
"""Interval at which all schedules are read again; a change is announced, and read at once."""
RETRY_SECONDS: Final = 10.0
"""Pause after a tick could not be submitted."""


class ScheduleRunner(LeaderService):
    """One node's candidate for submitting what is scheduled."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        registry: Registry,
        submissions: Submissions,
        cancellations: Cancellations,
        node: str,
    ) -> None:
        super().__init__(store, "schedules", store.calls.schedule_runner_key, node)
        self._settings = settings
        self._registry = registry
        self._submissions = submissions
        self._cancellations = cancellations
        self._due_at: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        """The hashes of the schedules, as they were read last."""
        self._read_at = float("-inf")

    def on_broadcast(self, message: str) -> None:
        """Reads the schedules again after one was changed."""
        if message == SCHEDULES_CHANGED:
            self._read_at = float("-inf")
            self.wake()

    async def _round(self) -> None:
        await self.lease.acquired()
        await self._wait_for_work(POLL_SECONDS)
        if self.active and self._settings.schedules_per_account:
            await self.run_due()

    async def run_due(self) -> None:
        """Submits what is due by now: of each schedule one tick, so that all get their turn.

        Raises:
            StoreUnavailable: Redis does not answer; the next round goes on.
        """
        now = await self._store.server_milliseconds()
        if time.monotonic() >= self._read_at + READ_SECONDS:
            self._read_at = time.monotonic()
            found = {field: hash(text) for field, text in (await stored_schedules(self._store)).items()}
            # One that was changed may be due at another time.
            self._due_at = {
                field: self._due_at.get(field, 0) if self._seen.get(field) == text else 0
                for field, text in found.items()
            }
            self._seen = found
        for field in [field for field, due_at in self._due_at.items() if due_at <= now]:
            await self._run(field, now)

    async def _run(self, field: str, now: int) -> None:
        stored = await self._store.command("HGET", self._store.calls.schedules_key, field)
        if not stored:
            del self._due_at[field]
            return
        before = schedule = Schedule.load(stored)
        retry_at = now
        try:
            due = decide(schedule, now)
            schedule = due.schedule
            if due.tick is not None:
                schedule = await self._take_turn(schedule, due.tick)
        except StoreUnavailable:
            raise
        except PublicError as error:
            # It is tried again until it is too late: the queue may be full, or this node may not have the type yet.
            schedule = replace(schedule, problem=error.message[:500])
            retry_at = now + round(RETRY_SECONDS * 1000)
            metrics.labelled(metrics.SCHEDULE_TICKS, "refused").inc()
            logger.warning("the schedule %s of %s cannot be submitted yet: %s", field, schedule.task, error.message)
        if schedule != before:
            await record_tick(self._store, stored, schedule)
            for tick in set(schedule.runs) - set(before.runs):
                metrics.labelled(metrics.SCHEDULE_TICKS, tick.outcome.lower()).inc()
        self._due_at[field] = retry_at if retry_at > now else _next_look(schedule, now)

    async def _take_turn(self, schedule: Schedule, at: int) -> Schedule:
        """Submits a tick, or skips it. Returns the schedule with what became of it.

        Raises:
            PublicError: it cannot be submitted now.
        """
        bound = bind_schedule(schedule, schedule.run_key(at), self._registry, self._settings)
        previous = schedule.last_task_id
        submitted, before = await self._store.read_many([bound.task_id, previous or bound.task_id], results=False)
        # A node that was to note the submission died, or is about to.
        if submitted is None:
            if previous and before is not None and not before.final:
                if schedule.overlap is Overlap.SKIP:
                    return schedule.after_tick(Tick(at, TickOutcome.SKIPPED))
                if schedule.overlap is Overlap.CANCEL_PREVIOUS:
                    await self._withdraw(before, schedule)
            await self._submissions.submit([bound], options_of(schedule, actor_of(schedule)))
        return schedule.after_tick(Tick(at, TickOutcome.SUBMITTED, bound.task_id))

    async def _withdraw(self, record: Record, schedule: Schedule) -> None:
        """Takes the schedule's wish for a task back; whoever else wants it keeps it."""
        call = self._store.calls.end(record.task_id, actor_of(schedule), "withdraw")
        reply = await self._store.run(call)
        if reply.done and reply.record is not None:
            self._cancellations.put(reply.record)


def actor_of(schedule: Schedule) -> Actor:
    """Who submits a schedule's tasks, as records and the audit log name it."""
    return Actor(schedule.tag, schedule.account, schedule.tag)


def bind_schedule(schedule: Schedule, run_key: str, registry: Registry, settings: Settings) -> Bound:
    """The task of a schedule with this run key.

    Raises:
        BadInput: this node has no such task type, or one that refuses the input.
    """
    task_type = registry.get(schedule.task)
    if task_type is None:
        raise BadInput(f"this api has no task type {schedule.task!r}", argument="task")
    return task_type.bind(schedule.input, salt=schedule.salt, limit_bytes=settings.input_limit_bytes, run_key=run_key)


def options_of(schedule: Schedule, actor: Actor) -> SubmitOptions:
    """How a schedule's tasks are submitted."""
    return SubmitOptions(
        priority=schedule.priority, ttl_seconds=schedule.ttl_seconds, tenant=schedule.tenant, account=schedule.account,
        actor=actor, tags=(schedule.tag, *schedule.tags),
    )  # fmt: skip


def _next_look(schedule: Schedule, now: int) -> int:
    """When to look at a schedule again; one that is paused, or never due again, when it is changed."""
    try:
        tick = schedule.next_tick()
    except BadInput:
        return now + round(RETRY_SECONDS * 1000)
    return 2**62 if tick is None else tick
