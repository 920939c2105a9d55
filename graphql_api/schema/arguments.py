"""GraphQL arguments as builtin values, which pydantic validates."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Final

import strawberry

from cluster.errors import BadInput


def given(value: Any) -> Any:
    """The value of an optional argument; None if it was omitted."""
    return None if value is strawberry.UNSET else value


def to_builtin(values: Mapping[str, Any]) -> dict[str, Any]:
    """Converts GraphQL arguments to JSON-like values by Python name; omitted arguments are omitted.

    Raises:
        BadInput: a JSON value is nested beyond Python's recursion limit.
    """
    try:
        return {name: _to_builtin(value) for name, value in values.items() if value is not strawberry.UNSET}
    except RecursionError:
        raise BadInput("an argument is nested too deeply; send at most 200 levels") from None


_LEAVES: Final = frozenset({int, float, str, bool, type(None)})


def _to_builtin(value: Any) -> Any:
    if type(value) in _LEAVES:
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, list):
        return value if _LEAVES.issuperset(map(type, value)) else [_to_builtin(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_builtin(vars(value))
    return value
