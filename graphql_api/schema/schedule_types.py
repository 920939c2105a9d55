"""Schedules in the schema: what is submitted by itself and when, and what became of it."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from itertools import islice
from typing import Self

import strawberry

from cluster.errors import BadInput, ScheduleNotFound
from cluster.schedules.schedule import Overlap, Schedule, Tick, TickOutcome
from cluster.schedules.timing import check_timing
from cluster.store.actor import Actor
from cluster.store.schedules import read_schedule, read_schedules
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.arguments import given
from graphql_api.schema.times import to_datetime, to_milliseconds

MAX_NEXT_RUNS = 50
"""Ticks to come that one query tells of a schedule."""
MAX_PREVIEW_MILLISECONDS = 10 * 366 * 86_400_000
"""How far from now a preview begins at most."""

strawberry.enum(
    Overlap,
    name="ScheduleOverlap",
    description="What happens to a tick while the task of the tick before is still open. SKIP: it submits nothing. "
    "ALLOW: it is submitted all the same. CANCEL_PREVIOUS: it is submitted after the schedule has withdrawn the one "
    "before, which ends unless others want it too.",
)
strawberry.enum(
    TickOutcome,
    name="ScheduleOutcome",
    description="SUBMITTED: there is a task for it. SKIPPED: the task before was open, and `overlap` is SKIP. MISSED: "
    "it could not be submitted within `catchUpSeconds`, nor could any after it until then.",
)


@strawberry.type(description="A tick of a schedule that is over.")
class TaskScheduleRun:
    at: datetime.datetime = strawberry.field(description="When it was due.")
    outcome: TickOutcome
    task_id: strawberry.ID | None = strawberry.field(description="The task that it submitted.")

    @classmethod
    def of(cls, tick: Tick) -> Self:
        return cls(
            at=_time(tick.at), outcome=tick.outcome, task_id=strawberry.ID(tick.task_id) if tick.task_id else None
        )


@strawberry.type(
    name="TaskSchedule",
    description="Submits a task again and again. Each tick is a run of its own: its task has the run key "
    "`schedule:<name>@<the tick's time in UTC>`, and all have the tag `schedule:<name>`.",
)
class ScheduleType:
    stored: strawberry.Private[Schedule]

    @strawberry.field
    def name(self) -> str:
        return self.stored.name

    @strawberry.field(description="Name of the task type.")
    def task(self) -> str:
        return self.stored.task

    @strawberry.field(description="The arguments in canonical form.")
    def input(self) -> strawberry.scalars.JSON:
        return self.stored.input  # type: ignore[return-value]

    @strawberry.field(
        description="Minute, hour, day of the month, month, day of the week, in `timeZone`; null if it has "
        "`everySeconds`."
    )
    def cron(self) -> str | None:
        return self.stored.timing.cron or None

    @strawberry.field(description="The interval, counted from 1970; null if it has `cron`.")
    def every_seconds(self) -> float | None:
        return self.stored.timing.every_seconds or None

    @strawberry.field
    def time_zone(self) -> str:
        return self.stored.timing.time_zone

    @strawberry.field
    def overlap(self) -> Overlap:
        return self.stored.overlap

    @strawberry.field(description="How late a tick is still submitted, as after an outage; then it is MISSED.")
    def catch_up_seconds(self) -> float:
        return self.stored.catch_up_seconds

    @strawberry.field(description="Of its tasks.")
    def priority(self) -> int:
        return self.stored.priority

    @strawberry.field(description="Of its tasks, beside `schedule:<name>`.")
    def tags(self) -> list[str]:
        return list(self.stored.tags)

    @strawberry.field(description="How long results are kept; null for what the task type declares.")
    def ttl_seconds(self) -> float | None:
        return self.stored.ttl_seconds

    @strawberry.field(description="Since when it submits nothing; null if it is not paused.")
    def paused_at(self) -> datetime.datetime | None:
        return to_datetime(self.stored.paused_at)

    @strawberry.field(description="The next ticks, at most 50; none while it is paused.")
    def next_runs(self, first: int = 5) -> list[datetime.datetime]:
        _check_first(first)
        if self.stored.paused_at is not None:
            return []
        return [_time(tick) for tick in islice(self.stored.timing.ticks(self.stored.decided_until), first)]

    @strawberry.field(description="Its last ticks, at most 10, the newest first.")
    def runs(self) -> list[TaskScheduleRun]:
        return [TaskScheduleRun.of(tick) for tick in reversed(self.stored.runs)]

    @strawberry.field(
        description="Why the tick that is due could not be submitted yet, or was missed; null once one was submitted."
    )
    def problem(self) -> str | None:
        return self.stored.problem or None

    @strawberry.field(description="Who set it last; null unless the caller is an admin or of the same tenant.")
    def set_by(self, info: ApiInfo) -> str | None:
        actor = Actor.parse(self.stored.set_by)
        return (actor.title or actor.name) if actor is not None and info.context.caller.can_name(actor) else None

    @strawberry.field
    def set_at(self) -> datetime.datetime:
        return _time(self.stored.set_at)


async def list_schedules(info: ApiInfo) -> list[ScheduleType] | None:
    caller = _reader(info)
    found = await read_schedules(info.context.node.store)
    seen = [item for item in found.values() if caller.tenant_seen in (None, item.tenant)]
    return [ScheduleType(stored=item) for item in sorted(seen, key=lambda item: (item.name, item.tenant))]


async def get_schedule(info: ApiInfo, name: str) -> ScheduleType | None:
    return ScheduleType(stored=await find_schedule(info, _reader(info), name))


async def preview_runs(
    info: ApiInfo,
    cron: str | None = strawberry.UNSET,
    every_seconds: float | None = strawberry.UNSET,
    time_zone: str = "UTC",
    after: datetime.datetime | None = strawberry.UNSET,
    first: int = 5,
) -> list[datetime.datetime] | None:
    _reader(info)
    _check_first(first)
    now = await info.context.node.store.server_milliseconds()
    asked = to_milliseconds(given(after), "after")
    begin = now if asked is None else asked
    if abs(begin - now) > MAX_PREVIEW_MILLISECONDS:
        raise BadInput(f"after must be within ten years from now, not {after}", argument="after")
    timing = check_timing(given(cron), given(every_seconds), time_zone, begin)
    return [_time(tick) for tick in islice(timing.ticks(begin), first)]


async def find_schedule(info: ApiInfo, caller: Caller, name: str) -> Schedule:
    """A schedule of the caller's tenant.

    Raises:
        ScheduleNotFound: it has none with this name.
    """
    found = await read_schedule(info.context.node.store, caller.tenant, name)
    if found is None:
        raise schedule_not_found(name)
    return found


def schedule_not_found(name: str) -> ScheduleNotFound:
    return ScheduleNotFound(f"there is no schedule {name[:60]!r}")


def _reader(info: ApiInfo) -> Caller:
    caller = info.context.caller
    caller.require(Scope.READ)
    caller.require_unconfined("schedules")
    return caller


def _check_first(first: int) -> None:
    """Raises:
    BadInput: there are not so many.
    """
    if not 0 < first <= MAX_NEXT_RUNS:
        raise BadInput(f"first must be from 1 to {MAX_NEXT_RUNS}, not {first}", argument="first")


def _time(at: int) -> datetime.datetime:
    time = to_datetime(at)
    assert time is not None
    return time
