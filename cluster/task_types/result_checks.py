"""Checks that a returned value can be stored in a record and sent by GraphQL."""

from __future__ import annotations

import datetime
import math
from functools import lru_cache
from typing import Any, Final, Self, get_args, get_origin

from cluster.task_types.annotations import (
    EMPTY,
    classes_in,
    fields_of,
    is_dataclass_or_model,
    item_type,
    unwrap_annotated,
    without_none,
)
from cluster.task_types.array_types import is_array
from cluster.task_types.result_fields import HiddenMark
from cluster.task_types.table_types import is_table
from cluster.task_types.value_types import BigIntMark

INT_MAX: Final = 2**31 - 1
INT_MIN: Final = -(2**31)
"""GraphQL's Int is a signed 32-bit integer (GraphQL, October 2021, section 3.5.1)."""


class InvalidOutput(Exception):
    """A returned value that GraphQL cannot represent; the message says where it is, what is wrong and what to do.

    Args:
        problem: what is wrong and what to do; it follows the path in the message: `is nan: ...`.
        path: of the value, from where this is raised; callers prepend their steps with `inside`.
    """

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path

    def inside(self, step: str) -> Self:
        """The same error with one more step in front of its path: `[3]`, `.name`."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path.removeprefix('.') or 'the output'} {self.problem}"


class DeclaredType:
    """What conversions and checks need of a declared type. Computed once, because every result is checked against it.

    Attributes:
        bare: the type without None and annotations.
        nullable: whether None is declared.
        any_integer: whether integers beyond GraphQL's Int are allowed.
    """

    __slots__ = ("_fields", "_holds_data", "_item", "_values", "any_integer", "bare", "is_hidden", "nullable")

    def __init__(self, annotation: Any) -> None:
        inner, self.nullable = without_none(annotation)
        bare, marks = unwrap_annotated(inner)
        if not self.nullable and without_none(bare)[1]:  # an alias of `T | None`
            bare, self.nullable = without_none(bare)
        self.bare, more = unwrap_annotated(bare)
        self.is_hidden = any(isinstance(mark, HiddenMark) for mark in (*marks, *more))
        # GraphQL's range does not apply to fields that clients do not see.
        self.any_integer = self.is_hidden or any(isinstance(mark, BigIntMark) for mark in (*marks, *more))
        self._item: DeclaredType | None = None
        self._values: DeclaredType | None = None
        self._fields: dict[str, DeclaredType] | None = None
        self._holds_data: bool | None = None

    @property
    def is_data(self) -> bool:
        """Whether it is a table or an array itself."""
        return is_table(self.bare) or is_array(self.bare)

    @property
    def holds_data(self) -> bool:
        """Whether it is a table or an array, or has one in it."""
        if self._holds_data is None:
            self._holds_data = any(is_table(cls) or is_array(cls) for cls, _ in classes_in(self.bare))
        return self._holds_data

    @property
    def is_list(self) -> bool:
        return item_type(self.bare) is not EMPTY

    @property
    def is_dict(self) -> bool:
        return self.bare is dict or get_origin(self.bare) is dict

    @property
    def item(self) -> DeclaredType:
        """The type of its items, if it is a list."""
        if self._item is None:
            item = item_type(self.bare)
            self._item = ANY if item is EMPTY else DeclaredType(item)
        return self._item

    @property
    def values(self) -> DeclaredType:
        """The type of its values, if it is a dict."""
        if self._values is None:
            arguments = get_args(self.bare) if get_origin(self.bare) is dict else ()
            self._values = DeclaredType(arguments[1]) if len(arguments) == 2 else ANY
        return self._values

    @property
    def fields(self) -> dict[str, DeclaredType]:
        """The types of its fields by name, if it is a dataclass or model; otherwise empty."""
        if self._fields is None:
            self._fields = _fields(self.bare) if is_dataclass_or_model(self.bare) else {}
        return self._fields


ANY: Final = DeclaredType(Any)


@lru_cache(maxsize=1_024)
def _fields(cls: Any) -> dict[str, DeclaredType]:
    return {field.name: DeclaredType(field.annotation) for field in fields_of(cls)}


def check_output(declared: DeclaredType, value: Any, *, shown: bool = True, as_json: bool = False) -> None:
    """Refuses values that a record or GraphQL cannot represent: floats that are not finite, an `int` beyond 32 bits,
    times whose UTC offset is not in whole minutes or depends on the day, and objects with `Hidden` fields that would be
    shown, as any JSON is declared.

    Args:
        declared: the declared type; values that do not match it are left to pydantic's validation.
        shown: whether clients see it, because it is not in a `Hidden` field.
        as_json: whether it is in a value that they see as JSON, with all of its fields.

    Raises:
        InvalidOutput: for the first such value.
    """
    kind = type(value)
    as_json = as_json or declared.bare is Any
    if value is None or kind is str or kind is bool:
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidOutput(
                f"is {value}, which JSON and GraphQL's Float do not have: return None for it (and declare float | None)"
            )
    elif isinstance(value, int):
        if declared.bare is int and not declared.any_integer and not INT_MIN <= value <= INT_MAX:
            raise InvalidOutput(
                f"is beyond GraphQL's Int, which ends at {INT_MAX}: declare BigInt (from dask_graphql) instead of int"
            )
    elif isinstance(value, list | tuple | set | frozenset):
        _check_items(declared.item, value, shown, as_json)
    elif isinstance(value, dict):
        for key, part in value.items():
            try:
                check_output(ANY, part, shown=shown, as_json=as_json)
            except InvalidOutput as error:
                raise error.inside(f"[{key!r}]") from None
    elif isinstance(value, datetime.datetime | datetime.time):
        _check_zone(value)
    else:
        own = declared if declared.fields and isinstance(value, declared.bare) else DeclaredType(kind)
        if shown and as_json and any(field.is_hidden for field in own.fields.values()):
            raise InvalidOutput(
                f"is a {kind.__name__}, whose Hidden fields would be shown: declare {kind.__name__}, or give a dict"
            )
        for name, field in own.fields.items():
            try:
                check_output(field, getattr(value, name, None), shown=shown and not field.is_hidden, as_json=as_json)
            except InvalidOutput as error:
                raise error.inside(f".{name}") from None


def _check_items(item: DeclaredType, values: Any, shown: bool, as_json: bool) -> None:
    kinds = set(map(type, values))
    if kinds <= {str, bool} or (kinds == {float} and all(map(math.isfinite, values))):
        return
    if kinds == {int} and (
        item.any_integer or item.bare is not int or (min(values) >= INT_MIN and max(values) <= INT_MAX)
    ):
        return
    for index, part in enumerate(values):
        try:
            check_output(item, part, shown=shown, as_json=as_json)
        except InvalidOutput as error:
            raise error.inside(f"[{index}]") from None


def _check_zone(value: datetime.datetime | datetime.time) -> None:
    if value.tzinfo is None:
        return
    offset = value.utcoffset()
    if offset is None:
        raise InvalidOutput(
            f"is a time in {value.tzinfo}, whose offset depends on the day: return a datetime, or a time with a fixed "
            "offset"
        )
    if offset.seconds % 60 or offset.microseconds:
        raise InvalidOutput(f"has the UTC offset {offset}, but offsets in ISO 8601 have no seconds: return it in UTC")
