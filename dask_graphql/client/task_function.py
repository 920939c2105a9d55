"""Decorated functions in place of a task type's name: the arguments by position, and results of the declared class."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel

from cluster.task_types.annotations import LISTS, fields_of, is_dataclass_or_model, item_type, unwrap_annotated
from dask_graphql.client.errors import BadArguments

Task: TypeAlias = str | Callable[..., Any]
"""What a client submits: the name of a task type, or its decorated function."""

NOT_DECLARED: Final = inspect.Parameter.empty
"""The output type of a task that was named by a string: its objects stay dicts."""


def name_of(task: Task) -> tuple[str, Any]:
    """The name of a task type, and the output type that its function declares (of a stream, that of its items), or
    NOT_DECLARED.

    Raises:
        BadArguments: the function is no task type, or more than one.
    """
    if isinstance(task, str):
        return task, NOT_DECLARED
    # Whoever has a decorated function has imported it; for others the import would only cost time.
    from cluster.task_types.registry import registered_as

    found = {task_type.name: task_type for task_type in registered_as(task)}
    shown = getattr(task, "__qualname__", None) or repr(task)
    if not found:
        raise BadArguments(f"{shown} is not a task function: decorate it with @task, or pass the name of a task type")
    if len(found) > 1:
        raise BadArguments(f"{shown} is registered as {' and '.join(sorted(found))}: pass one of these names")
    [(name, task_type)] = found.items()
    return name, task_type.items.annotation if task_type.items else task_type.returns


def by_name(task: Task, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by their names.

    Raises:
        BadArguments: there are positional ones for a task type that is only named, or they do not fit the function.
    """
    if not positional:
        return dict(named)
    if isinstance(task, str):
        raise BadArguments(f"{task}: pass its arguments by name, or pass the function itself")
    try:
        return dict(inspect.signature(task).bind_partial(*positional, **named).arguments)
    except TypeError as error:
        raise BadArguments(f"{getattr(task, '__qualname__', task)}: {error}") from None


def rebuild(annotation: Any, value: Any) -> Any:
    """A result as its function declares it: dicts become the declared dataclasses and models, values of enums their
    members, and lists tuples or sets where those are declared.

    An object stays a dict if its class needs a field that clients do not get (`Hidden`), and in a union.
    """
    bare, _ = unwrap_annotated(annotation)
    if value is None or bare is NOT_DECLARED:
        return value
    origin = get_origin(bare)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(bare) if option is not type(None)]
        return rebuild(options[0], value) if len(options) == 1 else value
    if isinstance(value, list) and (bare in LISTS or origin in LISTS):
        made = [rebuild(item, part) for item, part in zip(_item_types(bare, len(value)), value, strict=True)]
        kind = origin or bare
        return made if kind is list else kind(made)
    if is_dataclass_or_model(bare) and isinstance(value, dict):
        return _instance(bare, value)
    if isinstance(bare, type) and issubclass(bare, Enum):
        return bare(value)
    return value


def _item_types(annotation: Any, count: int) -> Sequence[Any]:
    each = item_type(annotation)
    arguments = get_args(annotation)
    if each is NOT_DECLARED and len(arguments) == count:
        return arguments  # tuple[int, str]
    return [each] * count


def _instance(cls: Any, value: dict[str, Any]) -> Any:
    members = [field for field in fields_of(cls) if field.settable]
    if any(field.required and field.name not in value for field in members):
        return value
    given = {field.name: rebuild(field.annotation, value[field.name]) for field in members if field.name in value}
    if issubclass(cls, BaseModel):
        return cls.model_construct(**given)  # its validators have seen the value before it was stored
    return cls(**given)
