"""The GraphQL types of records: tasks, events, submissions and lists of tasks, and reading a record's result."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from collections.abc import Sequence
from typing import Annotated, Any, Final

import orjson
import strawberry
from pydantic import ValidationError

from cluster.errors import BadInput, ResultGone, ResultUnreadable
from cluster.store.actor import Actor
from cluster.store.record import Event, Record, SubmissionOutcome, TaskState
from graphql_api.answer_size import current_answer
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.times import to_datetime

READ_FIELDS: Final = ("input", "result", "partial", "error", "worker", "logs")
"""The fields of a task that need the scope `read`, also where another scope lets a caller see the task."""

strawberry.enum(
    TaskState,
    name="TaskState",
    description="The state of a task: open (QUEUED, RUNNING) or final (SUCCEEDED, FAILED, CANCELLED).",
)
strawberry.enum(Scope, name="Scope", description="A permission of a caller.")
strawberry.enum(
    SubmissionOutcome,
    name="SubmissionOutcome",
    description="The outcome of a submission. NEW: the task was unknown. JOINED: it is already open. CACHED: it has "
    "succeeded. RECOMPUTED: it had ended and starts again.",
)


@strawberry.type(description="Why a task did not succeed.")
class TaskError:
    code: str = strawberry.field(description="A stable code for programs: TASK_FAILED, WORKER_LOST, CANCELLED, ...")
    message: str = strawberry.field(description="A message for people.")
    type: str | None = strawberry.field(description="Type of the exception that the function raised, if any.")
    traceback: str | None = strawberry.field(
        default=None,
        description="Traceback of the exception, for callers with the scope `admin`; null unless EXPOSE_TRACEBACKS is "
        "set, as in `dask-graphql dev`.",
    )


@strawberry.type(name="LogLine", description="A line that a task has printed or logged.")
class LogLineType:
    number: int = strawberry.field(
        description="From 1 within the task; to continue, pass the last one as `after`. Numbers jump where lines were "
        "dropped."
    )
    at: datetime.datetime = strawberry.field(description="When it was written, by the clock of Redis.")
    attempt: int = strawberry.field(description="The attempt that wrote it.")
    level: str = strawberry.field(description="DEBUG, INFO, WARNING, ERROR or CRITICAL; of printed lines INFO.")
    text: str


@strawberry.type(name="Caller", description="The caller of a request.")
class CallerType:
    name: str
    tenant: str | None = strawberry.field(
        description="The tenant whose tasks the caller sees; null if tenants share tasks."
    )
    scopes: list[Scope] = strawberry.field(description="What the caller may do.")
    task_id_salt: str | None = strawberry.field(
        description="The member `salt` of the JSON that is hashed into this tenant's task ids; null if tenants share "
        "tasks."
    )


@strawberry.type(description="The cursors of a page of a list.")
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.input(description="Options of a submission.")
class SubmitOptions:
    recompute: bool = strawberry.field(default=False, description="Run the task again even if a result is stored.")
    priority: int = strawberry.field(
        default=0,
        description="From -100 to 100; tasks with a higher priority run first. Above 0 it needs the scope `priority`.",
    )
    not_before: datetime.datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Do not run the task before this time."
    )
    start_before: datetime.datetime | None = strawberry.field(
        default=strawberry.UNSET,
        description="If no worker has started the task by this time, it ends as FAILED with the code "
        "EXPIRED_BEFORE_START. Default: what its task type declares.",
    )
    ttl_seconds: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="How long the result is kept after the task's end. Default: what its task type declares, or "
        "RESULT_TTL_SECONDS. The task is kept as long as the submission asks that asks for most.",
    )
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Texts by which people recognise the task: at most 8, of at most 64 characters. They do not change "
        "its id; a submission that joins a task or finds its result leaves the tags as they are.",
    )


def make_task_types(output_union: Any) -> tuple[type, type, type, type]:
    """`Task`, `TaskEvent`, `Submission` and `TaskConnection` for a schema whose results are `output_union`."""

    @strawberry.type(description="A task type applied to one input.")
    class Task:
        record: strawberry.Private[Record]

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

        @strawberry.field
        def state(self) -> TaskState:
            return self.record.state

        @strawberry.field(description="Number of the latest attempt to run it, from 1.")
        def attempt(self) -> int:
            return self.record.attempt

        @strawberry.field(description="Number of the latest event.")
        def seq(self) -> int:
            return self.record.seq

        @strawberry.field(
            description="The output; null unless SUCCEEDED. Of a task that is computed again (RECOMPUTED) it is the "
            "output of the run before, until there is a new one; also if the new run fails or is cancelled."
        )
        def result(self, info: ApiInfo) -> output_union | None:
            info.context.caller.require(Scope.READ)
            record = self.record
            if record.name not in info.context.node.registry:
                return None
            if record.state is not TaskState.SUCCEEDED:
                return load_previous_result(record, info) if record.previous_at is not None else None
            # Lists of tasks are read without results, which must then be loaded.
            return load_result(record, info) if record.result is None else decode_result(record, record.result, info)

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

        @strawberry.field(description="Progress from 0 to 1, as reported by the latest attempt.")
        def progress(self) -> float | None:
            return self.record.progress

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

        @strawberry.field(description="The tags of the submission that began the current run, or the last one.")
        def tags(self) -> list[str]:
            return list(self.record.tags)

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

        @strawberry.field(description="QUEUED, STARTED, PROGRESS, RETRY, LOST, SUCCEEDED, FAILED or CANCELLED.")
        def kind(self) -> str:
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

        @strawberry.field
        def message(self) -> str | None:
            return self.event.message

        @strawberry.field(description="The task as it is now, which may be ahead of this event.")
        def task(self) -> Task:
            return Task(record=self.record)

    @strawberry.type(description="An accepted request for a task.")
    class Submission:
        record: strawberry.Private[Record]
        outcome: SubmissionOutcome

        @strawberry.field
        def task_id(self) -> strawberry.ID:
            return strawberry.ID(self.record.task_id)

        @strawberry.field
        def task(self) -> Task:
            return Task(record=self.record)

    @strawberry.type(description="One task in a list.")
    class TaskEdge:
        cursor: str
        node: Task

    @strawberry.type(description="A page of tasks, newest first.")
    class TaskConnection:
        edges: list[TaskEdge]
        page_info: PageInfo

    TaskConnection.edge = TaskEdge  # type: ignore[attr-defined]
    return Task, TaskEvent, Submission, TaskConnection


async def load_result(record: Record, info: ApiInfo) -> Any:
    """Loads the output of a record that was read without it; None if a running task has not reported any.

    Raises:
        ResultGone: the record has expired, or belongs to another run by now.
    """
    results = info.context.node.deliveries.results
    now = await current_answer().record((record.task_id, record.run), lambda: results.complete(record))
    if now is not None and now.run == record.run and now.result is not None and now.state is record.state:
        return decode_result(record, now.result, info)
    if record.final:
        raise ResultGone(
            f"the result of {record.task_id} has expired, or the task was submitted again: request it again"
        )
    return None


async def load_previous_result(record: Record, info: ApiInfo) -> Any:
    """Loads the output of the run before, which a task keeps that is computed again; None if there is a newer one."""
    answer = current_answer()
    previous = await answer.in_turn(info.context.node.store.read_previous_result(record.task_id))
    answer.read(len(previous or b""))
    return None if previous is None else decode_result(record, previous, info)


async def load_log(record: Record, info: ApiInfo, after: int, first: int | None) -> list[LogLineType]:
    """Loads the lines of a task after the one with the number `after`; at most `first` of them.

    Raises:
        BadInput: `first` is negative.
    """
    if first is not None and first < 0:
        raise BadInput(f"first must be at least 0, not {first}", argument="first")
    answer = current_answer()
    lines = await answer.in_turn(info.context.node.store.read_log(record.task_id))
    found = [line for line in lines if line.number > after][:first]
    answer.read(sum(len(line.text) for line in found))
    return [
        LogLineType(number=line.number, at=to_datetime(line.at), attempt=line.attempt, level=line.level, text=line.text)
        for line in found
    ]


def _name_of(text: str, info: ApiInfo) -> str | None:
    """Who did something, if the caller may know."""
    actor = Actor.parse(text)
    if actor is None or not info.context.caller.can_name(actor):
        return None
    return actor.title or actor.name


def selects(info: Any, *fields: str) -> bool:
    """Whether an operation selects a field with one of these names, at any depth."""

    def among(selections: Any) -> bool:
        return any(getattr(item, "name", None) in fields or among(item.selections) for item in selections)

    return among(info.selected_fields)


async def read_page(info: Any, task_ids: Sequence[str]) -> list[Record | None]:
    """The records of tasks, with their inputs and results only if the operation selects them.

    Raises:
        AnswerTooLarge: they are too large for one answer; they are measured before they are read.
    """
    store = info.context.node.store
    inputs, results = selects(info, "input"), selects(info, "result", "partial")
    fields = [name for name, wanted in (("input", inputs), ("result", results)) if wanted]
    if fields:
        current_answer().read(await store.lengths(task_ids, fields))
    records: list[Record | None] = await store.read_many(task_ids, inputs=inputs, results=results)
    return records


def decode_result(record: Record, encoded: bytes, info: ApiInfo) -> Any:
    """Decodes the output of a record to the task type's own Python value.

    Raises:
        ResultUnreadable: it does not fit what the task type returns today.
    """
    try:
        value = info.context.node.registry[record.name].output.read(encoded)
    except ValidationError:
        raise ResultUnreadable(
            f"the kept result of {record.task_id} does not fit what {record.name} returns today; submit the task with "
            "recompute: true"
        ) from None
    wrapper = info.context.wrappers.get(record.name)
    return value if wrapper is None else wrapper(value=value)
