"""Reading and writing JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson
from strawberry.types import ExecutionResult


def parse_json(text: str | bytes) -> Any:
    """Parses JSON with exact integers: orjson would silently turn those beyond 64 bits into floats.

    Raises:
        json.JSONDecodeError: the text is not JSON, or contains a number with more than 4,300 digits, Python's limit.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from error


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
