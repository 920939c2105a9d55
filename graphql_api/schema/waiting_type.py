"""The GraphQL type `Waiting`: why a task waits."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import enum
from typing import Any

import strawberry

from cluster.store.record import Record
from graphql_api.context import ApiInfo


@strawberry.enum(name="WaitingReason", description="Why a QUEUED task does not run.")
class WaitingReasonName(enum.Enum):
    QUEUED_BEHIND = strawberry.enum_value("QUEUED_BEHIND", description="All workers are busy; its turn will come.")
    NO_WORKER = strawberry.enum_value("NO_WORKER", description="No worker takes tasks, and none is being launched.")
    LAUNCHING = strawberry.enum_value("LAUNCHING", description="The first worker is being launched.")
    NOT_BEFORE = strawberry.enum_value("NOT_BEFORE", description="The time `notBefore` has not come.")
    RETRY = strawberry.enum_value("RETRY", description="An attempt failed; the pause before the next one is not over.")
    LIMIT = strawberry.enum_value(
        "LIMIT", description="As many of its type, its key or its tenant run as are allowed to at once."
    )
    PAUSED = strawberry.enum_value("PAUSED", description="An operator has paused its task type.")
    SCHEDULER_AWAY = strawberry.enum_value(
        "SCHEDULER_AWAY", description="The api has no connection to the scheduler. The task is safe."
    )


@strawberry.type(name="Waiting", description="Why a task waits, and for how long.")
class WaitingType:
    reason: WaitingReasonName
    ahead: int | None = strawberry.field(
        description="How many tasks wait for the same and come first; null if that is not known."
    )
    eta_seconds: float | None = strawberry.field(
        description="Expected time until it starts, from the measured durations of what comes first; of NOT_BEFORE and "
        "RETRY, until its time has come; of LAUNCHING, how long launches took of late. Null without a basis."
    )


async def load_waiting(record: Record, info: ApiInfo) -> Any:
    """Why a QUEUED task waits; None if it has just started."""
    found = await info.context.node.waits.read(record)
    if found is None:
        return None
    return WaitingType(reason=WaitingReasonName[found.reason], ahead=found.ahead, eta_seconds=found.eta_seconds)
