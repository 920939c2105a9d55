"""The JSON form of an input, made stable enough for its id: sets in one order, no number that JSON lacks."""

from __future__ import annotations

import math
from typing import Any, Final

from cluster.task_types.annotations import is_dataclass_or_model
from cluster.task_types.input_errors import ValuePath
from cluster.task_types.task_id import canonical_json

_UNCHANGED: Final = frozenset({int, str, bool, type(None)})
"""Types whose values need no further look."""


class NonFiniteNumber(Exception):
    """A float that is not finite, which JSON would write as null.

    Attributes:
        path: the path to it, from the outside.
        value: the float.
    """

    def __init__(self, value: float) -> None:
        super().__init__()
        self.path: ValuePath = ()
        self.value = value


def stable_json(written: Any, value: Any) -> Any:
    """The JSON form of a value with its sets sorted, because their own order differs from process to process.

    Args:
        written: the JSON form that pydantic made of the value.
        value: the value.

    Raises:
        NonFiniteNumber: a float in it is not finite.
        ValueError: the JSON form does not have the parts of the value.
    """
    kind = type(value)
    if kind in _UNCHANGED:
        return written
    if kind is float:
        if not math.isfinite(value):
            raise NonFiniteNumber(value)
        return written
    if isinstance(value, list | tuple | set | frozenset):
        kinds = set(map(type, value))
        if isinstance(value, list | tuple) and (
            kinds <= _UNCHANGED or (kinds == {float} and all(map(math.isfinite, value)))
        ):
            return written
        parts = [_at(index, part, item) for index, (part, item) in enumerate(zip(written, value, strict=True))]
        return sorted(parts, key=canonical_json) if isinstance(value, set | frozenset) else parts
    if isinstance(value, dict) and isinstance(written, dict):
        return {key: _at(key, part, item) for (key, part), item in zip(written.items(), value.values(), strict=True)}
    if isinstance(written, dict) and is_dataclass_or_model(kind):
        return {key: _at(key, part, getattr(value, key)) for key, part in written.items()}
    return written


def _at(step: int | str, written: Any, value: Any) -> Any:
    try:
        return stable_json(written, value)
    except NonFiniteNumber as error:
        error.path = (step, *error.path)
        raise
