"""Changes of tasks, live: one reader per node, and what it delivers to the node's subscribers.

While the node has subscribers, the scripts record every change in its shard and publish that there are new ones. The
node reads them, at most once in GATHER_SECONDS, and finds who wants them. Nobody reads records of changes that nobody
wants, and without subscribers there is neither a record of changes nor a reader.

What a node has read is a position, and so is what a subscriber has got: it resumes on any node, as long as its shards
still have the change that its cursor ends with. Otherwise it gets an item that says so.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace
from typing import Final

from redis.exceptions import RedisError

from cluster.api_node.change_cursor import Anchor, Place, parse_cursor
from cluster.api_node.change_subscribers import ChangeFilter, ChangeItem, Subscriber, Subscribers
from cluster.errors import StoreUnavailable, TooManySubscriptions
from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.change_calls import PAGE_CHANGES, Change, ChangePage
from cluster.store.keys import SHARDS
from cluster.store.pubsub import Subscription
from cluster.store.record import Record
from cluster.store.task_search import searched_records
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.03
"""Pause after each reading, so that changes that come fast are read together."""
REOPEN_SECONDS: Final = 0.25
"""Pause before a lost connection is opened again."""
RENEW_SECONDS: Final = 10.0
"""Interval at which all shards are read without a notification: it keeps the recording on, and repairs what a lost
notification left behind."""
PING_SECONDS: Final = 5.0
"""Ping interval on an idle pub/sub connection."""
CATCH_UP_CHANGES: Final = 50
"""Changes of each shard that are read together for a subscriber that resumes."""
RETRY_SECONDS: Final = 0.25
"""Pause of a subscriber that resumes while Redis is unavailable."""


class ChangeFeed:
    """The changes that one node delivers.

    Args:
        limit: maximum number of subscribers.
    """

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._subscribers = Subscribers()
        self._place: Place | None = None
        self._placed = asyncio.Event()
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._loop: BackgroundLoop | None = None
        self._users = 0
        # A new subscriber must not start a reader beside one that is being stopped.
        self._changing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def subscribers(self) -> int:
        """Current number of subscribers."""
        return self._users

    async def changes(self, wanted: ChangeFilter, after: str | None = None) -> AsyncGenerator[ChangeItem, None]:
        """Every change that is wanted, without end. An item without a change comes first, unless the subscription
        resumes, and wherever changes may have been missed: everything after it is delivered, so a list that is read now
        is complete with what follows.

        Args:
            after: the cursor of the last item that the subscriber has.

        Raises:
            TooManySubscriptions: the node has reached its limit.
            BadCursor: `after` is not a cursor.
        """
        seen = parse_cursor(after) if after else None
        if self._users >= self._limit:
            raise TooManySubscriptions(f"this node has {self._limit} subscriptions to changes, its limit")
        self._users += 1
        subscriber = None
        try:
            await self._start()
            await self._placed.wait()
            assert self._place is not None
            target = self._place.copy()
            subscriber = Subscriber(wanted, [number for number, _ in target.anchors])
            self._subscribers.add(subscriber)
            place = None if seen is None else await self._resumed_place(*seen)
            if place is None:
                yield self._reset()
            else:
                # Another node may have been ahead of this one.
                subscriber.ahead_of = [
                    max(one, other) for one, other in zip(subscriber.ahead_of, seen[0] if seen else (), strict=True)
                ]
                async for item in self._catch_up(wanted, place, target):
                    yield item or self._reset()
            while True:
                item = await subscriber.next() or self._reset()
                metrics.labelled(metrics.DELIVERIES, "change").inc()
                yield item
        finally:
            if subscriber is not None:
                self._subscribers.remove(subscriber)
            self._users -= 1
            # A subscriber may be cancelled again while it waits for this, which must be done nevertheless.
            stopping = asyncio.create_task(self._stop_if_unused())
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)
            await asyncio.shield(stopping)

    async def _start(self) -> None:
        async with self._changing:
            if self._loop is None:
                self._loop = BackgroundLoop("task changes", self._listen, pause_seconds=REOPEN_SECONDS)
                self._loop.start()

    async def _stop_if_unused(self) -> None:
        async with self._changing:
            if not self._users and self._loop is not None:
                await self._loop.close()
                self._loop = self._place = None
                self._placed.clear()

    def _reset(self) -> ChangeItem:
        assert self._place is not None
        return ChangeItem(self._place.cursor())

    # The reader -------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Reads changes until the connection is lost. The next round reads on from the same position."""
        pubsub = self._store.pubsub([self._store.calls.changes_channel], PING_SECONDS)
        notices: asyncio.Task[None] | None = None
        try:
            await pubsub.open()
            self._dirty.update(SHARDS)
            notices = asyncio.create_task(self._read_notices(pubsub))
            notices.add_done_callback(lambda _: self._wake.set())
            while not notices.done():
                self._wake.clear()
                await self._read()
                await asyncio.sleep(GATHER_SECONDS)
                if not self._dirty:
                    try:
                        async with asyncio.timeout(RENEW_SECONDS):
                            await self._wake.wait()
                    except TimeoutError:
                        self._dirty.update(SHARDS)
            await notices
        except (RedisError, OSError) as error:
            logger.warning("the connection for changes of tasks was lost: %s", error)
        finally:
            if notices is not None:
                notices.cancel()
                await asyncio.gather(notices, return_exceptions=True)
            await pubsub.close()

    async def _read_notices(self, pubsub: Subscription) -> None:
        async for _, digit in pubsub.messages():
            self._dirty.add(digit.decode())
            self._wake.set()

    async def _read(self) -> None:
        """Reads the shards that have new changes, and distributes these.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        calls = self._store.calls
        if self._place is None:
            # Before the reading: a notification that comes meanwhile is about what it has not seen.
            self._dirty.clear()
            pages = await self._store.run_many([calls.read_changes(digit, None, listen=True) for digit in SHARDS])
            self._place = Place(_anchor(page) for page in pages)
            self._placed.set()
            return
        digits, self._dirty = sorted(self._dirty & set(SHARDS)), set()
        anchors = {digit: self._place.anchors[int(digit, 16)] for digit in digits}
        pages = await self._store.run_many(
            [calls.read_changes(digit, anchors[digit][0], listen=True) for digit in digits]
        )
        read = dict(zip(digits, pages, strict=True))
        lost = [digit for digit, page in read.items() if page.anchor != anchors[digit]]
        if lost:
            # Redis lost its last writes, or this node was away for longer than changes are kept.
            logger.info("changes of tasks may have been missed in %d of %d shards", len(lost), len(SHARDS))
            again = await self._store.run_many([calls.read_changes(digit, None, listen=True) for digit in lost])
            for digit, page in zip(lost, again, strict=True):
                del read[digit]
                self._place.anchors[int(digit, 16)] = _anchor(page)
            for subscriber in self._subscribers:
                subscriber.miss()
        self._dirty |= {digit for digit, page in read.items() if len(page.changes) == PAGE_CHANGES}
        await self._distribute(_in_order(read.values()))

    async def _distribute(self, changes: Iterable[Change]) -> None:
        """Gives changes to the subscribers who want them."""
        assert self._place is not None
        found: list[tuple[Change, str, list[Subscriber]]] = []
        for change in changes:
            # Before the records are read: who subscribes meanwhile begins after these changes.
            self._place.pass_by(change)
            if subscribers := self._subscribers.of(change):
                found.append((change, self._place.cursor(), subscribers))
        if not found:
            return
        try:
            with_inputs = any(each.filter.needs_input for _, _, subscribers in found for each in subscribers)
            records = await self._read_records([change for change, _, _ in found], with_inputs)
        except StoreUnavailable:
            for _, _, subscribers in found:
                for subscriber in subscribers:
                    subscriber.miss()
            raise
        for change, cursor, subscribers in found:
            record = records[change.task_id]
            for subscriber in subscribers:
                if item := _item(subscriber.filter, change, record, cursor):
                    subscriber.put(item)

    async def _read_records(self, changes: Sequence[Change], inputs: bool) -> dict[str, Record | None]:
        """The records of these tasks as they are now, by their ids, without results."""
        task_ids = list(dict.fromkeys(change.task_id for change in changes))
        return dict(zip(task_ids, await searched_records(self._store, task_ids, inputs=inputs), strict=True))

    # Resuming ---------------------------------------------------------------------------------------------------------

    async def _resumed_place(self, numbers: Sequence[int], check: int) -> Place | None:
        """The position that a cursor stands for; None if changes after it may be gone."""
        pages = await self._read_pages({digit: numbers[i] for i, digit in enumerate(SHARDS)}, 0)
        anchors = [page.anchor for page in pages.values() if page.anchor is not None]
        place = Place(anchors)
        return place if len(anchors) == len(SHARDS) and place.check == check else None

    async def _catch_up(
        self, wanted: ChangeFilter, place: Place, target: Place
    ) -> AsyncGenerator[ChangeItem | None, None]:
        """The wanted changes between two positions; ends with None if some are gone."""
        while True:
            behind = {
                digit: place.anchors[i][0]
                for i, digit in enumerate(SHARDS)
                if place.anchors[i][0] < target.anchors[i][0]
            }
            if not behind:
                return
            pages = await self._read_pages(behind, CATCH_UP_CHANGES)
            if any(page.anchor != place.anchors[int(digit, 16)] or not page.changes for digit, page in pages.items()):
                yield None
                return
            changes = [
                change
                for change in _in_order(pages.values())
                if change.number <= target.anchors[int(change.task_id[0], 16)][0]
            ]
            candidates = [change for change in changes if wanted.may_want(change)]
            records: dict[str, Record | None] = {}
            while candidates and not records:
                try:
                    records = await self._read_records(candidates, wanted.needs_input)
                except StoreUnavailable as error:
                    await _pause(error)
            for change in changes:
                place.pass_by(change)
                if change.task_id in records and (
                    item := _item(wanted, change, records[change.task_id], place.cursor())
                ):
                    yield item

    async def _read_pages(self, after: dict[str, int], limit: int) -> dict[str, ChangePage]:
        """Changes of shards after these numbers. Waits while Redis is unavailable."""
        calls = [self._store.calls.read_changes(digit, number, limit=limit) for digit, number in after.items()]
        while True:
            try:
                return dict(zip(after, await self._store.run_many(calls), strict=True))
            except StoreUnavailable as error:
                await _pause(error)


async def _pause(error: StoreUnavailable) -> None:
    logger.debug("reading earlier changes will be retried: %s", error)
    await asyncio.sleep(RETRY_SECONDS)


def _anchor(page: ChangePage) -> Anchor:
    assert page.anchor is not None, "a shard whose changes are recorded has one at least"
    return page.anchor


def _in_order(pages: Iterable[ChangePage]) -> Iterable[Change]:
    """The changes of several shards by their times; those of one shard stay in their order."""
    return heapq.merge(*(page.changes for page in pages), key=lambda change: change.event.at)


def _item(wanted: ChangeFilter, change: Change, record: Record | None, cursor: str) -> ChangeItem | None:
    """What a subscriber gets of a change; None if it does not want it."""
    is_wanted, matches = wanted.wants(change, record)
    if not is_wanted:
        return None
    # A slow reader must not keep inputs in memory.
    return ChangeItem(cursor, change, record and replace(record, input=b""), matches)
