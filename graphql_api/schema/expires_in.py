"""The argument `expiresIn` of what a token is made for."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from typing import Annotated, Any, Final

import strawberry
from pydantic import TypeAdapter, ValidationError

from cluster.errors import BadInput
from cluster.settings import Settings

DURATION: Final = TypeAdapter(datetime.timedelta)

ExpiresIn = Annotated[
    datetime.timedelta | None,
    strawberry.argument(
        description="How long it is valid, such as 900 (seconds) or `PT15M`; never longer than the caller's own "
        "credential. Default: TASK_TOKEN_SECONDS; at most TASK_TOKEN_MAX_SECONDS."
    ),
]


def checked_seconds(expires_in: Any, settings: Settings) -> float:
    """How long a token is to be valid.

    Args:
        expires_in: a Duration that a client gave.

    Raises:
        BadInput: it is no duration, or out of bounds.
    """
    if expires_in is None or expires_in is strawberry.UNSET:
        return min(settings.task_token_seconds, settings.task_token_max_seconds)
    try:
        seconds = DURATION.validate_python(expires_in).total_seconds()
    except ValidationError:
        seconds = 0.0
    longest = settings.task_token_max_seconds
    if not 1 <= seconds <= longest:
        raise BadInput(
            f"expiresIn is a duration from 1 s to {longest:g} s, such as 900 or PT15M, not {str(expires_in)[:40]!r}",
            argument="expiresIn",
            limit=longest,
        )
    return seconds
