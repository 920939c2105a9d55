"""What a function returned, made fit for the record: numpy's values as Python's, no number that GraphQL lacks."""

from __future__ import annotations

import copy
import dataclasses
import math
from functools import lru_cache
from typing import Any, Final

from cluster.annotations import fields_of, is_record, item_of, peel, without_none
from cluster.fields import HiddenMark
from cluster.values import BigIntMark

INT_MOST: Final = 2**31 - 1
INT_LEAST: Final = -(2**31)
"""GraphQL's Int is a signed 32-bit integer (GraphQL, October 2021, section 3.5.1)."""

_LEAVES: Final = frozenset({int, float, str, bool, bytes, type(None)})


class UnfitOutput(Exception):
    """A value that was returned has no place in a GraphQL answer; the message says where, what and what to do."""


def plain(value: Any) -> Any:
    """numpy's scalars and arrays as Python's, also within containers and dataclasses; the value itself where none is.

    The declared type is checked against what comes out. numpy is not imported for it.
    """
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        # An array of objects may hold further values of numpy.
        return plain(value.tolist())
    if kind in (list, tuple, set, frozenset):
        if _LEAVES.issuperset(map(type, value)):
            return value
        parts = [plain(item) for item in value]
        return value if all(map(_same, parts, value)) else kind(parts)
    if kind is dict:
        pairs = {plain(key): plain(item) for key, item in value.items()}
        return value if all(map(_same, pairs.values(), value.values())) and pairs.keys() == value.keys() else pairs
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _with_plain_fields(value)
    return value


def _same(one: Any, other: Any) -> bool:
    return one is other


def _with_plain_fields(value: Any) -> Any:
    changed = None
    for item in dataclasses.fields(value):
        if not hasattr(value, item.name):
            continue
        old = getattr(value, item.name)
        new = plain(old)
        if new is not old:
            changed = copy.copy(value) if changed is None else changed
            object.__setattr__(changed, item.name, new)  # a frozen dataclass too
    return value if changed is None else changed


class Shape:
    """A declared type, as far as the numbers in its values are checked by it. Read once, as every result is held to it.

    Attributes:
        bare: the type without None and marks.
        big: whether whole numbers of any length are declared.
    """

    __slots__ = ("_item", "bare", "big")

    def __init__(self, annotation: Any) -> None:
        bare, marks = peel(without_none(annotation)[0])
        self.bare, more = peel(bare)
        self.big = any(isinstance(mark, BigIntMark) for mark in (*marks, *more))
        self._item: Shape | None = None

    @property
    def item(self) -> Shape:
        """Of what is in it, if it is a list."""
        if self._item is None:
            self._item = Shape(item_of(self.bare))
        return self._item


ANY: Final = Shape(Any)


@lru_cache(maxsize=1_024)
def _shown_fields(cls: Any) -> tuple[tuple[str, Shape], ...]:
    return tuple(
        (field.name, Shape(field.annotation))
        for field in fields_of(cls)
        if not any(isinstance(mark, HiddenMark) for mark in peel(field.annotation)[1])
    )


def check_output(shape: Shape, value: Any, place: str = "") -> None:
    """Refuses numbers that GraphQL cannot carry: floats that are not finite, and an `int` beyond 32 bits.

    Args:
        shape: of the declared type; what does not match it is left to the validation of the whole.

    Raises:
        UnfitOutput: the first such number.
    """
    if value is None or isinstance(value, str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnfitOutput(
                f"{place or 'the output'} is {value}, which JSON and GraphQL's Float do not have: return None for it "
                "(and declare float | None)"
            )
    elif isinstance(value, int) and not isinstance(value, bool):
        if shape.bare is int and not shape.big and not INT_LEAST <= value <= INT_MOST:
            raise UnfitOutput(
                f"{place or 'the output'} is beyond GraphQL's Int, which ends at {INT_MOST}: declare BigInt (from "
                "cluster) instead of int"
            )
    elif isinstance(value, list | tuple | set | frozenset):
        item = shape.item
        for index, part in enumerate(value):
            if type(part) is not str:
                check_output(item, part, f"{place}[{index}]")
    elif isinstance(value, dict):
        for key, part in value.items():
            check_output(ANY, part, f"{place}[{key!r}]")
    elif is_record(type(value)):
        declared: Any = shape.bare if is_record(shape.bare) and isinstance(value, shape.bare) else type(value)
        for name, field in _shown_fields(declared):
            if hasattr(value, name):
                check_output(field, getattr(value, name), f"{place}.{name}" if place else name)
