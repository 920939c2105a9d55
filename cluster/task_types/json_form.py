"""The JSON form of an input, made fit to be its identity: sets in one order, and no number that JSON lacks."""

from __future__ import annotations

import math
from typing import Any, Final

from cluster.task_types.annotations import is_record
from cluster.task_types.task_id import canonical_json

_SAME: Final = frozenset({int, str, bool, type(None)})
"""Types whose values are written as they are."""

Place = tuple[int | str, ...]


class NotInJson(Exception):
    """A float that is not finite, for which JSON would have null.

    Attributes:
        place: the way to it, from the outside.
        value: as it was.
    """

    def __init__(self, value: float) -> None:
        super().__init__()
        self.place: Place = ()
        self.value = value


def faithful(written: Any, value: Any) -> Any:
    """The JSON form of a value with its sets sorted, since their own order differs from process to process.

    Args:
        written: as pydantic writes the value.
        value: itself.

    Raises:
        NotInJson: a float in it is not finite.
        ValueError: something else is written than is there.
    """
    kind = type(value)
    if kind in _SAME:
        return written
    if kind is float:
        if not math.isfinite(value):
            raise NotInJson(value)
        return written
    if isinstance(value, list | tuple | set | frozenset):
        kinds = set(map(type, value))
        if isinstance(value, list | tuple) and (
            kinds <= _SAME or (kinds == {float} and all(map(math.isfinite, value)))
        ):
            return written
        parts = [_at(index, part, item) for index, (part, item) in enumerate(zip(written, value, strict=True))]
        return sorted(parts, key=canonical_json) if isinstance(value, set | frozenset) else parts
    if isinstance(value, dict) and isinstance(written, dict):
        return {key: _at(key, part, item) for (key, part), item in zip(written.items(), value.values(), strict=True)}
    if isinstance(written, dict) and is_record(kind):
        return {key: _at(key, part, getattr(value, key)) for key, part in written.items()}
    return written


def _at(step: int | str, written: Any, value: Any) -> Any:
    try:
        return faithful(written, value)
    except NotInJson as error:
        error.place = (step, *error.place)
        raise
