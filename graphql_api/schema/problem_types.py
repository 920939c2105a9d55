"""What is wrong with the cluster, as GraphQL."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
import enum
from typing import Self

import strawberry

from cluster.api_node import problems
from graphql_api.schema.times import to_datetime


@strawberry.enum(name="ProblemCode", description="What kind of problem it is. More may be added.")
class ProblemCode(enum.Enum):
    SCHEDULER_UNAVAILABLE = strawberry.enum_value(
        "SCHEDULER_UNAVAILABLE", description="This api node has no connection to the scheduler."
    )
    NO_WORKERS = strawberry.enum_value("NO_WORKERS", description="Tasks wait, and no worker runs or starts.")
    WORKERS_CANNOT_START = strawberry.enum_value(
        "WORKERS_CANNOT_START", description="The platform starts no workers now, or one could not start."
    )
    FLEET_AT_MAXIMUM = strawberry.enum_value(
        "FLEET_AT_MAXIMUM",
        description="Tasks have waited for a minute, and all workers that are allowed run; or the "
        "ceiling in dollars allows fewer than are wanted.",
    )
    REDIS_NEARLY_FULL = strawberry.enum_value(
        "REDIS_NEARLY_FULL",
        description="Redis uses more than 80 % of its `maxmemory`; not told to callers of an isolated tenant.",
    )
    TASK_TYPE_FAILS = strawberry.enum_value(
        "TASK_TYPE_FAILS", description="At least 5 tasks of a type, and 20 %, failed in the last 15 minutes."
    )
    TASK_TYPE_PAUSED = strawberry.enum_value("TASK_TYPE_PAUSED", description="An operator has paused a task type.")
    SCHEDULE_FAILS = strawberry.enum_value(
        "SCHEDULE_FAILS",
        description="What a schedule submits was refused when it was due, or this api node does not have its task "
        "type.",
    )


@strawberry.type(description="Something that is wrong with the cluster, in plain words.")
class Problem:
    code: ProblemCode
    message: str = strawberry.field(description="What is wrong.")
    advice: str = strawberry.field(description="What to do about it.")
    since: datetime.datetime | None = strawberry.field(description="When it began, if that is known.")
    name: str | None = strawberry.field(description="The task type that it is about, if it is about one.")
    worker: str | None = strawberry.field(description="The worker that it is about, if it is about one.")
    schedule: str | None = strawberry.field(description="The schedule that it is about, if it is about one.")

    @classmethod
    def of(cls, problem: problems.Problem) -> Self:
        """A problem as its GraphQL type."""
        return cls(
            code=ProblemCode(problem.code.value),
            message=problem.message,
            advice=problem.advice,
            since=None if problem.since is None else to_datetime(round(problem.since * 1000)),
            name=problem.name,
            worker=problem.worker,
            schedule=problem.schedule,
        )
