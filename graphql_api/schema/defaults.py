"""Defaults in the schema. A default that GraphQL cannot express is described in the description instead.

Either way the task type fills in the default itself, so that the task id does not depend on who fills it in.
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
"""Longer defaults are truncated in descriptions."""


class _NotExpressible(Exception):
    """The value cannot be expressed in GraphQL."""


@dataclass(frozen=True)
class Default:
    """The default of an argument or input field in GraphQL.

    Attributes:
        value: for the schema; EMPTY if a value is required, UNSET if the schema cannot express the default.
        nullable: whether the type must become nullable, which is GraphQL's only way to make it optional.
        sentence: for the description, if the schema cannot express the default.
    """

    value: Any
    nullable: bool = False
    sentence: str | None = None


REQUIRED: Final = Default(EMPTY)


def graphql_default(annotation: Any, default: Any, factory: Callable[..., Any] | None, where: str) -> Default:
    """The GraphQL default of an argument or field.

    Args:
        default: EMPTY if there is none.
        factory: makes the default. Only an empty list is written into the schema: other factories may vary.

    Raises:
        RegistryError: the default is a number beyond the range of the declared type in GraphQL.
    """
    if factory is not None:
        if factory in (list, tuple, set, frozenset) and item_type(without_none(annotation)[0]) is not EMPTY:
            return Default([])
        return Default(strawberry.UNSET, nullable=True, sentence="If omitted, the task computes a default.")
    if default is EMPTY:
        # GraphQL lets clients omit whatever may be null; it is null then.
        return Default(None) if without_none(annotation)[1] else REQUIRED
    if default is None and unwrap_annotated(annotation)[0] is Any:
        return Default(None, nullable=True)
    try:
        return Default(to_schema_value(annotation, _validated(annotation, default), where))
    except _NotExpressible:
        text = to_json(default, by_alias=False).decode()
        shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
        return Default(strawberry.UNSET, nullable=True, sentence=f"If omitted, it is `{shown}`.")


def _validated(annotation: Any, default: Any) -> Any:
    """The default as an instance of the declared type: `[1]` becomes a set if a set is declared."""
    try:
        return TypeAdapter(annotation).validate_python(default, by_alias=False, by_name=True)
    except ValidationError:
        # Only a model field may have one that does not fit; pydantic does not validate it either.
        raise _NotExpressible from None


def to_schema_value(annotation: Any, value: Any, where: str) -> Any:
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
        return [to_schema_value(item, part, where) for part in parts]
    if is_dataclass_or_model(bare):
        return {
            field.name: to_schema_value(field.annotation, getattr(value, field.name), where)
            for field in fields_of(bare)
            if field.settable
        }
    if bare in (dict, Any) or get_origin(bare) is dict:
        raise _NotExpressible
    return value


def _sort_key(value: Any) -> bytes:
    return canonical_json(TypeAdapter(type(value)).dump_python(value, mode="json"))


def python_default(default: Default) -> Any:
    """The default as that of a resolver's parameter."""
    return inspect.Parameter.empty if default.value is EMPTY else default.value
