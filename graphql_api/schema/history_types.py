"""The history of the last day as GraphQL: of the whole system, and of each task type."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from collections.abc import Sequence
from typing import Final, Self

import strawberry

from cluster.api_node.history_counts import EndedTasks, Gauges
from cluster.api_node.history_reader import HistoryView
from cluster.api_node.history_schedule import MINUTE_MILLISECONDS
from cluster.errors import BadInput
from cluster.observability.log_histogram import percentile
from graphql_api.auth.callers import Caller
from graphql_api.context import ApiInfo
from graphql_api.schema.times import to_datetime

MIN_SECONDS: Final = 60
MAX_SECONDS: Final = 86_400
"""How far back the history goes."""
MAX_POINTS: Final = 1_440
MAX_ERRORS: Final = 10
"""Error codes of a task type that are shown."""


@strawberry.type(
    description="A part of the time, and what happened in it. Durations are in seconds, exact to a fifth; null if no "
    "task ended that has one."
)
class HistoryPoint:
    at: datetime.datetime = strawberry.field(description="When it begins.")
    waiting: int | None = strawberry.field(
        description="QUEUED tasks, on average; null where it is not known, for a task type, and for a caller of an "
        "isolated tenant."
    )
    running: int | None = strawberry.field(description="RUNNING tasks; null as `waiting` is.")
    workers: int | None = strawberry.field(
        description="Workers that were registered with the scheduler, on average; null where it is not known, and for "
        "a task type."
    )
    wanted: int | None = strawberry.field(description="Workers that the controller wanted; null as `workers` is.")
    succeeded: int = strawberry.field(description="Tasks that ended as SUCCEEDED.")
    failed: int = strawberry.field(description="Tasks that ended as FAILED.")
    cancelled: int = strawberry.field(description="Tasks that ended as CANCELLED.")
    wait_p50: float | None = strawberry.field(
        name="waitP50",
        description="How long half of the tasks at most had waited when they started, from their submission or their "
        "`notBefore`. Tasks that needed several attempts are left out.",
    )
    wait_p95: float | None = strawberry.field(name="waitP95", description="As `waitP50`, for 95 in 100.")
    wait_p99: float | None = strawberry.field(name="waitP99", description="As `waitP50`, for 99 in 100.")
    run_p50: float | None = strawberry.field(
        name="runP50", description="How long half of the tasks that succeeded or failed ran at most."
    )
    run_p95: float | None = strawberry.field(name="runP95", description="As `runP50`, for 95 in 100.")
    run_p99: float | None = strawberry.field(name="runP99", description="As `runP50`, for 99 in 100.")
    cost_per_hour: float | None = strawberry.field(
        description="Cost of the workers in US dollars per hour, on average; null as `Fleet.costPerHour` is, and for a "
        "task type."
    )

    @classmethod
    def of(cls, at: int, ended: EndedTasks, gauges: Gauges) -> Self:
        """The point that begins at a time, milliseconds since 1970."""
        return cls(
            at=to_datetime(at),
            waiting=_rounded(gauges.waiting),
            running=_rounded(gauges.running),
            workers=_rounded(gauges.workers),
            wanted=_rounded(gauges.wanted),
            succeeded=ended.succeeded,
            failed=ended.failed,
            cancelled=ended.cancelled,
            wait_p50=percentile(ended.wait, 0.5),
            wait_p95=percentile(ended.wait, 0.95),
            wait_p99=percentile(ended.wait, 0.99),
            run_p50=percentile(ended.run, 0.5),
            run_p95=percentile(ended.run, 0.95),
            run_p99=percentile(ended.run, 0.99),
            cost_per_hour=gauges.cost_per_hour,
        )


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


@strawberry.type(
    description="What happened in the last minutes or hours, up to a day: of the whole system, or, if tenants are "
    "isolated and the caller is no administrator, of the caller's tenant. It survives restarts of all nodes."
)
class History:
    from_: datetime.datetime = strawberry.field(name="from", description="When the first point begins.")
    to: datetime.datetime = strawberry.field(description="Now, when the last point is not over yet.")
    step_seconds: float = strawberry.field(
        description="Length of a point: a minute, or more if `points` asks for fewer. Beyond the last three hours, "
        "points are ten minutes long or more."
    )
    points: list[HistoryPoint] = strawberry.field(
        description="Oldest first, without gaps; the last one is not over yet."
    )


@strawberry.type(description="How many tasks failed with one error code.")
class ErrorCount:
    code: str = strawberry.field(description="`OTHER`: rare codes together.")
    count: int


@strawberry.type(
    description="How tasks of one type ended in a span of time; of the caller's tenant, if tenants are isolated and "
    "the caller is no administrator. Durations are in seconds, as in `HistoryPoint`."
)
class TaskTypeStats:
    view: strawberry.Private[HistoryView]
    name: strawberry.Private[str]
    tenant: strawberry.Private[str | None]
    seconds: strawberry.Private[int]
    runs: int = strawberry.field(description="Tasks that ended.")
    succeeded: int
    failed: int
    cancelled: int
    run_p50: float | None = strawberry.field(name="runP50", description="As in `HistoryPoint`.")
    run_p95: float | None = strawberry.field(name="runP95", description="As in `HistoryPoint`.")
    wait_p50: float | None = strawberry.field(name="waitP50", description="As in `HistoryPoint`.")
    wait_p95: float | None = strawberry.field(name="waitP95", description="As in `HistoryPoint`.")
    errors: list[ErrorCount] = strawberry.field(description="The ten most frequent error codes, the first one first.")

    @classmethod
    def of(cls, view: HistoryView, name: str, tenant: str | None, seconds: int) -> Self:
        """The numbers of a task type in a part of the history."""
        ended = view.total_of_type(name, tenant)
        return cls(
            view=view,
            name=name,
            tenant=tenant,
            seconds=seconds,
            runs=ended.count,
            succeeded=ended.succeeded,
            failed=ended.failed,
            cancelled=ended.cancelled,
            run_p50=percentile(ended.run, 0.5),
            run_p95=percentile(ended.run, 0.95),
            wait_p50=percentile(ended.wait, 0.5),
            wait_p95=percentile(ended.wait, 0.95),
            errors=[ErrorCount(code=code, count=count) for code, count in ended.errors.most_common(MAX_ERRORS)],
        )

    @strawberry.field(description="The same over time, oldest first, in at most so many points beside the current one.")
    async def history(self, info: ApiInfo, points: int = 48) -> list[HistoryPoint]:
        view = await info.context.node.history.read(self.seconds, checked_points(points))
        ended = view.of_type(self.name, self.tenant)
        return _points(view, ended, [Gauges()] * len(ended))


def checked_seconds(seconds: int) -> int:
    """How far back a caller looks.

    Raises:
        BadInput: it is out of bounds.
    """
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise BadInput(
            f"seconds must be from {MIN_SECONDS} to {MAX_SECONDS}, not {seconds}", argument="seconds", limit=MAX_SECONDS
        )
    return seconds


def checked_points(points: int) -> int:
    """The number of points that a caller asks for.

    Raises:
        BadInput: it is out of bounds.
    """
    if not 1 <= points <= MAX_POINTS:
        raise BadInput(f"points must be from 1 to {MAX_POINTS}, not {points}", argument="points", limit=MAX_POINTS)
    return points


async def read_history(info: ApiInfo, seconds: int, points: int) -> History:
    """The history that the caller may see.

    Raises:
        BadInput: an argument is out of bounds.
    """
    view = await info.context.node.history.read(checked_seconds(seconds), checked_points(points))
    tenant = info.context.caller.tenant_seen
    shown = _points(
        view,
        [point.total(tenant) for point in view.points],
        [_visible(point.gauges, info.context.caller) for point in view.points],
    )
    return History(
        from_=shown[0].at, to=to_datetime(view.read_at), step_seconds=float(view.window.step * 60), points=shown
    )


async def read_type_stats(info: ApiInfo, name: str, seconds: int) -> TaskTypeStats:
    """The numbers of a task type that the caller may see. All types of a query share one read.

    Raises:
        BadInput: the argument is out of bounds.
    """
    info.context.caller.require_unconfined("`stats`")
    view = await info.context.node.history.read(checked_seconds(seconds), 48)
    return TaskTypeStats.of(view, name, info.context.caller.tenant_seen, seconds)


def _visible(gauges: Gauges, caller: Caller) -> Gauges:
    """What a caller of an isolated tenant may know: of the workers, but not how many tasks others have."""
    if caller.tenant_seen is None:
        return gauges
    return Gauges(workers=gauges.workers, wanted=gauges.wanted, cost_per_hour=gauges.cost_per_hour)


def _points(view: HistoryView, ended: Sequence[EndedTasks], gauges: Sequence[Gauges]) -> list[HistoryPoint]:
    part = view.window
    return [
        HistoryPoint.of((part.first + i * part.step) * MINUTE_MILLISECONDS, *each)
        for i, each in enumerate(zip(ended, gauges, strict=True))
    ]
