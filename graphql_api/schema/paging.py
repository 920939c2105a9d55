"""Pages of a list: how many items, from which cursor, and the cursors of what is shown."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import base64
import binascii
from typing import Final

import strawberry

from cluster.errors import BadCursor, BadInput
from cluster.task_types.task_id import TASK_ID
from graphql_api.execution.document_limits import DEFAULT_PAGE, PAGE_LIMIT

CURSOR_LENGTH: Final = 100
"""Characters of a cursor; those of `make_cursor` have about 64."""


@strawberry.type(description="The cursors of a page of a list.")
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


def checked_first(first: int | None) -> int:
    """The number of items of a page.

    Raises:
        BadInput: it is out of bounds.
    """
    first = DEFAULT_PAGE if first is None else first
    if not 0 <= first <= PAGE_LIMIT:
        raise BadInput(f"first must be from 0 to {PAGE_LIMIT}, not {first}", argument="first", limit=PAGE_LIMIT)
    return first


def make_cursor(pair: tuple[int, str]) -> str:
    """An opaque cursor: a position in the list, which does not change as newer tasks are added."""
    return base64.urlsafe_b64encode(f"{pair[0]}:{pair[1]}".encode()).decode().rstrip("=")


def parse_cursor(cursor: str) -> tuple[int, str]:
    """The position that a cursor stands for.

    Raises:
        BadCursor: it was not made by `make_cursor`.
    """
    try:
        if len(cursor) > CURSOR_LENGTH:
            raise ValueError(cursor[:CURSOR_LENGTH])
        score, task_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(":")
        if not TASK_ID.fullmatch(task_id) or len(score) > 16:
            raise ValueError(task_id)
        return int(score), task_id
    except (ValueError, binascii.Error):
        raise BadCursor(f"`after` must be an endCursor of this list, not {cursor[:64]!r}") from None
