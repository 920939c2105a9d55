"""Record -> GraphQL: the types that do not depend on the registry, in one place."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import dataclasses
import datetime
from typing import Annotated, Any, Self, get_args, get_origin

import orjson
import strawberry
from pydantic import ValidationError

from cluster.errors import ResultGone, ResultUnreadable
from cluster.store.record import Event, Record, SubmissionOutcome, TaskState
from cluster.task_types.task_type import TaskType
from cluster.task_types.value_types import BigIntMark, json_integer
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.task_type_description import UsedType, plain_input, selection, used_types
from graphql_api.strawberry_internals import core_schema, python_name

strawberry.enum(TaskState, name="TaskState", description="Where a task is.")
strawberry.enum(Scope, name="Scope", description="What a caller may do.")
strawberry.enum(SubmissionOutcome, name="SubmissionOutcome", description="What a submission found.")


def instant(milliseconds: int | None) -> datetime.datetime | None:
    """A record's time as GraphQL's DateTime, in UTC."""
    if milliseconds is None:
        return None
    return datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)


@strawberry.type(description="Why a task did not succeed.")
class TaskError:
    code: str = strawberry.field(description="Stable, for programs: TASK_FAILED, WORKER_LOST, CANCELLED, ...")
    message: str = strawberry.field(description="For people.")
    type: str | None = strawberry.field(description="Type of the exception that the function raised, if one did.")
    traceback: str | None = strawberry.field(
        default=None, description="Where it was raised; null unless the operator set EXPOSE_TRACEBACKS."
    )


@strawberry.type(description="An argument of a task type.")
class TaskArgument:
    name: str = strawberry.field(description="Its name in the task id's input, as the function spells it.")
    description: str | None = strawberry.field(description="What it means, and its bounds.")
    type: str = strawberry.field(description="Its Python type.")
    required: bool
    default: strawberry.scalars.JSON | None = strawberry.field(description="What is filled in where it is left out.")
    graphql_name: str = strawberry.field(description="Its name in this schema.")
    graphql_type: str = strawberry.field(description="Its GraphQL type, as in `[Int!]!`.")


@strawberry.type(name="TaskType", description="A registered function.")
class TaskTypeType:
    name: str
    version: str = strawberry.field(description="Part of the task id.")
    description: str
    mutation: str = strawberry.field(description="The mutation that submits it.")
    arguments: list[TaskArgument]
    timeout_seconds: float | None
    retries: int
    input_type: str | None = strawberry.field(
        description="The GraphQL type of each of the inputs of `<mutation>Many`; null where there are no arguments."
    )
    output_type: str = strawberry.field(description="The GraphQL type of its output, a member of `TaskOutput`.")
    wraps_value: bool = strawberry.field(
        description="The function returns no object, so `outputType` is one around it with the single field `value`."
    )
    selection: str = strawberry.field(
        description="A selection of all that can be read of `outputType` without arguments, with `__typename`."
    )
    id_from_input: bool = strawberry.field(
        description="Whether clients can derive the task id: the api writes each argument as its GraphQL type tells."
    )
    types: list[UsedType] = strawberry.field(description="The objects and enums that its arguments and output use.")

    @classmethod
    def of(cls, task_type: TaskType, schema: Any) -> Self:
        """Describes a task type; `schema` is the one that `make_schema` made of it."""
        from graphql_api.schema.type_mapping import pascal

        graphql_schema = core_schema(schema)
        assert graphql_schema.mutation_type is not None, "every schema has cancelTask"
        mutation = f"submit{pascal(task_type.name)}"
        output = schema.outputs[task_type.name]
        names = {python_name(item, name): (name, str(item.type), item.description) for name, item in
                 graphql_schema.mutation_type.fields[mutation].args.items()}  # fmt: skip

        defaults = orjson.loads(
            task_type.input_model.model_construct().model_dump_json(
                include={argument.name for argument in task_type.arguments if not argument.required},
                warnings=False,
                by_alias=False,
            )
        )
        return cls(
            name=task_type.name,
            version=task_type.version,
            description=task_type.description,
            mutation=mutation,
            arguments=[
                TaskArgument(
                    name=argument.name,
                    description=names[argument.name][2],
                    type=type_words(argument.annotation),
                    required=argument.required,
                    default=_safe(defaults.get(argument.name)),
                    graphql_name=names[argument.name][0],
                    graphql_type=names[argument.name][1],
                )
                for argument in task_type.arguments
            ],
            timeout_seconds=task_type.timeout_seconds,
            retries=task_type.retries,
            input_type=f"{pascal(task_type.name)}Input" if task_type.arguments else None,
            output_type=output,
            wraps_value=task_type.name in schema.wrappers,
            selection=selection(graphql_schema.type_map[output]),
            id_from_input=all(plain_input(argument.annotation) for argument in task_type.arguments),
            types=used_types(graphql_schema, task_type, mutation, output),
        )


def type_words(annotation: Any) -> str:
    """A Python type as a person writes it: `Annotated[int, Field(ge=0)]` is an `int`."""
    if get_origin(annotation) is Annotated:
        base, *marks = get_args(annotation)
        return "BigInt" if any(isinstance(mark, BigIntMark) for mark in marks) else type_words(base)
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _safe(value: Any) -> Any:
    return json_integer(value) if isinstance(value, int) and not isinstance(value, bool) else value


@strawberry.type(description="A worker, as the scheduler sees it.")
class Worker:
    name: str
    threads: int
    processing: int = strawberry.field(description="Dask tasks that are with it.")
    memory_bytes: float
    memory_limit_bytes: float


@strawberry.type(description="What the controller did, and why.")
class FleetDecision:
    at: datetime.datetime
    wanted: int | None = strawberry.field(description="How many workers it wanted from then on.")
    started: int
    stopped: int
    reason: str

    @classmethod
    def of(cls, word: dict[str, Any]) -> Self:
        return cls(**{**word, "at": instant(word["at"])})


@strawberry.type(description="The fleet, as the controller knows it.")
class Fleet:
    wanted: int | None
    launching: int
    launch_seconds: float | None = strawberry.field(
        description="How long launches of late took; null before the first."
    )
    running: int
    retiring: int
    min_workers: int
    max_workers: int
    reason: str = strawberry.field(description="Why the controller wants so many.")
    problem: str | None = strawberry.field(description="What keeps workers from being started now, in words.")
    cost_per_hour: float | None = strawberry.field(
        description="What the workers cost now, in US dollars an hour by the prices in the settings; null where they "
        "cost nothing or it is not known."
    )
    decisions: list[FleetDecision] = strawberry.field(description="The last ones, newest first.")

    @classmethod
    def of(cls, word: dict[str, Any]) -> Self:
        """From the controller's word in Redis."""
        told: dict[str, Any] = {item.name: word.get(item.name) for item in dataclasses.fields(cls)}
        decisions = [FleetDecision.of(decision) for decision in word.get("decisions", ())]
        return cls(**{**told, "problem": word.get("problem") or None, "decisions": decisions})


@strawberry.type(description="How many tasks there are in each state.")
class TaskCount:
    state: TaskState
    count: int


@strawberry.type(description="The cluster behind this api, as this node sees it.")
class Cluster:
    scheduler_connected: bool = strawberry.field(description="Whether this node is connected to the scheduler.")
    scheduler_epoch: str | None = strawberry.field(description="Identifies one life of the scheduler.")
    dashboard_url: str | None = strawberry.field(description="Dask's own dashboard, where the settings name one.")
    workers: list[Worker]
    waiting: int = strawberry.field(description="Dask tasks that no worker has yet.")
    processing: int = strawberry.field(description="Dask tasks that are with workers.")
    fleet: Fleet | None = strawberry.field(description="Null where no controller runs.")
    tasks: list[TaskCount]


@strawberry.type(name="Caller", description="Who asks.")
class CallerType:
    name: str
    tenant: str | None = strawberry.field(description="Whose tasks the caller sees; null where all are shared.")
    scopes: list[Scope] = strawberry.field(description="What the caller may do.")
    task_id_salt: str | None = strawberry.field(
        description='A member "salt" of the pre-image of this tenant\'s task ids; null where tasks are shared.'
    )


@strawberry.type(description="Where a page of a list begins and ends.")
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.input(description="How a task is submitted.")
class SubmitOptions:
    recompute: bool = strawberry.field(default=False, description="Run again even if a result is kept.")
    priority: int = strawberry.field(default=0, description="Higher ones run first, -100 to 100.")
    not_before: datetime.datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Do not run before this time."
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
        def input(self) -> strawberry.scalars.JSON:
            return orjson.loads(self.record.input)  # type: ignore[no-any-return]

        @strawberry.field
        def state(self) -> TaskState:
            return self.record.state

        @strawberry.field(description="Number of the newest try to run it, from 1.")
        def attempt(self) -> int:
            return self.record.attempt

        @strawberry.field(description="Number of the newest event.")
        def seq(self) -> int:
            return self.record.seq

        @strawberry.field(description="The output; null unless SUCCEEDED.")
        def result(self, info: ApiInfo) -> output_union | None:
            record = self.record
            if record.state is not TaskState.SUCCEEDED or record.name not in info.context.node.registry:
                return None
            # A list is read without results; only then is there something to wait for.
            return read_later(record, info) if record.result is None else read_result(record, record.result, info)

        @strawberry.field(
            description="What a RUNNING task has shown of its output so far; null before, and once it has ended."
        )
        def partial(self, info: ApiInfo) -> output_union | None:
            record = self.record
            if record.state is not TaskState.RUNNING or record.name not in info.context.node.registry:
                return None
            return read_later(record, info) if record.result is None else read_result(record, record.result, info)

        @strawberry.field(description="Null unless FAILED or CANCELLED.")
        def error(self) -> TaskError | None:
            error = self.record.error_fields()
            return None if error is None else TaskError(**error)

        @strawberry.field(description="Share done, 0 to 1, as the newest attempt told it.")
        def progress(self) -> float | None:
            return self.record.progress

        @strawberry.field(description="How many submissions shared this task since it last began.")
        def submissions(self) -> int:
            return self.record.submissions

        @strawberry.field(description="The worker that runs or ran the newest attempt.")
        def worker(self) -> str | None:
            return self.record.worker

        @strawberry.field
        def submitted_at(self) -> datetime.datetime:
            submitted_at = instant(self.record.submitted_at)
            assert submitted_at is not None
            return submitted_at

        @strawberry.field
        def started_at(self) -> datetime.datetime | None:
            return instant(self.record.started_at)

        @strawberry.field
        def finished_at(self) -> datetime.datetime | None:
            return instant(self.record.finished_at)

        @strawberry.field(description="When the record is forgotten; null while it is open, or for ever.")
        def expires_at(self) -> datetime.datetime | None:
            return instant(self.record.expires_at)

    @strawberry.type(description="One change of a task, numbered by `seq` from 1.")
    class TaskEvent:
        event: strawberry.Private[Event]
        record: strawberry.Private[Record]

        @strawberry.field
        def task_id(self) -> strawberry.ID:
            return strawberry.ID(self.record.task_id)

        @strawberry.field(description="Number of this event; pass the last one seen as `afterSeq` to go on.")
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
            at = instant(self.event.at)
            assert at is not None
            return at

        @strawberry.field(description="Share done, 0 to 1, where the event tells it.")
        def progress(self) -> float | None:
            return self.event.progress

        @strawberry.field
        def message(self) -> str | None:
            return self.event.message

        @strawberry.field(description="The task as it is now, which may be further than this event.")
        def task(self) -> Task:
            return Task(record=self.record)

    @strawberry.type(description="The answer to one request for a task.")
    class Submission:
        record: strawberry.Private[Record]
        outcome: SubmissionOutcome

        @strawberry.field
        def task_id(self) -> strawberry.ID:
            return strawberry.ID(self.record.task_id)

        @strawberry.field
        def task(self) -> Task:
            return Task(record=self.record)

    @strawberry.type(description="One task of a list.")
    class TaskEdge:
        cursor: str
        node: Task

    @strawberry.type(description="A page of tasks, newest first.")
    class TaskConnection:
        edges: list[TaskEdge]
        page_info: PageInfo

    TaskConnection.edge = TaskEdge  # type: ignore[attr-defined]
    return Task, TaskEvent, Submission, TaskConnection


async def read_later(record: Record, info: ApiInfo) -> Any:
    """The output of a record that was read without it; None where a task that runs has shown none.

    Raises:
        ResultGone: the record has expired, or is another run's.
    """
    now = await info.context.node.deliveries.results.complete(record)
    if now is not None and now.run == record.run and now.result is not None and now.state is record.state:
        return read_result(record, now.result, info)
    if record.final:
        raise ResultGone(
            f"the result of {record.task_id} has expired, or the task was submitted again: ask for it anew"
        )
    return None


def selects(info: Any, field: str) -> bool:
    """Whether an operation selects a field of this name, at any depth."""

    def among(selections: Any) -> bool:
        return any(getattr(item, "name", None) == field or among(item.selections) for item in selections)

    return among(info.selected_fields)


def read_result(record: Record, encoded: bytes, info: ApiInfo) -> Any:
    """The output of a record as the task type's own Python value.

    Raises:
        ResultUnreadable: the task type returns something else today.
    """
    try:
        value = info.context.node.registry[record.name].read(encoded)
    except ValidationError:
        raise ResultUnreadable(
            f"the kept result of {record.task_id} is not what {record.name} returns today; submit it with "
            "recompute: true"
        ) from None
    wrapper = info.context.wrappers.get(record.name)
    return value if wrapper is None else wrapper(value=value)
