"""What a task reports beside its fraction: a message for people and data for programs, both bounded."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from cluster.attempt_errors import utf8_text
from cluster.task_types.output_type import OutputType
from cluster.task_types.result_checks import InvalidOutput
from cluster.worker.task_log import without_control

MESSAGE_LENGTH: Final = 500
"""Characters of a message that are shown."""
DATA_BYTES: Final = 2_000
"""Length of the data as JSON: a task keeps them with each of its newest events."""


class ProgressNote(NamedTuple):
    """A message and the JSON of data; empty for none."""

    message: str = ""
    data: bytes = b""


def progress_note(message: str | None, data: Any) -> ProgressNote:
    """The message and the data of a report, as Redis keeps them.

    Raises:
        ValueError: the data have no JSON form, or are too long.
    """
    return ProgressNote(_message(message or ""), b"" if data is None else _data(data))


def _message(text: str) -> str:
    return utf8_text(without_control(" ".join(text[: MESSAGE_LENGTH * 2].split())))[:MESSAGE_LENGTH]


def _data(data: Any) -> bytes:
    declared = _any()
    try:
        value = declared.validate(data)
        encoded = declared.dump(value)
        declared.check(encoded, value)
    except (ValidationError, PydanticSerializationError, InvalidOutput, RecursionError) as error:
        raise ValueError(f"the data of a progress report must have a JSON form: {error}") from None
    if len(encoded) > DATA_BYTES:
        raise ValueError(
            f"the data of a progress report may have {DATA_BYTES} bytes of JSON, not {len(encoded)}; show more of the "
            "output so far with report_partial"
        )
    return encoded


@cache
def _any() -> OutputType:
    """The rules of results: what is reported is what clients read."""
    return OutputType(Any)
