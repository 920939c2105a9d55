"""The GraphQL type of one change of a task."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime

import orjson
import strawberry

from cluster.store.record import Event, EventKind, Record, TaskState
from graphql_api.schema.times import to_datetime


def make_task_event(task_class: type) -> type:
    """`TaskEvent` for a schema's `Task`."""

    @strawberry.type(description="One change of a task, numbered by `seq` from 1.")
    class TaskEvent:
        event: strawberry.Private[Event]
        record: strawberry.Private[Record]

        @strawberry.field
        def task_id(self) -> strawberry.ID:
            return strawberry.ID(self.record.task_id)

        @strawberry.field(description="Number of this event; to resume, pass the last one received as `afterSeq`.")
        def seq(self) -> int:
            return self.event.seq

        @strawberry.field
        def kind(self) -> EventKind:
            return self.event.kind

        @strawberry.field(description="The state after this event.")
        def state(self) -> TaskState:
            return self.event.state

        @strawberry.field
        def attempt(self) -> int:
            return self.event.attempt

        @strawberry.field
        def at(self) -> datetime.datetime:
            at = to_datetime(self.event.at)
            assert at is not None
            return at

        @strawberry.field(description="Progress from 0 to 1, if the event reports it.")
        def progress(self) -> float | None:
            return self.event.progress

        @strawberry.field(description="What the task reported with its progress, or why it was retried, lost or ended.")
        def message(self) -> str | None:
            return self.event.message

        @strawberry.field(description="The data that the task reported with its progress, if the event reports any.")
        def data(self) -> strawberry.scalars.JSON | None:
            return None if self.event.data is None else orjson.loads(self.event.data)

        @strawberry.field(description="Of STARTED: the worker that began the attempt.")
        def worker(self) -> str | None:
            return self.event.worker

        @strawberry.field(description="The task as it is now, which may be ahead of this event.")
        def task(self) -> task_class:  # type: ignore[valid-type]
            return task_class(record=self.record)  # type: ignore[no-any-return]

    return TaskEvent
