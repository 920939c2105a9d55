"""GraphQL's arguments as plain values, for validation by pydantic."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Final

import strawberry

from cluster.errors import BadInput


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """GraphQL's arguments as JSON-like values by Python name; what the client left out is left out.

    Raises:
        BadInput: a JSON value is nested beyond Python's recursion limit.
    """
    try:
        return {name: _plain(value) for name, value in values.items() if value is not strawberry.UNSET}
    except RecursionError:
        raise BadInput("an argument is nested too deeply; send at most 200 levels") from None


_LEAVES: Final = frozenset({int, float, str, bool, type(None)})


def _plain(value: Any) -> Any:
    if type(value) in _LEAVES:
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, list):
        return value if _LEAVES.issuperset(map(type, value)) else [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(vars(value))
    return value
