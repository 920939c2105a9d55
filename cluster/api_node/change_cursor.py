"""Positions in the changes of all shards, and the cursors by which clients resume after one. No I/O.

A cursor has the number of the last change of each shard, and one checksum of these changes: a change with the same
number that is another one, because Redis lost its last writes, is not taken for it.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterable
from typing import Final, TypeAlias

from cluster.errors import BadCursor
from cluster.store.change_calls import Change
from cluster.store.keys import SHARDS

MAX_LENGTH: Final = 200
"""Characters of a cursor; a usual one has 50 to 90."""

Anchor: TypeAlias = tuple[int, int]
"""Number and check of the last change of a shard that is behind a position."""


class Place:
    """A position in the changes of all shards.

    Attributes:
        anchors: of each shard, in the order of SHARDS.
    """

    __slots__ = ("anchors",)

    def __init__(self, anchors: Iterable[Anchor]) -> None:
        self.anchors = list(anchors)

    def copy(self) -> Place:
        return Place(self.anchors)

    def pass_by(self, change: Change) -> None:
        """The position is behind this change, the next one of its shard."""
        self.anchors[int(change.task_id[0], 16)] = change.number, change.check

    @property
    def check(self) -> int:
        """The checksum of all anchors."""
        return zlib.crc32(struct.pack(f"<{len(SHARDS)}I", *(check for _, check in self.anchors)))

    def cursor(self) -> str:
        """The position as clients get it."""
        packed = bytearray(self.check.to_bytes(4, "little"))
        for number, _ in self.anchors:
            while number > 127:
                packed.append(number & 127 | 128)
                number >>= 7
            packed.append(number)
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def parse_cursor(cursor: str) -> tuple[list[int], int]:
    """The numbers and the checksum in a cursor.

    Raises:
        BadCursor: it was not made by `Place.cursor`.
    """
    try:
        if len(cursor) > MAX_LENGTH:
            raise ValueError
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        numbers, value, shift = [], 0, 0
        for byte in packed[4:]:
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                numbers.append(value)
                value = shift = 0
        # HINCRBY counts to 2**63, and Lua's numbers are exact up to 2**53.
        if len(numbers) != len(SHARDS) or shift or max(numbers) >= 2**53:
            raise ValueError
    except (ValueError, binascii.Error):
        raise BadCursor(f"`after` must be the cursor of a change, not {cursor[:64]!r}") from None
    return numbers, int.from_bytes(packed[:4], "little")
