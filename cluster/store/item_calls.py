"""The calls of the scripts that append to the stream of a task, and read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cluster.store.call_builder import CHECK_AFTER_SECONDS, CallBuilder, milliseconds
from cluster.store.lua_scripts import Call, unpack
from cluster.store.record import Record, parse_record
from cluster.store.task_calls import WATCH_TTL_SECONDS

PAGE_ITEMS: Final = 500
"""Items in one page of `read_items`."""
PAGE_BYTES: Final = 256 * 1024
"""Bytes of items after which a page ends."""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Items of a task's stream.

    Attributes:
        record: None if there is no such task.
        attempt: the attempt that they are of; None if there are none yet.
        first: number of items of that attempt before these.
        items: the JSON of each.
        more: whether there are further ones.
    """

    record: Record | None
    attempt: int | None
    first: int
    items: tuple[bytes, ...]
    more: bool


class ItemCalls(CallBuilder):
    def append_items(self, task_id: str, attempt: int, before: int, items: Sequence[bytes]) -> Call[int]:
        """Appends items to the stream of a running attempt; also its heartbeat. Repeating a call is safe.

        Returns 1; 0 if the attempt must stop; -1 if Redis has lost items before these.

        Args:
            before: number of items of this attempt before these; 0 begins the stream anew.
            items: the JSON of each; a few thousand at most, as Lua unpacks them.
        """
        return self._task_call(
            "append_items", task_id, attempt, before, milliseconds(CHECK_AFTER_SECONDS), *items, parse=int
        )

    def read_items(
        self, task_id: str, attempt: int | None, after: int, *, node: str = "", limit: int = PAGE_ITEMS
    ) -> Call[ItemPage]:
        """Reads the items of a task's stream, at most PAGE_ITEMS and about PAGE_BYTES.

        Args:
            attempt: the attempt that the caller has items of, or None. If the stream is another attempt's by now, the
                page begins at its first item.
            after: number of items of that attempt that the caller has.
            node: registered as a watcher of the task's events, unless it has ended; empty for none.
        """

        def parse(reply: bytes) -> ItemPage:
            of, first, items, more, *rest = unpack(reply)
            record = parse_record(task_id, rest[0]) if rest else None
            return ItemPage(record, int(of) if of else None, int(first), tuple(items), bool(more))

        return self._task_call(
            "read_items", task_id, node, milliseconds(WATCH_TTL_SECONDS), attempt or "", after,
            min(limit, PAGE_ITEMS), PAGE_BYTES, parse=parse,
        )  # fmt: skip
