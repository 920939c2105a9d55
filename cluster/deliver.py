"""Delivery: a node's subscribers get the final record the moment it exists, without a gap.

One pub/sub connection per node, on one channel of its own that is subscribed before the node serves. A notice says
"look at this task again", and mostly brings the final record along, which never changes. Every watch, its renewal and
its end go through one loop in order, so that a watch and an unwatch of the same task can never overtake each other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from typing import Final

from redis.exceptions import RedisError

from cluster import metrics, tracing
from cluster.ahead import Ahead, Run
from cluster.errors import StoreUnavailable, TooManySubscriptions
from cluster.store.calls import WATCH_SECONDS, parse_notice
from cluster.store.record import Event, Record
from cluster.store.store import Store

logger = logging.getLogger(__name__)

BATCH: Final = 256
"""Most records that are read in one round trip."""
RENEW_SECONDS: Final = WATCH_SECONDS / 3
"""How often every watch is renewed; which also finds whatever a lost notice left behind."""
TRACED_SECONDS: Final = 60.0
"""How long after a task's end a delivery still belongs to its trace; a kept result may be read for days."""
GATHER_SECONDS: Final = 0.002
"""How soon after records were handed out the next ones are. One that comes alone is handed out at once; of many, those
that go to one client go in one packet."""
PING_SECONDS: Final = 5.0
"""How often a pub/sub link that is silent is tried."""


class _Topic:
    """The waiters of this node for one task.

    Attributes:
        ended: its final record was handed out, and nothing is watched now.
        run: the run that they wait for, as it was read last; None before.
    """

    __slots__ = ("began", "ended", "finals", "run", "tails")

    def __init__(self) -> None:
        self.began = time.time()
        self.ended = False
        self.run: Run | None = None
        self.finals: set[asyncio.Future[Record]] = set()
        self.tails: set[asyncio.Event] = set()

    @property
    def empty(self) -> bool:
        return not self.finals and not self.tails


class Deliveries:
    """The subscribers of one api node.

    Args:
        node: this node's id, unique among living nodes.
        limit: most waiters at once.
        on_broadcast: called with each word on the channel that all nodes hear.
    """

    def __init__(self, store: Store, node: str, limit: int, on_broadcast: Callable[[str], None]) -> None:
        self._store = store
        self.node = node
        self._limit = limit
        self._on_broadcast = on_broadcast
        self._topics: dict[str, _Topic] = {}
        self._waiters = 0
        self._brought: list[tuple[str, Record]] = []
        self._handed_at = 0.0
        self._ahead = Ahead()
        self._look: dict[str, None] = {}
        self._leave: set[str] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.listening = asyncio.Event()
        self.deaf_since: float | None = time.time()
        """When the channel was lost, seconds since 1970; None while it is subscribed."""

    async def start(self) -> None:
        """Returns at once; `listening` is set while the channel is subscribed."""
        self._tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._read()),
            asyncio.create_task(self._renew()),
        ]

    async def close(self) -> None:
        while pending := [task for task in self._tasks if not task.done()]:
            for task in pending:
                task.cancel()
            # Again until it is heard: redis-py may swallow a cancellation while it reads the channel.
            await asyncio.wait(pending, timeout=0.1)

    @property
    def waiters(self) -> int:
        """How many subscribers wait now."""
        return self._waiters

    @property
    def topics(self) -> int:
        """How many tasks are watched for them."""
        return len(self._topics)

    # Submissions ------------------------------------------------------------------------------------------------------

    def foresee(self, task_ids: Sequence[str]) -> bool:
        """Whether submissions shall note this node as one that waits; then `foreseen` follows for each of them."""
        return self.listening.is_set() and self._ahead.begin(task_ids)

    def foreseen(self, task_id: str, record: Record | None) -> None:
        """A submission is answered; None: nobody knows whether it was accepted."""
        waits = record is not None and not record.final and task_id not in self._topics
        self._ahead.end(task_id, (record.submitted_at, record.attempt) if record and waits else None)

    # Subscribers ------------------------------------------------------------------------------------------------------

    async def final(self, task_id: str) -> Record:
        """Waits for the final record of a task, which may not have been submitted yet.

        Raises:
            TooManySubscriptions: the node's bound is reached.
        """
        topic, future = self._await_final(task_id)
        try:
            return await future
        finally:
            topic.finals.discard(future)
            self._exit(task_id, topic)

    async def finals(self, task_ids: list[str]) -> AsyncIterator[Record]:
        """The final records of tasks, each as its task ends.

        Raises:
            TooManySubscriptions: the node's bound is reached.
        """
        ended: asyncio.Queue[asyncio.Future[Record]] = asyncio.Queue()
        waiting: dict[str, tuple[_Topic, asyncio.Future[Record]]] = {}
        try:
            for task_id in dict.fromkeys(task_ids):
                waiting[task_id] = topic, future = self._await_final(task_id)
                future.add_done_callback(ended.put_nowait)
            for _ in range(len(waiting)):
                record = (await ended.get()).result()
                topic, future = waiting.pop(record.task_id)
                topic.finals.discard(future)
                self._exit(record.task_id, topic)
                yield record
        finally:
            for task_id, (topic, future) in waiting.items():
                topic.finals.discard(future)
                self._exit(task_id, topic)

    async def events(self, task_id: str, after_seq: int) -> AsyncIterator[tuple[Event, Record]]:
        """Every event after `after_seq` with the record as it is then; ends after the final one.

        What is buffered here is one flag: a slow reader reads its next events from the log, which is bounded.
        """
        more = asyncio.Event()
        topic = self._enter(task_id)
        topic.tails.add(more)
        try:
            while True:
                more.clear()
                try:
                    watched = await self._store.run(
                        self._store.calls.watch(task_id, self.node, every_event=True, after_seq=after_seq)
                    )
                except StoreUnavailable as error:
                    logger.debug("events of %s wait: %s", task_id, error)
                    await asyncio.sleep(0.25)
                    continue
                for event in watched.events:
                    after_seq = event.seq
                    assert watched.record is not None
                    metrics.of(metrics.DELIVERIES, "event").inc()
                    yield event, watched.record
                if watched.record is not None and watched.record.final:
                    return
                await more.wait()
        finally:
            topic.tails.discard(more)
            self._exit(task_id, topic)

    def _await_final(self, task_id: str) -> tuple[_Topic, asyncio.Future[Record]]:
        topic = self._enter(task_id)
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        topic.finals.add(future)
        return topic, future

    def _enter(self, task_id: str) -> _Topic:
        if self._waiters >= self._limit:
            raise TooManySubscriptions(f"this node has {self._limit} open subscriptions, its limit; try again later")
        self._waiters += 1
        topic = self._topics.get(task_id)
        if topic is None:
            topic = self._topics[task_id] = _Topic()
            topic.run = self._ahead.take(task_id)
            if topic.run is None:
                self._again(task_id)
        elif topic.ended:
            topic.ended, topic.run = False, None
            self._again(task_id)
        return topic

    def _exit(self, task_id: str, topic: _Topic) -> None:
        self._waiters -= 1
        if topic.empty and self._topics.get(task_id) is topic:
            del self._topics[task_id]
            if not topic.ended:
                self._leave.add(task_id)
                self._wake.set()

    def _again(self, task_id: str) -> None:
        self._look[task_id] = None
        self._wake.set()

    # The loop that reads ----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Reads the records that were named, and hands out the final ones. Nothing is dropped while Redis is away."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._look or self._leave:
                looking = list(islice(self._look, BATCH))
                # Whoever came back meanwhile is watched, and stays so.
                named = list(islice(self._leave, BATCH))
                leaving = [task_id for task_id in named if task_id not in self._topics]
                calls = self._store.calls
                try:
                    if leaving:
                        await self._unwatch(leaving)
                    self._leave.difference_update(named)
                    for task_id in looking:
                        del self._look[task_id]
                    looking = [task_id for task_id in looking if task_id in self._topics]
                    watched = await self._store.run_many(
                        [
                            calls.watch(task_id, self.node, every_event=bool(self._topics[task_id].tails))
                            for task_id in looking
                        ]
                    )
                except StoreUnavailable as error:
                    logger.debug("%d watches wait: %s", len(looking), error)
                    self._look.update(dict.fromkeys(looking))
                    await asyncio.sleep(0.25)
                    continue
                except Exception:
                    # Whatever it is, this loop is the only one that delivers: it tells and goes on.
                    logger.exception("%d watches wait", len(looking))
                    self._look.update(dict.fromkeys(looking))
                    await asyncio.sleep(1)
                    continue
                for task_id, found in zip(looking, watched, strict=True):
                    self._hand_out(task_id, found.record)

    async def _unwatch(self, task_ids: list[str]) -> None:
        try:
            await self._store.run_many([self._store.calls.unwatch(task_id, self.node) for task_id in task_ids])
        finally:
            for task_id in task_ids:
                self._ahead.undone(task_id)
                if task_id in self._topics:
                    # Somebody came meanwhile, perhaps by a note that is gone now.
                    self._again(task_id)

    def _hand_out(self, task_id: str, record: Record | None) -> None:
        topic = self._topics.get(task_id)
        if topic is None:
            return
        for tail in topic.tails:
            tail.set()
        if record is not None:
            topic.run = record.submitted_at, record.attempt
        if record is not None and record.final:
            # Redis has dropped its note, and these waiters are about to leave: whoever comes from here on asks anew.
            topic.ended = True
            ended = max(topic.began, (record.finished_at or 0) / 1000)
            waiting = [future for future in topic.finals if not future.done()]
            metrics.of(metrics.DELIVERIES, "final").inc(len(waiting))
            for future in waiting:
                future.set_result(record)
                metrics.DELIVERY_SECONDS.observe(max(0.0, time.time() - ended))
            if waiting and time.time() - (record.finished_at or 0) / 1000 < TRACED_SECONDS:
                tracing.note("deliver", "PRODUCER", record.trace, ended, task_id=task_id, subscribers=len(waiting))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for task_id in self._topics:
                self._again(task_id)

    # The channel ------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Hears the node's channel; after every loss of the link it watches all its tasks again."""
        calls = self._store.calls
        own = calls.node_channel(self.node)
        while True:
            listener = self._store.listener([own, calls.all_channel], PING_SECONDS)
            try:
                await listener.open()
                self.listening.set()
                self.deaf_since = None
                for task_id in self._topics:
                    self._again(task_id)
                async for channel, word in listener.words():
                    if channel == own.encode():
                        self._notice(word)
                    else:
                        self._on_broadcast(word.decode())
            except (RedisError, OSError) as error:
                logger.warning("the channel of this node is lost: %s", error)
            finally:
                self.listening.clear()
                self._ahead.clear()
                self.deaf_since = self.deaf_since or time.time()
                await listener.close()
            await asyncio.sleep(0.25)

    def _notice(self, data: bytes) -> None:
        """Takes what the channel says of a task."""
        task_id, record = parse_notice(data)
        self._ahead.undone(task_id)
        if task_id not in self._topics:
            return
        if record is None:
            self._again(task_id)
            return
        if not self._brought:
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._handed_at + GATHER_SECONDS), self._hand_out_brought)
        self._brought.append((task_id, record))

    def _hand_out_brought(self) -> None:
        """Hands out the records that came along, each to those who wait for that very run; else it is read."""
        brought, self._brought = self._brought, []
        for task_id, record in brought:
            topic = self._topics.get(task_id)
            # A notice may come late, when its task has been submitted once more: whoever asked after that waits for
            # another end than this one.
            if topic is not None and topic.run == (record.submitted_at, record.attempt):
                self._hand_out(task_id, record)
            elif topic is not None:
                self._again(task_id)
        self._handed_at = asyncio.get_running_loop().time()
