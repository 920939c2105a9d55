"""JSON in."""

from __future__ import annotations

import json
from typing import Any


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
