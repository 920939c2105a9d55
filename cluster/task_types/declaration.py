"""The checks that turn a function into a task type, or refuse it with what to write instead."""

from __future__ import annotations

import inspect
import math
import re
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from cluster.errors import BadInput, RegistryError
from cluster.task_types.annotations import classes_in, reject_opaque_types
from cluster.task_types.batching import Batch, check_batch, single_types
from cluster.task_types.callables import origin_of, reject_unsupported_callable, underlying_function
from cluster.task_types.concurrency import Limit, parse_concurrency
from cluster.task_types.core_schema import reject_lossy_types
from cluster.task_types.data_files import argument_annotation
from cluster.task_types.hidden_fields import reject_shown
from cluster.task_types.input_errors import describe_value
from cluster.task_types.needs import Needs, check_needs
from cluster.task_types.output_type import OutputType
from cluster.task_types.pydantic_internals import core_schema_of
from cluster.task_types.retry_policy import Retries, parse_retries
from cluster.task_types.table_types import check_row, is_table
from cluster.task_types.task_type import Argument, TaskType
from cluster.task_types.value_types import Graph, Stream, StreamSummary

NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MAX_VERSION_LENGTH: Final = 64
MAX_NAME_LENGTH: Final = 100
"""Characters of a name that a client sends and that is not registered: it becomes a part of keys in Redis."""
INPUT_LIMIT_BYTES: Final = 4_000_000
"""Largest `input_limit`: an input is part of a request's body, which has at most this size."""

MIN_TTL_SECONDS: Final = 1.0
"""Shortest time for which a result is kept: its submitters need a moment to read it."""
MAX_TTL_SECONDS: Final = 3_153_600_000
"""Longest one, a hundred years: times stay numbers of milliseconds that Lua holds exactly."""

RESERVED_ARGUMENTS: Final = frozenset({"options", "info", "self", "cls", "root", "model_config"})
"""Argument names with another meaning: in the mutation, in its resolver, or in pydantic's model."""

_JSON_DEFAULTS: Final = (str, int, float, bool, type(None))
"""Types of defaults that JSON expresses exactly."""


def declare(
    function: Callable[..., Any],
    name: str | None = None,
    version: str = "1",
    timeout_seconds: float | None = None,
    retries: int | Retries = 0,
    queue_limit: int | None = None,
    checks: Callable[..., None] | None = None,
    registered_in: str = "",
    input_limit: int | None = None,
    concurrency: int | Limit | None = None,
    ttl: float | None = None,
    start_before: float | None = None,
    batch: Batch | None = None,
    pool: str | None = None,
    needs: Needs | None = None,
    larger_pool: bool | None = None,
) -> TaskType:
    """The task type of a function; the arguments are those of `task`, and the module that calls it.

    Raises:
        RegistryError: the function cannot be a task; the message says why and what to write instead.
    """
    reject_unsupported_callable(function, name)
    where = origin_of(function)
    name = name or underlying_function(function).__name__
    _check_limits(where, name, version, timeout_seconds, queue_limit, input_limit)
    _check_seconds(where, "ttl", ttl, MIN_TTL_SECONDS)
    _check_seconds(where, "start_before", start_before, 0)
    check_needs(where, needs, pool, larger_pool)
    try:
        hints = typing.get_type_hints(underlying_function(function), include_extras=True)
    except NameError as error:
        raise RegistryError(f"{where}: a type cannot be resolved: {error}") from error
    if batch is not None:
        check_batch(where, batch)
        hints = single_types(where, hints)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise RegistryError(
            f"{where}: its arguments cannot be inspected; call it from a function of your own"
        ) from error
    arguments = tuple(_argument(where, parameter, hints) for parameter in parameters)
    for item in arguments:
        if batch is not None and not item.required:
            raise RegistryError(f"{where}: an argument of a function with batch=... has no default: {item.name!r}")
    if "return" not in hints or hints["return"] in (None, type(None)):
        raise RegistryError(f"{where}: declare what it returns (a dataclass, a pydantic model or a plain type)")
    yielded = stream_item(hints["return"])
    if yielded is None and inspect.isasyncgenfunction(underlying_function(function)):
        raise RegistryError(
            f"{where} is an async generator; declare -> Stream[...] of what it yields, or return a list"
        )
    returns = StreamSummary if yielded is not None else output_annotation(hints["return"])
    for item in arguments:
        reject_opaque_types(item.annotation, f"{where}, {item.name}")
    reject_opaque_types(returns if yielded is None else yielded, f"{where}, the return type")
    reject_shown(hints["return"] if yielded is None else yielded, f"{where}, the return type")
    for cls, _ in classes_in(returns):
        if is_table(cls) and cls.row is not None:
            check_row(cls.row, f"{where}, the return type")
    model_fields: dict[str, Any] = {
        item.name: (item.annotation, ... if item.required else item.default) for item in arguments
    }
    try:
        with warnings.catch_warnings():
            # An argument may have the name of a pydantic method that we do not use (copy, json, schema).
            warnings.filterwarnings("ignore", r"Field name .* shadows an attribute", UserWarning)
            input_model = create_model(
                f"{name}_input",
                __config__=ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=True),
                **model_fields,
            )
        output = OutputType(returns)
        items = None if yielded is None else OutputType(yielded)
        if items is not None and items.declared.holds_data:
            raise RegistryError(f"{where}: the items of a Stream cannot be tables; return one Table, or yield its rows")
        reject_lossy_types(core_schema_of(input_model), where, arguments_of=input_model.__name__)
        reject_lossy_types((items or output).adapter.core_schema, f"{where}, the return type")
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        reason = str(error).splitlines()[0].partition(". Set `")[0].rstrip(".")
        raise RegistryError(
            f"{where}: a type has no JSON form: {reason}; use plain types, enums, lists, dataclasses or models"
        ) from error
    _check_defaults(where, arguments, input_model)
    made = TaskType(
        name, version, function, arguments, timeout_seconds, parse_retries(where, retries), queue_limit, checks,
        input_model, output, registered_in, input_limit,
        parse_concurrency(where, concurrency, [item.name for item in arguments]), ttl, start_before, items, batch, pool,
        needs, larger_pool,
    )  # fmt: skip
    if batch is not None and output.declared.holds_data:
        raise RegistryError(f"{where}: a function with batch=... cannot return tables or arrays: {returns!r}")
    _check_default_round_trips(where, made)
    return made


def _check_limits(
    where: str,
    name: str,
    version: str,
    timeout_seconds: float | None,
    queue_limit: int | None,
    input_limit: int | None,
) -> None:
    if not NAME.fullmatch(name):
        hint = "; set one with @task(name=...)" if name == "__call__" else ""
        raise RegistryError(f"{where}: the name {name!r} is not in snake case, like estimate_pi{hint}")
    if not version or len(version) > MAX_VERSION_LENGTH:
        raise RegistryError(f"{where}: version must have 1 to {MAX_VERSION_LENGTH} characters, not {version!r}")
    if timeout_seconds is not None and not (timeout_seconds > 0 and math.isfinite(timeout_seconds)):
        raise RegistryError(f"{where}: timeout_seconds must be above 0, not {timeout_seconds}")
    if queue_limit is not None and queue_limit < 1:
        raise RegistryError(f"{where}: queue_limit must be 1 or more, not {queue_limit}")
    if input_limit is not None and not 1 <= input_limit <= INPUT_LIMIT_BYTES:
        raise RegistryError(f"{where}: input_limit must be from 1 to {INPUT_LIMIT_BYTES} bytes, not {input_limit}")


def _check_seconds(where: str, name: str, seconds: float | None, lowest: float) -> None:
    if seconds is not None and not lowest <= seconds <= MAX_TTL_SECONDS:
        raise RegistryError(f"{where}: {name} must be from {lowest:g} to {MAX_TTL_SECONDS} seconds, not {seconds!r}")


def check_name(name: str) -> str:
    """Returns a name that a client sent as that of a task type, which need not be registered (any more).

    Raises:
        BadInput: no task type can have this name.
    """
    if len(name) > MAX_NAME_LENGTH or not NAME.fullmatch(name):
        raise BadInput(f"a task type has a name like estimate_pi, not {name[:MAX_NAME_LENGTH]!r}", argument="name")
    return name


def _argument(where: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Argument:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise RegistryError(f"{where}: *args, **kwargs and positional-only arguments have no name in GraphQL")
    if parameter.name not in hints:
        raise RegistryError(
            f"{where}: the argument {parameter.name!r} has no type; write {parameter.name}: int, for example"
        )
    if (
        parameter.name.startswith("_")
        or parameter.name in RESERVED_ARGUMENTS
        or (parameter.name.startswith("model_") and hasattr(BaseModel, parameter.name))
    ):
        raise RegistryError(f"{where}: an argument cannot be named {parameter.name!r} here; rename it")
    annotation = argument_annotation(hints[parameter.name], f"{where}, {parameter.name}")
    return Argument(parameter.name, annotation, parameter.default)


def _check_defaults(where: str, arguments: Iterable[Argument], input_model: type[BaseModel]) -> None:
    """Refuses a default that does not fit its type, which the first client that omits the argument would find."""
    defaults = {item.name: item.default for item in arguments if not item.required}
    try:
        input_model.model_validate({}, by_alias=False, by_name=True)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            if name in defaults:
                hint = f"; write {name}: ... | None" if defaults[name] is None else ""
                raise RegistryError(
                    f"{where}: the default of {name!r}, {describe_value(defaults[name])}, does not fit its type: "
                    f"{problem['msg']}{hint}"
                ) from None


def _check_default_round_trips(where: str, made: TaskType) -> None:
    """Refuses a default that a worker would read differently from its JSON."""
    optional = tuple(
        item for item in made.arguments if not item.required and not isinstance(item.default, _JSON_DEFAULTS)
    )
    if not optional:
        return
    fields: dict[str, Any] = {item.name: (item.annotation, item.default) for item in optional}
    model = create_model(made.input_model.__name__, __config__=made.input_model.model_config, **fields)
    alone = replace(made, arguments=optional, input_model=model, checks=None)
    try:
        bound = alone.bind({})
        changed = alone.first_change(bound.model, bound.canonical_input)
    except BadInput as error:
        raise RegistryError(f"{where}: a default is not a valid input: {error.message}") from error
    if changed is not None:
        raise RegistryError(
            f"{where}: the default of {changed[0]!r} does not survive JSON ({changed[1]}); choose one that does"
        )


def stream_item(annotation: Any) -> Any:
    """`T` of `Stream[T]`; None for anything else."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_args(annotation)[0] if get_origin(annotation) is Stream else None


def output_annotation(annotation: Any) -> Any:
    """The declared output type: `Graph[T]` and `Annotated[Graph[T], ...]` mean `T`."""
    if get_origin(annotation) is Annotated and get_origin(get_args(annotation)[0]) is Graph:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Graph:
        return get_args(annotation)[0]
    return annotation
