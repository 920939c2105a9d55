"""Pages of a list: how many items, from which cursor, and the cursors of what is shown."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import strawberry

from cluster.errors import BadCursor, BadInput
from cluster.task_types.task_id import TASK_ID
from graphql_api.execution.document_limits import DEFAULT_PAGE, PAGE_LIMIT

C = TypeVar("C")

CURSOR_LENGTH: Final = 100
"""Characters of a cursor; those of `make_cursor` have about 64."""


@strawberry.type(description="The cursors of a page of a list.")
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@dataclass(frozen=True, slots=True)
class PageArguments(Generic[C]):
    """A page of a list, in either direction.

    Attributes:
        limit: items at most.
        backward: whether they are the last ones before `before`, instead of the first ones after `after`.
        after, before: the cursors that the page is between; None for the list's ends.
    """

    limit: int
    backward: bool
    after: C | None
    before: C | None

    def info(self, cursors: Sequence[str], more: bool, end: str | None) -> PageInfo:
        """The cursors of the page.

        Args:
            cursors: those of its items.
            more: whether items follow in the direction in which it was read.
            end: where to read on in that direction, which may be past the items.
        """
        start_cursor, end_cursor = (cursors[0], cursors[-1]) if cursors else (end, end)
        return PageInfo(
            has_next_page=self.before is not None if self.backward else more,
            has_previous_page=more if self.backward else self.after is not None,
            start_cursor=end if self.backward else start_cursor,
            end_cursor=end_cursor if self.backward else end,
        )


def page_arguments(
    first: int | None, after: str | None, last: int | None, before: str | None
) -> PageArguments[tuple[int, str]]:
    """The page that a client asks for.

    Raises:
        BadInput: a number is out of bounds, or there are two.
        BadCursor: a cursor is not one of this list.
    """
    if first is not None and last is not None:
        raise BadInput(
            "give `first`, from the start of the list, or `last`, from its end, but not both", argument="last"
        )
    limit = checked_number(first, "first") if last is None else checked_number(last, "last")
    return PageArguments(
        limit, last is not None, parse_cursor(after, "after") if after else None,
        parse_cursor(before, "before") if before else None,
    )  # fmt: skip


def checked_number(number: int | None, argument: str) -> int:
    """The number of items of a page, that is the value of `argument`.

    Raises:
        BadInput: it is out of bounds.
    """
    number = DEFAULT_PAGE if number is None else number
    if not 0 <= number <= PAGE_LIMIT:
        raise BadInput(f"{argument} must be from 0 to {PAGE_LIMIT}, not {number}", argument=argument, limit=PAGE_LIMIT)
    return number


def make_cursor(pair: tuple[int, str]) -> str:
    """An opaque cursor: a position in the list, which does not change as newer tasks are added."""
    return base64.urlsafe_b64encode(f"{pair[0]}:{pair[1]}".encode()).decode().rstrip("=")


def parse_cursor(cursor: str, argument: str = "after", identifier: re.Pattern[str] = TASK_ID) -> tuple[int, str]:
    """The position that a cursor stands for.

    Args:
        identifier: what the ids in the list look like.

    Raises:
        BadCursor: it was not made by `make_cursor`.
    """
    try:
        if len(cursor) > CURSOR_LENGTH:
            raise ValueError(cursor[:CURSOR_LENGTH])
        score, task_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(":")
        if not identifier.fullmatch(task_id) or len(score) > 16:
            raise ValueError(task_id)
        return int(score), task_id
    except (ValueError, binascii.Error):
        raise BadCursor(f"`{argument}` must be a cursor of this list, not {cursor[:64]!r}") from None
