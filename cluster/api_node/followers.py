"""Followers of open tasks: subscribers that get every event, item of a stream or line of the log, and then the end.

Each keeps one flag and its place, so a slow reader holds nothing: it reads on from the event log or the stream, which
are bounded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from cluster.api_node.topics import Topics
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.lua_scripts import Call
from cluster.store.record import Event, LogLine, Record

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.25
"""Pause of a reader while Redis is unavailable."""

T = TypeVar("T")

Visible: TypeAlias = Callable[[Record], bool]
"""Whether a subscriber may see a record. For one that may not, the task never ends and has no events, as if it were
unknown: nothing tells that it exists."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a task's stream.

    Attributes:
        attempt: the attempt that made it; the items of a new one begin anew.
        number: from 1 within the attempt.
        json: the item.
        record: the task as it was when the item was read.
    """

    attempt: int
    number: int
    json: bytes
    record: Record


@dataclass(frozen=True, slots=True)
class FollowedLine:
    """One line that a task has printed or logged.

    Attributes:
        dropped: number of lines before it, since the one that the subscriber got last, that were dropped.
    """

    line: LogLine
    dropped: int


class Followers:
    """The followers of one api node."""

    def __init__(self, store: Store, node: str, topics: Topics) -> None:
        self._store = store
        self._node = node
        self._topics = topics

    async def events(
        self, task_id: str, after_seq: int, *, visible: Visible = lambda _: True
    ) -> AsyncIterator[tuple[Event, Record]]:
        """Every event after `after_seq` with the record at that time; ends after the final event.

        Raises:
            TooManySubscriptions: the node has reached its limit.
        """
        with self._followed(task_id) as more:
            while True:
                more.clear()
                watched = await self._read(
                    self._store.calls.watch(task_id, self._node, every_event=True, after_seq=after_seq)
                )
                record = watched.record
                if record is not None and visible(record):
                    for event in watched.events:
                        after_seq = event.seq
                        metrics.labelled(metrics.DELIVERIES, "event").inc()
                        yield event, record
                    if record.final:
                        return
                await more.wait()

    async def items(
        self, task_id: str, attempt: int | None, after: int, *, visible: Visible = lambda _: True
    ) -> AsyncIterator[Item]:
        """Every item of a task's stream after the given one; ends with the task. If another attempt begins, its items
        follow from the first one on.

        Args:
            attempt: the attempt that the subscriber has items of, or None.
            after: how many of them it has.

        Raises:
            TooManySubscriptions: the node has reached its limit.
        """
        with self._followed(task_id) as more:
            while True:
                more.clear()
                page = await self._read(self._store.calls.read_items(task_id, attempt, after, node=self._node))
                record = page.record
                if record is not None and visible(record):
                    if page.attempt is not None:
                        attempt, after = page.attempt, page.first
                    for item in page.items:
                        assert attempt is not None
                        after += 1
                        metrics.labelled(metrics.DELIVERIES, "item").inc()
                        yield Item(attempt, after, item, record)
                    if page.more:
                        continue
                    if record.final:
                        return
                await more.wait()

    async def lines(
        self, task_id: str, after: int, *, visible: Visible = lambda _: True
    ) -> AsyncIterator[FollowedLine]:
        """Every line that the task prints or logs after the one with the number `after`; ends with the task.

        Raises:
            TooManySubscriptions: the node has reached its limit.
        """
        with self._followed(task_id) as more:
            while True:
                more.clear()
                page = await self._read(self._store.calls.read_log(task_id, after, node=self._node))
                record = page.record
                if record is not None and visible(record):
                    for line in page.lines:
                        # The record expired and the task was submitted anew: its lines begin anew.
                        before = after if line.number > after else 0
                        after = line.number
                        metrics.labelled(metrics.DELIVERIES, "line").inc()
                        yield FollowedLine(line, line.number - before - 1)
                    if record.final:
                        return
                await more.wait()

    @contextmanager
    def _followed(self, task_id: str) -> Iterator[asyncio.Event]:
        """Joins the topic of a task until the block ends; the event is set when there may be something new."""
        more = asyncio.Event()
        topic = self._topics.join(task_id)
        topic.follow(more)
        try:
            yield more
        finally:
            topic.unfollow(more)
            self._topics.leave(task_id, topic)

    async def _read(self, call: Call[T]) -> T:
        """Reads what is new, and registers this node as a watcher in the same step. Waits while Redis is
        unavailable."""
        while True:
            try:
                return await self._store.run(call)
            except StoreUnavailable as error:
                logger.debug("reading what is new of a task will be retried: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
