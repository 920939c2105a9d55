"""The GraphQL type of an attempt to run a task."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime

import strawberry

from cluster.store.attempts import Attempt, attempts_of
from cluster.store.record import EventKind, Record
from graphql_api.answer_size import current_answer
from graphql_api.context import ApiInfo
from graphql_api.schema.times import to_datetime


@strawberry.type(name="Attempt", description="One try to run a task.")
class AttemptType:
    number: int = strawberry.field(description="From 1 within the task; numbers continue when it is computed again.")
    worker: str | None = strawberry.field(description="Null if no worker began it, or if that is not known any more.")
    started_at: datetime.datetime | None = strawberry.field(description="When a worker began it; null likewise.")
    ended_at: datetime.datetime | None = strawberry.field(description="Null while it waits or runs.")
    end: EventKind | None = strawberry.field(
        description="What ended it: SUCCEEDED, FAILED, CANCELLED, RETRY (it failed and another one follows) or LOST "
        "(its worker or the scheduler lost it); null while it waits or runs."
    )
    reason: str | None = strawberry.field(description="Why, for people; null without a reason.")

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptType":
        return cls(
            number=attempt.number, worker=attempt.worker, started_at=to_datetime(attempt.started_at),
            ended_at=to_datetime(attempt.ended_at), end=attempt.end, reason=attempt.reason,
        )  # fmt: skip


async def load_attempts(record: Record, info: ApiInfo) -> list[AttemptType]:
    """Loads the attempts of a task."""
    answer = current_answer()
    events = await answer.in_turn(info.context.node.store.read_events(record.task_id))
    answer.read(sum(len(event.message or "") for event in events))
    return [AttemptType.of(attempt) for attempt in attempts_of(record, events)]
