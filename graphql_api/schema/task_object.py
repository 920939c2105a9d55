"""The GraphQL type `Task`: a record, as its fields show it."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from typing import Annotated, Any

import orjson
import strawberry

import graphql_api.schema.enums  # noqa: F401 - gives the enum TaskState its description
from cluster.store.actor import Actor
from cluster.store.record import Record, TaskState
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.attempt_type import AttemptType, load_attempts
from graphql_api.schema.estimate import load_cost, pool_of
from graphql_api.schema.families import load_child_count, load_children, load_parents
from graphql_api.schema.log_lines import LogLineType, load_log
from graphql_api.schema.node_interface import Node
from graphql_api.schema.other_versions import load_other_versions
from graphql_api.schema.results import decode_result, load_result, read_output, read_result
from graphql_api.schema.task_error import TaskError
from graphql_api.schema.times import to_datetime
from graphql_api.schema.waiting_type import WaitingType, load_waiting
from graphql_api.strawberry_internals import ForwardReference


def make_task(output_union: Any) -> type:
    """`Task` for a schema whose results are `output_union`."""

    made: dict[str, type] = {}
    this = ForwardReference("Task", __name__, made=made, key="Task")

    @strawberry.type(description="A task type applied to one input.")
    class Task(Node):
        record: strawberry.Private[Record]

        @strawberry.field(description="The same as `taskId`, for clients that keep objects by their `id`.")
        def id(self) -> strawberry.ID:
            return strawberry.ID(self.record.task_id)

        @strawberry.field(description="Hash of the task's name, version and input.")
        def task_id(self) -> strawberry.ID:
            return strawberry.ID(self.record.task_id)

        @strawberry.field(description="Name of the task type.")
        def name(self) -> str:
            return self.record.name

        @strawberry.field
        def version(self) -> str:
            return self.record.version

        @strawberry.field(description="The arguments in canonical form.")
        def input(self, info: ApiInfo) -> strawberry.scalars.JSON:
            info.context.caller.require(Scope.READ)
            return orjson.loads(self.record.input)  # type: ignore[no-any-return]

        @strawberry.field(
            description="How often an attempt that fails may be followed by another one, as its task type declares; 0 "
            "if this api does not have the task type any more."
        )
        def retries(self, info: ApiInfo) -> int:
            task_type = info.context.node.registry.get(self.record.name)
            return 0 if task_type is None else task_type.retries.limit

        @strawberry.field(
            description="The tasks of the same input under other versions of the task type, the version that was "
            "served last first. At most 20 versions are known; an input whose arguments have changed is another one. "
            "Empty for callers of another tenant."
        )
        async def other_versions(self, info: ApiInfo) -> list[this]:  # type: ignore[valid-type]
            info.context.caller.require(Scope.READ)
            return [Task(record=record) for record in await load_other_versions(self.record, info)]

        @strawberry.field(
            description="The tasks that its latest run has submitted while it ran, in their order, at most 200 of "
            "them: `first` from the one after `skip` others. Those whose records have expired are left out."
        )
        async def children(self, info: ApiInfo, first: int = 50, skip: int = 0) -> list[this]:  # type: ignore[valid-type]
            info.context.caller.require(Scope.READ)
            return [Task(record=record) for record in await load_children(self.record, info, first, skip)]

        @strawberry.field(description="How many tasks its latest run has submitted while it ran.")
        async def child_count(self, info: ApiInfo) -> int:
            info.context.caller.require(Scope.READ)
            return await load_child_count(self.record, info)

        @strawberry.field(
            description="The tasks that have submitted it while its latest run was open, at most 50 of them; one that "
            "found its result already is not among them."
        )
        async def parents(self, info: ApiInfo) -> list[this]:  # type: ignore[valid-type]
            info.context.caller.require(Scope.READ)
            return [Task(record=record) for record in await load_parents(self.record, info)]

        @strawberry.field
        def state(self) -> TaskState:
            return self.record.state

        @strawberry.field(
            description="Number of the latest attempt to run it, from 1. Numbers continue when it is computed again: "
            "`runAttempt` counts from the start of its latest run."
        )
        def attempt(self) -> int:
            return self.record.attempt

        @strawberry.field(
            description="How often it was computed since it was first submitted, the latest run included: 1, unless it "
            "was submitted again after a failure or with `recompute`."
        )
        def run(self) -> int:
            return self.record.runs

        @strawberry.field(
            description="How many attempts its latest run has had, the current one included. Failures allow "
            "`retries` + 1 of them; those that were lost with a worker come on top."
        )
        def run_attempt(self) -> int:
            return 1 + self.record.retries + self.record.lost

        @strawberry.field(description="Number of the latest event.")
        def seq(self) -> int:
            return self.record.seq

        @strawberry.field(
            description="The output; null unless SUCCEEDED. Of a task that is computed again (RECOMPUTED) it is the "
            "output of the run before, until there is a new one; also if the new run fails or is cancelled."
        )
        def result(self, info: ApiInfo) -> output_union | None:
            info.context.caller.require(Scope.READ)
            return read_result(self.record, info)

        @strawberry.field(
            description="The whole `result` as JSON, whatever the task type: what the selection of all fields without "
            "arguments would give, without `__typename`; an output that is not an object by itself, without `value`. "
            "Values that are read from the blob store are not in it."
        )
        def output(self, info: ApiInfo) -> strawberry.scalars.JSON | None:
            info.context.caller.require(Scope.READ)
            return read_output(self.record, info)  # type: ignore[no-any-return]

        @strawberry.field(
            description="The output that a RUNNING task has reported so far; null before, and once it has ended."
        )
        def partial(self, info: ApiInfo) -> output_union | None:
            info.context.caller.require(Scope.READ)
            record = self.record
            if record.state is not TaskState.RUNNING or record.name not in info.context.node.registry:
                return None
            return load_result(record, info) if record.result is None else decode_result(record, record.result, info)

        @strawberry.field(description="Null unless FAILED or CANCELLED.")
        def error(self, info: ApiInfo) -> TaskError | None:
            info.context.caller.require(Scope.READ)
            error = self.record.error_fields()
            if error is None:
                return None
            # It shows code and perhaps values of variables, which a submitter need not know.
            shown = error if info.context.caller.has(Scope.ADMIN) else {**error, "traceback": None}
            return TaskError(**shown)

        @strawberry.field(
            description="The newest lines that the current run, or the last one, has printed or logged, oldest first: "
            "at most 200 lines and 64 kB are kept. A running task's lines come about once a second."
        )
        async def logs(
            self,
            info: ApiInfo,
            after: Annotated[
                int | None, strawberry.argument(description="Only lines with a higher `number`.")
            ] = strawberry.UNSET,
            first: Annotated[
                int | None, strawberry.argument(description="How many of them at most; null: all.")
            ] = strawberry.UNSET,
        ) -> list[LogLineType]:
            info.context.caller.require(Scope.READ)
            return await load_log(self.record, info, after or 0, first if isinstance(first, int) else None)

        @strawberry.field(
            description="The attempts that a worker began or that ended, of all runs whose events are kept: who ran "
            "them, and why they ended."
        )
        async def attempts(self, info: ApiInfo) -> list[AttemptType]:
            info.context.caller.require(Scope.READ)
            return await load_attempts(self.record, info)

        @strawberry.field(description="Progress from 0 to 1, as reported by the latest attempt.")
        def progress(self) -> float | None:
            return self.record.progress

        @strawberry.field(description="What the latest attempt reported with its progress, for people.")
        def message(self, info: ApiInfo) -> str | None:
            info.context.caller.require(Scope.READ)
            return self.record.message or None

        @strawberry.field(description="What the latest attempt reported with its progress, for programs.")
        def data(self, info: ApiInfo) -> strawberry.scalars.JSON | None:
            info.context.caller.require(Scope.READ)
            return None if self.record.data is None else orjson.loads(self.record.data)

        @strawberry.field(description="Why it waits; null unless QUEUED.")
        def waiting(self, info: ApiInfo) -> WaitingType | None:
            info.context.caller.require(Scope.READ)
            # Awaited by the executor; most tasks of a list do not wait.
            return load_waiting(self.record, info) if self.record.state is TaskState.QUEUED else None  # type: ignore[return-value]

        @strawberry.field(
            description="Who began the current run, or the last one: the name of an API key, the subject of a JWT, or "
            "an address. Null unless the caller is an admin or of the same tenant."
        )
        def submitted_by(self, info: ApiInfo) -> str | None:
            return _name_of(self.record.submitted_by, info)

        @strawberry.field(description="Who cancelled it; null as `submittedBy`, and unless CANCELLED.")
        def cancelled_by(self, info: ApiInfo) -> str | None:
            return _name_of(self.record.cancelled_by, info) if self.record.state is TaskState.CANCELLED else None

        @strawberry.field(description="Number of submissions that share the current run, or the last one.")
        def submissions(self) -> int:
            return self.record.submissions

        @strawberry.field(description="The worker of the latest attempt.")
        def worker(self, info: ApiInfo) -> str | None:
            info.context.caller.require(Scope.READ)
            return self.record.worker

        @strawberry.field(
            description="The pool whose workers run it, of `Cluster.pools`: that of its task type, or the larger one "
            "that its latest run moved to after an attempt ran out of memory."
        )
        def pool(self, info: ApiInfo) -> str | None:
            info.context.caller.require(Scope.READ)
            return pool_of(self.record, info)

        @strawberry.field(description="The tags of the submission that began the current run, or the last one.")
        def tags(self) -> list[str]:
            return list(self.record.tags)

        @strawberry.field(description="The run key that it was submitted with, which is part of its id; null if none.")
        def run_key(self) -> str | None:
            return self.record.run_key or None

        @strawberry.field(
            description="What its last attempt cost, in US dollars: how long it ran, at the present price of a worker "
            "on demand, shared by the tasks that one runs at a time. Null until it has ended, if no attempt had begun, "
            "or if no price is known."
        )
        async def cost(self, info: ApiInfo) -> float | None:
            info.context.caller.require(Scope.READ)
            return await load_cost(self.record, info)

        @strawberry.field
        def submitted_at(self) -> datetime.datetime:
            submitted_at = to_datetime(self.record.submitted_at)
            assert submitted_at is not None
            return submitted_at

        @strawberry.field
        def started_at(self) -> datetime.datetime | None:
            return to_datetime(self.record.started_at)

        @strawberry.field
        def finished_at(self) -> datetime.datetime | None:
            return to_datetime(self.record.finished_at)

        @strawberry.field(
            description="When the record is deleted; null while the task is open, or if the record is kept for ever."
        )
        def expires_at(self) -> datetime.datetime | None:
            return to_datetime(self.record.expires_at)

    made["Task"] = Task
    return Task


def _name_of(text: str, info: ApiInfo) -> str | None:
    """Who did something, if the caller may know."""
    actor = Actor.parse(text)
    if actor is None or not info.context.caller.can_name(actor):
        return None
    return actor.title or actor.name
