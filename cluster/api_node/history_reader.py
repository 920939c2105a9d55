"""Reads the history, for all callers of an api node at once: points that are complete are added up once and kept."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Final

from cluster.api_node.history_counts import UNSAMPLED, EndedTasks, Span, merge_spans, span_of_counts, unpack_span
from cluster.api_node.history_schedule import (
    BLOCK_MINUTES,
    MINUTE_MILLISECONDS,
    Window,
    block_field,
    minute_field,
    window,
)
from cluster.api_node.shared_reads import SharedReads
from cluster.store.async_store import Store
from cluster.store.end_counts import parse_end_counts
from cluster.store.keys import SHARDS
from cluster.store.replies import hash_fields

MAX_AGE_SECONDS: Final = 2.0
"""How long what was read is used."""
LONG_SECONDS: Final = 3 * 3600
LONG_MAX_AGE_SECONDS: Final = 10.0
"""The same for more than LONG_SECONDS: there is more to add up, and a point stands for ten minutes or more."""
LIVE_MINUTES: Final = 3
"""The newest minutes are read from the shards too, as the keeper may not have written them yet."""
MAX_KEPT_POINTS: Final = 400
MAX_VIEWS: Final = 16


@dataclass(frozen=True, slots=True)
class HistoryView:
    """A part of the history as it was read.

    Attributes:
        window: which part, and its points.
        points: what happened in each; the last one is not over.
        read_at: milliseconds since 1970 by Redis's clock.
    """

    window: Window
    points: Sequence[Span]
    read_at: int
    _by_name: dict[str, list[tuple[int, str, EndedTasks]]] = field(default_factory=dict)
    """Of each task type: the points in which tasks of it ended, and of which tenant."""

    def of_type(self, name: str, tenant: str | None) -> list[EndedTasks]:
        """How tasks of a type ended in each point, of one tenant or of all."""
        ended = [EndedTasks() for _ in self.points]
        for point, owner, part in self._find(name):
            if tenant in (None, owner):
                ended[point].add(part)
        return ended

    def total_of_type(self, name: str, tenant: str | None) -> EndedTasks:
        """How tasks of a type ended in all points."""
        total = EndedTasks()
        for _, owner, part in self._find(name):
            if tenant in (None, owner):
                total.add(part)
        return total

    def _find(self, name: str) -> list[tuple[int, str, EndedTasks]]:
        if not self._by_name:
            for i, point in enumerate(self.points):
                for (owner, other), ended in point.series.items():
                    self._by_name.setdefault(other, []).append((i, owner, ended))
        return self._by_name.get(name, [])


class HistoryReader:
    """The history, as one api node reads it.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._points: OrderedDict[tuple[int, int], Span] = OrderedDict()
        """Points that are complete, by their first minute and their length."""
        self._short: SharedReads[tuple[int, int], HistoryView] = SharedReads(MAX_AGE_SECONDS, MAX_VIEWS, clock)
        self._long: SharedReads[tuple[int, int], HistoryView] = SharedReads(LONG_MAX_AGE_SECONDS, MAX_VIEWS, clock)

    async def read(self, seconds: int, points: int) -> HistoryView:
        """The history of the last so many seconds, at most MAX_AGE_SECONDS old, or LONG_MAX_AGE_SECONDS.

        Args:
            points: at most so many, beside the one that has begun.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        views = self._short if seconds <= LONG_SECONDS else self._long
        return await views.get((seconds, points), lambda: self._read(seconds, points))

    async def _read(self, seconds: int, points: int) -> HistoryView:
        now = await self._store.server_milliseconds()
        part, now_minute = window(seconds, points, now), now // MINUTE_MILLISECONDS
        starts = [part.first + i * part.step for i in range(part.count)]
        known = {start: self._points[start, part.step] for start in starts if (start, part.step) in self._points}
        blocks, minutes, newest = await self._fetch(part, now_minute, known.keys())
        covered = {minute for block in blocks for minute in range(block, block + BLOCK_MINUTES)}
        found = []
        for start in starts:
            span = known.get(start)
            if span is None:
                end = start + part.step
                whole = [blocks[block] for block in sorted(blocks) if start <= block < end]
                single = [minutes[at] for at in sorted(minutes) if start <= at < end and at not in covered]
                span = merge_spans([*whole, *single])
                # The keeper writes minutes in their order, and blocks after them.
                if len(whole) * BLOCK_MINUTES == part.step or (not part.by_blocks and end <= newest + 1):
                    self._keep((start, part.step), span)
                # Adding up a day takes long enough to hold up others.
                await asyncio.sleep(0)
            found.append(span)
        return HistoryView(part, found, now)

    def _keep(self, key: tuple[int, int], span: Span) -> None:
        self._points[key] = span
        while len(self._points) > MAX_KEPT_POINTS:
            self._points.popitem(last=False)

    async def _fetch(
        self, part: Window, now_minute: int, known: Container[int]
    ) -> tuple[dict[int, Span], dict[int, Span], int]:
        """The blocks and the minutes of points that are not known, and the newest minute that the keeper has
        written."""
        all_blocks, all_minutes = part.spans(now_minute)
        block_starts = [block for block in all_blocks if part.start_of(block) not in known]
        minute_starts = [minute for minute in all_minutes if part.start_of(minute) not in known]
        live = range(now_minute - LIVE_MINUTES + 1, now_minute + 1)
        fields = [*map(block_field, block_starts), *map(minute_field, minute_starts)]
        calls = self._store.calls
        # The shards before the history: the keeper deletes their counts once it has written them there. In a cluster,
        # one round trip to several servers has no order.
        counts = await self._store.commands(
            [("HGETALL", calls.ends_key(digit, minute)) for minute in live for digit in SHARDS]
        )
        packed = await self._store.command("HMGET", calls.history_key, *fields)
        spans = [unpack_span(each) if each else None for each in packed]
        blocks = {at: span for at, span in zip(block_starts, spans, strict=False) if span is not None}
        written = spans[len(block_starts) :]
        minutes = {at: span for at, span in zip(minute_starts, written, strict=True) if span is not None}
        newest = max(minutes, default=-1)
        for i, minute in enumerate(live):
            if minute not in minutes:
                replies = counts[i * len(SHARDS) : (i + 1) * len(SHARDS)]
                ends = [end for reply in replies for end in parse_end_counts(hash_fields(reply))]
                minutes[minute] = span_of_counts(ends, UNSAMPLED)
        return blocks, minutes, newest
