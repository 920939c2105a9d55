"""Defaults in the schema: what GraphQL can write stands there; what it cannot is told in the description.

Either way the task type fills them in itself, so that the task id does not depend on who does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, get_origin

import strawberry
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from cluster.errors import RegistryError
from cluster.task_types.annotations import (
    EMPTY,
    fields_of,
    is_dataclass_or_model,
    item_type,
    unwrap_annotated,
    without_none,
)
from cluster.task_types.input_errors import describe_value
from cluster.task_types.result_checks import INT_MAX, INT_MIN
from cluster.task_types.task_id import canonical_json
from cluster.task_types.value_types import BigIntMark

SHOWN_CHARACTERS: Final = 200
"""Longest default that a description tells in full."""


class _Unwritable(Exception):
    """GraphQL has no way to write the value."""


@dataclass(frozen=True)
class Default:
    """What becomes of the default of an argument or input field.

    Attributes:
        value: for the schema; EMPTY where the client must give a value, UNSET where the schema cannot say the default.
        nullable: the type must become nullable, as GraphQL knows no other way to leave a value out.
        words: a sentence for the description, where the schema cannot say it.
    """

    value: Any
    nullable: bool = False
    words: str | None = None


REQUIRED: Final = Default(EMPTY)


def graphql_default(annotation: Any, default: Any, factory: Callable[..., Any] | None, where: str) -> Default:
    """The default as GraphQL has it.

    Args:
        default: EMPTY where there is none.
        factory: makes the default; only that of an empty list is written, since any other may make another each time.

    Raises:
        RegistryError: it is a number that the declared type cannot carry in GraphQL.
    """
    if factory is not None:
        if factory in (list, tuple, set, frozenset) and item_type(without_none(annotation)[0]) is not EMPTY:
            return Default([])
        return Default(strawberry.UNSET, nullable=True, words="Left out, the task makes a default.")
    if default is EMPTY:
        # GraphQL lets a client leave out whatever may be null; then it means null.
        return Default(None) if without_none(annotation)[1] else REQUIRED
    if default is None and unwrap_annotated(annotation)[0] is Any:
        return Default(None, nullable=True)
    try:
        return Default(written(annotation, _fitting(annotation, default), where))
    except _Unwritable:
        text = to_json(default, by_alias=False).decode()
        shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
        return Default(strawberry.UNSET, nullable=True, words=f"Left out, it is `{shown}`.")


def _fitting(annotation: Any, default: Any) -> Any:
    """The default as the declared type: `[1]` where a set is declared becomes a set."""
    try:
        return TypeAdapter(annotation).validate_python(default, by_alias=False, by_name=True)
    except ValidationError:
        # Only a model field may have one that does not fit; pydantic does not validate it either.
        raise _Unwritable from None


def written(annotation: Any, value: Any, where: str) -> Any:
    """A value as the schema's default: lists, dicts by field name, and leaves that their scalars and enums write."""
    if value is None:
        return None
    bare, marks = unwrap_annotated(without_none(annotation)[0])
    if isinstance(value, int) and bare is int and not any(isinstance(mark, BigIntMark) for mark in marks):
        if not INT_MIN <= value <= INT_MAX:
            raise RegistryError(
                f"{where}: the default {describe_value(value)} is beyond GraphQL's Int, which ends at {INT_MAX}: "
                "declare BigInt (from dask_graphql) instead of int"
            )
        return value
    item = item_type(bare)
    if item is not EMPTY:
        parts = sorted(value, key=_sort_key) if isinstance(value, set | frozenset) else value
        return [written(item, part, where) for part in parts]
    if is_dataclass_or_model(bare):
        return {
            field.name: written(field.annotation, getattr(value, field.name), where)
            for field in fields_of(bare)
            if field.settable
        }
    if bare in (dict, Any) or get_origin(bare) is dict:
        raise _Unwritable
    return value


def _sort_key(value: Any) -> bytes:
    return canonical_json(TypeAdapter(type(value)).dump_python(value, mode="json"))


def python_default(default: Default) -> Any:
    """The default of a resolver's parameter."""
    return inspect.Parameter.empty if default.value is EMPTY else default.value
