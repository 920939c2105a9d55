"""Which spans the history has at a moment, and what is due. Pure: no I/O.

Minutes are kept for three hours and blocks of ten minutes for a day, so the history has at most 180 + 150 spans of
32 KB: 11 MB, whatever callers do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

MINUTE_MILLISECONDS: Final = 60_000
BLOCK_MINUTES: Final = 10
KEPT_MINUTES: Final = 180
KEPT_BLOCK_MINUTES: Final = 1_500
"""25 hours, so that a day ends on a whole block."""
COUNTED_MINUTES: Final = 120
"""How long the shards keep their counts of a minute (ENDS_TTL in _common.lua)."""
STEPS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 720, 1_440)
"""Minutes that a point may stand for. Few, so that all who look at the history share what was read and added up."""
SETTLE_MILLISECONDS: Final = 2_000
"""How long after a minute it is written: the servers of a Redis cluster have clocks of their own."""


def minute_field(minute: int) -> str:
    """The field of a minute, in minutes since 1970, in the hash of the history."""
    return f"m{minute}"


def block_field(first_minute: int) -> str:
    """The field of a block, by its first minute."""
    return f"b{first_minute}"


def parse_fields(fields: Iterable[bytes]) -> tuple[set[int], set[int]]:
    """The minutes, and the first minutes of the blocks, that have a field."""
    minutes: set[int] = set()
    blocks: set[int] = set()
    for name in fields:
        kind, number = name[:1], name[1:]
        if number.isdigit() and kind in (b"m", b"b"):
            (minutes if kind == b"m" else blocks).add(int(number))
    return minutes, blocks


@dataclass(frozen=True, slots=True)
class DueSpans:
    """What the keeper of the history has to do.

    Attributes:
        minutes: to be written, oldest first. The last one that has ended is there even if nothing happened in it.
        blocks: first minutes of the blocks to be written of their minutes.
        expired: fields to be deleted.
    """

    minutes: tuple[int, ...]
    blocks: tuple[int, ...]
    expired: tuple[str, ...]


def due_spans(minutes: Collection[int], blocks: Collection[int], now: int) -> DueSpans:
    """Decides what is due.

    Args:
        minutes, blocks: what is there.
        now: milliseconds since 1970, by Redis's clock.
    """
    current = (now - SETTLE_MILLISECONDS) // MINUTE_MILLISECONDS
    latest = max(minutes, default=current - COUNTED_MINUTES - 1)
    first = max(latest + 1, current - COUNTED_MINUTES)
    written = {*minutes, *range(first, current)}
    block = current - current % BLOCK_MINUTES
    complete = range(block - KEPT_MINUTES + BLOCK_MINUTES, block, BLOCK_MINUTES)
    due_blocks = tuple(
        start for start in complete
        if start not in blocks and not written.isdisjoint(range(start, start + BLOCK_MINUTES))
    )  # fmt: skip
    expired = [minute_field(minute) for minute in sorted(minutes) if minute < current - KEPT_MINUTES]
    expired += [block_field(start) for start in sorted(blocks) if start < current - KEPT_BLOCK_MINUTES]
    return DueSpans(tuple(range(first, current)), due_blocks, tuple(expired))


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the history, cut into points of the same length. Times are in minutes since 1970.

    Attributes:
        first: when the first point begins: a multiple of `step`, so that points stay as they are from read to read.
        step: length of a point.
        count: number of points; the last one contains now.
    """

    first: int
    step: int
    count: int

    @property
    def by_blocks(self) -> bool:
        """Whether it is read from blocks, as minutes are not kept for so long or not needed so fine."""
        return self.step % BLOCK_MINUTES == 0

    def spans(self, now_minute: int) -> tuple[list[int], list[int]]:
        """First minutes of the blocks that it needs, and minutes: all, or those that may be in no block yet."""
        minutes = range(self.first, now_minute + 1)
        if not self.by_blocks:
            return [], list(minutes)
        blocks = range(self.first, now_minute + 1, BLOCK_MINUTES)
        recent = max(self.first, (now_minute - 1) // BLOCK_MINUTES * BLOCK_MINUTES - BLOCK_MINUTES)
        return list(blocks), list(range(recent, now_minute + 1))

    def start_of(self, minute: int) -> int:
        """When the point begins that a minute is in."""
        return minute - (minute - self.first) % self.step


def window(seconds: int, points: int, now: int) -> Window:
    """The window that ends now.

    Args:
        seconds: its length; rounded up to whole points.
        points: at most so many points, beside the one that has begun; fewer if no step fits better.
        now: milliseconds since 1970.
    """
    now_minute = now // MINUTE_MILLISECONDS
    length = -(-seconds // 60)
    finest = next((step for step in STEPS if step * points >= length), STEPS[-1])
    # Minutes are not kept for longer.
    step = finest if length + finest <= KEPT_MINUTES else max(finest, BLOCK_MINUTES)
    first = (now_minute - length) // step * step
    return Window(first, step, (now_minute - first) // step + 1)
