"""The mutations: `submit<Name>` and `submit<Name>Many` for every task type, and `cancelTask`."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.tools import create_type
from strawberry.types.field import StrawberryField

from cluster.errors import BadInput, TaskNotFound
from cluster.registry import Argument, TaskType
from cluster.submit import SubmitOptions as Options
from cluster.task_id import check_task_id
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import ApiInfo
from graphql_api.type_map import TypeMap, pascal, set_signature
from graphql_api.types import SubmitOptions

PRIORITY_LIMIT = 100


def submit_fields(task_type: TaskType, type_map: TypeMap, submission: type) -> list[StrawberryField]:
    """`submit<Name>` and `submit<Name>Many` of a task type."""
    name = pascal(task_type.name)
    input_name = f"{name}Input"
    type_map.claim(f"submit{name}", task_type.origin)
    type_map.claim(input_name, task_type.origin)
    arguments = [
        (item, type_map.input(item.annotation, f"{task_type.origin}, {item.name}")) for item in task_type.arguments
    ]

    async def submit_one(info: ApiInfo, options: SubmitOptions | None = None, **values: Any) -> Any:
        caller = info.context.caller
        bound = task_type.bind(plain(values), caller.salt)
        chosen = to_options(options, caller)
        await info.context.admit(1)
        [submitted] = await info.context.node.submitter.submit([bound], chosen)
        return submission(record=submitted.record, outcome=submitted.outcome)

    async def submit_many(info: ApiInfo, inputs: list[Any], options: SubmitOptions | None = None) -> Any:
        limit = info.context.node.settings.batch_limit
        if len(inputs) > limit:
            raise BadInput(f"at most {limit} inputs at once, not {len(inputs)}", limit=limit)
        caller = info.context.caller
        bound = []
        for index, item in enumerate(inputs):
            try:
                bound.append(task_type.bind(plain(vars(item)), caller.salt))
            except BadInput as error:
                raise BadInput(
                    f"inputs[{index}]: {error.message}; none was submitted", **error.details, index=index
                ) from None
        chosen = to_options(options, caller)
        await info.context.admit(len(bound))
        submitted = await info.context.node.submitter.submit(bound, chosen)
        return [submission(record=item.record, outcome=item.outcome) for item in submitted]

    options = inspect.Parameter(
        "options", inspect.Parameter.KEYWORD_ONLY, default=strawberry.UNSET, annotation=SubmitOptions | None
    )
    info = inspect.Parameter("info", inspect.Parameter.KEYWORD_ONLY, annotation=ApiInfo)
    set_signature(submit_one, [info, *(_parameter(item, kind) for item, kind in arguments), options], submission)
    fields = [_field(submit_one, f"submit_{task_type.name}", task_type.description)]
    if arguments:
        input_type = _input_type(input_name, task_type, arguments)
        inputs = inspect.Parameter("inputs", inspect.Parameter.KEYWORD_ONLY, annotation=list[input_type])  # type: ignore[valid-type]
        set_signature(submit_many, [info, inputs, options], list[submission])  # type: ignore[valid-type]
        fields.append(
            _field(
                submit_many,
                f"submit_{task_type.name}_many",
                f"Submits many inputs at once, all or none. {task_type.description}",
            )
        )
    return fields


def cancel_field(task: type) -> StrawberryField:
    """`cancelTask`."""

    async def cancel_task(info: ApiInfo, task_id: strawberry.ID) -> Any:
        store = info.context.node.store
        info.context.caller.require(Scope.CANCEL)
        check_task_id(task_id)
        record = None
        # A task's tenant never changes, so looking before cancelling is no race.
        if not info.context.caller.tenant or ((found := await store.read(task_id)) and info.context.seen(found)):
            _, record = await store.run(store.calls.cancel(task_id))
        if record is None:
            raise TaskNotFound(f"no task {task_id} is known: it was never submitted, or its record has expired")
        return task(record=record)

    cancel_task.__annotations__["return"] = task | None
    cancel_task.__annotations__ |= {"info": ApiInfo, "task_id": strawberry.ID}
    return _field(cancel_task, "cancel_task", "Cancels an open task; what has ended stays as it is.")


def to_options(options: SubmitOptions | None, caller: Caller) -> Options:
    """The options of a submission, checked."""
    if not options:
        return Options(tenant=caller.tenant)
    if not -PRIORITY_LIMIT <= options.priority <= PRIORITY_LIMIT:
        raise BadInput(f"options.priority is from -{PRIORITY_LIMIT} to {PRIORITY_LIMIT}, not {options.priority}")
    not_before = options.not_before or None
    if not_before is not None and not_before.tzinfo is None:
        raise BadInput("options.notBefore needs a time zone, as in 2026-01-31T12:00:00Z")
    return Options(
        recompute=options.recompute,
        priority=options.priority,
        not_before=None if not_before is None else round(not_before.timestamp() * 1000),
        tenant=caller.tenant,
    )


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """GraphQL's arguments as JSON-like values, for validation; what the client left out is left out."""
    return {name: _plain(value) for name, value in values.items() if value is not strawberry.UNSET}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(vars(value))
    return value


def _parameter(item: Argument, kind: Any) -> inspect.Parameter:
    return inspect.Parameter(
        item.name, inspect.Parameter.KEYWORD_ONLY, annotation=_described(kind, item), default=_graphql_default(item)
    )


def _described(kind: Any, item: Argument) -> Any:
    bounds = bounds_of(item.annotation)
    return Annotated[kind, strawberry.argument(description=bounds)] if bounds else kind


def bounds_of(annotation: Any) -> str | None:
    """The bounds of an `Annotated` argument in words: `at least 0, at most 100`."""
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "min_length": "length at least",
             "max_length": "length at most", "multiple_of": "a multiple of", "pattern": "matches"}  # fmt: skip
    found: list[str] = []
    for mark in _marks(annotation):
        for attribute, word in words.items():
            value = getattr(mark, attribute, None)
            if value is not None:
                found.append(f"{word} {value}")
    return ", ".join(found).capitalize() + "." if found else None


def _marks(annotation: Any) -> Iterable[Any]:
    for mark in getattr(annotation, "__metadata__", ()):
        yield from getattr(mark, "metadata", None) or [mark]


def _graphql_default(item: Argument) -> Any:
    if item.required:
        return inspect.Parameter.empty
    # A default that GraphQL can write stands in the schema; any other is filled in by the task type itself.
    if isinstance(item.default, bool | int | float | str | enum.Enum):
        return item.default
    return strawberry.UNSET


def _input_type(name: str, task_type: TaskType, arguments: list[tuple[Argument, Any]]) -> Any:
    members = []
    for item, kind in arguments:
        default = _graphql_default(item)
        made: Any = (
            strawberry.field(description=bounds_of(item.annotation))
            if default is inspect.Parameter.empty
            else strawberry.field(default=default, description=bounds_of(item.annotation))
        )
        made.python_name = made.name = item.name
        made.type_annotation = StrawberryAnnotation(kind)
        members.append(made)
    members.sort(key=lambda made: made.default is not dataclasses.MISSING)
    return create_type(name, members, is_input=True, description=f"The arguments of `{task_type.name}`.")


def _field(resolver: Any, name: str, description: str) -> StrawberryField:
    made: Any = strawberry.field(resolver=resolver, description=description)
    made.python_name = made.name = name
    return made  # type: ignore[no-any-return]
