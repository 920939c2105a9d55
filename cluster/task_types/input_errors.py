"""The messages of refused inputs: where the value is, what was expected and what was given."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from cluster.errors import BadInput
from cluster.task_types.value_types import decimal_text

ValuePath: TypeAlias = tuple[int | str, ...]
"""The path from an argument to a value inside it: field names, list indexes, dict keys."""

MAX_PROBLEMS: Final = 5
"""Problems of one input that a message lists."""
MAX_TEXT: Final = 500
"""Characters of an author's exception that a message quotes."""


def python_path(path: ValuePath) -> str:
    """A path in Python's notation: `points[1].x`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def describe_value(value: Any) -> str:
    """A value in about 80 characters at most, for a message; works for integers that Python refuses to print."""
    if isinstance(value, int) and not isinstance(value, bool):
        return decimal_text(value)[:80]
    if isinstance(value, str):
        return repr(value[:80])
    try:
        return reprlib.repr(value)[:80]
    except ValueError:  # a long integer in a list: CPython prints at most 4,300 digits
        return f"a {type(value).__name__}"


def validation_refusal(name: str, error: ValidationError, format_path: Callable[[ValuePath], str]) -> BadInput:
    """A validation error in one line that names each argument, what was expected and what was given."""
    parts = []
    problems = error.errors(include_url=False, include_context=False)
    for item in problems[:MAX_PROBLEMS]:
        given = "" if item["type"] in ("missing", "extra_forbidden") else f", not {describe_value(item['input'])}"
        parts.append(f"{format_path(item['loc']) or 'input'}: {item['msg']}{given}")
    if len(problems) > MAX_PROBLEMS:
        parts.append(f"and {len(problems) - MAX_PROBLEMS} more")
    details = {"argument": format_path(problems[0]["loc"])} if problems[0]["loc"] else {}
    return BadInput(f"{name}: " + "; ".join(parts), **details)


def describe_exception(error: Exception) -> str:
    """Why the author's code refused an input: the message of a ValueError or AssertionError, of other exceptions their
    type and where they were raised too."""
    if isinstance(error, ValueError | AssertionError) and str(error):
        return str(error)[:MAX_TEXT]
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    place = f" in {step.tb_frame.f_code.co_qualname}" if step is not None else ""
    return f"the input raised {type(error).__name__}{place}: {str(error)[:MAX_TEXT]}"
