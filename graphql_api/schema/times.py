"""Times: GraphQL's DateTime, and a record's milliseconds since 1970."""

from __future__ import annotations

import datetime
from typing import overload

from cluster.errors import BadInput


@overload
def to_datetime(milliseconds: int) -> datetime.datetime: ...


@overload
def to_datetime(milliseconds: int | None) -> datetime.datetime | None: ...


def to_datetime(milliseconds: int | None) -> datetime.datetime | None:
    """A record's time as GraphQL's DateTime, in UTC."""
    if milliseconds is None:
        return None
    return datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)


def to_milliseconds(time: datetime.datetime | None, argument: str) -> int | None:
    """A DateTime as a record's time, in milliseconds since 1970.

    Raises:
        BadInput: it has no time zone; the message names the argument.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        raise BadInput(f"{argument} needs a time zone, as in 2026-01-31T12:00:00Z", argument=argument)
    return round(time.timestamp() * 1000)
