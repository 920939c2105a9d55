"""What a function returned, held to what a record and GraphQL can carry."""

from __future__ import annotations

import datetime
import math
from functools import lru_cache
from typing import Any, Final, Self, get_args, get_origin

from cluster.task_types.annotations import EMPTY, fields_of, is_record, item_of, peel, without_none
from cluster.task_types.result_fields import HiddenMark
from cluster.task_types.value_types import BigIntMark

INT_MOST: Final = 2**31 - 1
INT_LEAST: Final = -(2**31)
"""GraphQL's Int is a signed 32-bit integer (GraphQL, October 2021, section 3.5.1)."""


class UnfitOutput(Exception):
    """A value that was returned has no place in a GraphQL answer; the message says where, what and what to do.

    Args:
        words: what is wrong with it and what to do, to follow its place: `is nan: ...`.
        place: where it stands within what raises this; who called that says where that stands.
    """

    def __init__(self, words: str, place: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.place = place

    def within(self, step: str) -> Self:
        """The same refusal, told by who holds the value: `[3]`, `.name`."""
        self.place = step + self.place
        return self

    def __str__(self) -> str:
        return f"{self.place.removeprefix('.') or 'the output'} {self.words}"


class Shape:
    """A declared type, as far as values are turned and checked by it. Read once, as every result is held to it.

    Attributes:
        bare: the type without None and marks.
        nullable: whether None is declared.
        big: whether whole numbers of any length may be in it.
    """

    __slots__ = ("_fields", "_item", "_values", "bare", "big", "nullable")

    def __init__(self, annotation: Any) -> None:
        inner, self.nullable = without_none(annotation)
        bare, marks = peel(inner)
        if not self.nullable and without_none(bare)[1]:  # a name for `T | None`
            bare, self.nullable = without_none(bare)
        self.bare, more = peel(bare)
        # What clients do not see is not bound to GraphQL's numbers.
        self.big = any(isinstance(mark, BigIntMark | HiddenMark) for mark in (*marks, *more))
        self._item: Shape | None = None
        self._values: Shape | None = None
        self._fields: dict[str, Shape] | None = None

    @property
    def is_list(self) -> bool:
        return item_of(self.bare) is not EMPTY

    @property
    def is_dict(self) -> bool:
        return self.bare is dict or get_origin(self.bare) is dict

    @property
    def item(self) -> Shape:
        """Of what is in it, if it is a list."""
        if self._item is None:
            item = item_of(self.bare)
            self._item = ANY if item is EMPTY else Shape(item)
        return self._item

    @property
    def values(self) -> Shape:
        """Of the values in it, if it is a dict."""
        if self._values is None:
            arguments = get_args(self.bare) if get_origin(self.bare) is dict else ()
            self._values = Shape(arguments[1]) if len(arguments) == 2 else ANY
        return self._values

    @property
    def fields(self) -> dict[str, Shape]:
        """Of the fields of a dataclass or model by their names; of nothing else."""
        if self._fields is None:
            self._fields = _fields(self.bare) if is_record(self.bare) else {}
        return self._fields


ANY: Final = Shape(Any)


@lru_cache(maxsize=1_024)
def _fields(cls: Any) -> dict[str, Shape]:
    return {field.name: Shape(field.annotation) for field in fields_of(cls)}


def check_output(shape: Shape, value: Any) -> None:
    """Refuses what a record and GraphQL cannot carry: floats that are not finite, an `int` beyond 32 bits, and times
    whose zone has no whole minutes or is known by its name only.

    Args:
        shape: of the declared type; what does not match it is left to the validation of the whole.

    Raises:
        UnfitOutput: the first such value.
    """
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnfitOutput(
                f"is {value}, which JSON and GraphQL's Float do not have: return None for it (and declare float | None)"
            )
    elif isinstance(value, int):
        if shape.bare is int and not shape.big and not INT_LEAST <= value <= INT_MOST:
            raise UnfitOutput(
                f"is beyond GraphQL's Int, which ends at {INT_MOST}: declare BigInt (from cluster) instead of int"
            )
    elif isinstance(value, list | tuple | set | frozenset):
        _check_items(shape.item, value)
    elif isinstance(value, dict):
        for key, part in value.items():
            try:
                check_output(ANY, part)
            except UnfitOutput as unfit:
                raise unfit.within(f"[{key!r}]") from None
    elif isinstance(value, datetime.datetime | datetime.time):
        _check_zone(value)
    else:
        declared = shape if shape.fields and isinstance(value, shape.bare) else Shape(kind)
        for name, field in declared.fields.items():
            try:
                check_output(field, getattr(value, name, None))
            except UnfitOutput as unfit:
                raise unfit.within(f".{name}") from None


def _check_items(item: Shape, values: Any) -> None:
    kinds = set(map(type, values))
    if kinds <= {str, bool} or (kinds == {float} and all(map(math.isfinite, values))):
        return
    if kinds == {int} and (item.big or item.bare is not int or (min(values) >= INT_LEAST and max(values) <= INT_MOST)):
        return
    for index, part in enumerate(values):
        try:
            check_output(item, part)
        except UnfitOutput as unfit:
            raise unfit.within(f"[{index}]") from None


def _check_zone(value: datetime.datetime | datetime.time) -> None:
    if value.tzinfo is None:
        return
    offset = value.utcoffset()
    if offset is None:
        raise UnfitOutput(
            f"is a time in {value.tzinfo}, whose offset depends on the day: return a datetime, or a time with a fixed "
            "offset"
        )
    if offset.seconds % 60 or offset.microseconds:
        raise UnfitOutput(f"has the offset {offset} from UTC, and ISO 8601 has none with seconds: return it in UTC")
