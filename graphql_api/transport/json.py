"""Reading and writing JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson
from strawberry.types import ExecutionResult


def parse_json(text: str | bytes) -> Any:
    """A JSON value with its integers whole: orjson would make a float of one beyond 64 bits, without a word.

    Raises:
        json.JSONDecodeError: the text is not JSON, or holds a number longer than Python reads (4,300 digits).
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from error


def json_bytes(value: Any) -> bytes:
    """A value as JSON. Orjson refuses lone surrogates and integers beyond 64 bits, which a client may have sent and a
    message may repeat; those go the slow way, escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    """What orjson writes and Python's own encoder does not: answers that are kept as they were written."""
    return json.loads(orjson.dumps(value))


def result_payload(result: ExecutionResult) -> dict[str, Any]:
    """An execution result as every transport sends it."""
    payload: dict[str, Any] = {"data": result.data}
    if result.errors:
        payload["errors"] = [error.formatted for error in result.errors]
    return payload
