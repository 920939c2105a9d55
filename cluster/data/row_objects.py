"""Rows of a `Table[Row]` as instances of Row, which GraphQL's typed `records` are read from."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from cluster.task_types.annotations import (
    EMPTY,
    fields_of,
    is_dataclass_or_model,
    item_type,
    unwrap_annotated,
    without_none,
)


def row_objects(table: Any, row: Any) -> list[Any]:
    """The rows of a pyarrow Table, which was checked against Row when it was written: nothing is validated again, and
    the author's `__post_init__` and validators do not run."""
    converters = _converters(row)
    columns = [
        [_apply(convert, value) for value in table.column(name).to_pylist()] for name, convert in converters.items()
    ]
    return [_make(row, dict(zip(converters, values, strict=True))) for values in zip(*columns, strict=True)]


def _converters(row: Any) -> dict[str, Callable[[Any], Any] | None]:
    return {field.name: _converter(field.annotation) for field in fields_of(row)}


def _converter(annotation: Any) -> Callable[[Any], Any] | None:
    """What makes a declared value of what Arrow returns; None if it is one."""
    bare, _ = unwrap_annotated(without_none(annotation)[0])
    if bare is uuid.UUID or (isinstance(bare, type) and issubclass(bare, enum.Enum)):
        return bare
    if (item := item_type(bare)) is not EMPTY:
        inner = _converter(item)
        return inner and (lambda values: [_apply(inner, value) for value in values])
    if is_dataclass_or_model(bare):
        inside = _converters(bare)
        return lambda value: _make(bare, {name: _apply(inside[name], value[name]) for name in inside})
    return None


def _apply(convert: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if convert is None or value is None else convert(value)


def _make(cls: Any, values: dict[str, Any]) -> Any:
    if issubclass(cls, BaseModel):
        return cls.model_construct(**values)
    made = object.__new__(cls)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made
