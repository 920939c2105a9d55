"""Reading and writing JSON."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson
from strawberry.types import ExecutionResult

from cluster.errors import DocumentTooLarge

SLICE_BYTES: Final = 64 * 1024
"""Data is searched in slices of this size, so that the search ends soon where there is much to find."""


def parse_json(text: str | bytes, max_values: int) -> Any:
    """Parses JSON with exact integers: orjson would silently turn those beyond 64 bits into floats.

    Raises:
        DocumentTooLarge: it has more than `max_values` values, nested ones included.
        json.JSONDecodeError: the text is not JSON, or contains a number with more than 4,300 digits, Python's limit.
    """
    if has_more_values(text, max_values):
        raise DocumentTooLarge(f"the JSON of a request has at most {max_values} values; send less at once")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from error


def has_more_values(text: str | bytes, limit: int) -> bool:
    """Whether JSON has more than `limit` values, nested ones included; found at a fraction of the cost of parsing it.

    Parsing 4 MB of empty objects takes a second, in which the process does nothing else: not even in a thread, as
    Python's parser keeps the interpreter's lock. Values end with a comma, or begin with a bracket.
    """
    if len(text) <= 2 * limit:
        return False
    data = text.encode(errors="replace") if isinstance(text, str) else text
    if not _has_more_marks(data, limit):
        return False
    # Texts may contain commas and brackets. A text is what is between two quotes that have no backslash before them.
    parts = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"', 4 * limit)
    return len(parts) > 4 * limit or _has_more_marks(b"".join(parts[::2]), limit)


def _has_more_marks(data: bytes, limit: int) -> bool:
    marks = 0
    for start in range(0, len(data), SLICE_BYTES):
        part = data[start : start + SLICE_BYTES]
        marks += part.count(b",") + part.count(b"{") + part.count(b"[")
        if marks > limit:
            return True
    return False


def json_bytes(value: Any) -> bytes:
    """Serialises a value.

    Orjson refuses lone surrogates and integers beyond 64 bits. Clients may send them, and an error message may repeat
    them, so such values are serialised by the slower standard library, which escapes surrogates.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), default=_to_builtin).encode()


def _to_builtin(value: Any) -> Any:
    """Converts values that only orjson can write: fragments from the cache of serialised results."""
    return json.loads(orjson.dumps(value))


def result_payload(result: ExecutionResult) -> dict[str, Any]:
    """An execution result as every transport sends it."""
    payload: dict[str, Any] = {"data": result.data}
    if result.errors:
        payload["errors"] = [error.formatted for error in result.errors]
    return payload
