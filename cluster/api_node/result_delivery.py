"""Delivery: a node's subscribers get the final record the moment it exists, without a gap.

One pub/sub connection per node, on one channel of its own that is subscribed before the node serves. A notice says
"look at this task again", and mostly brings the final record along, which never changes. Every watch, its renewal and
its end go through one loop in order, so that a watch and an unwatch of the same task can never overtake each other.

A task may run again under the same id, and what is on its way then may be of the run before. So a record is handed only
to those who came before the read began that answered it; a notice's record only to those of whom such a read, or the
time of the end, shows that they wait for this run.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from redis.exceptions import RedisError

from cluster.api_node.result_reader import ResultReader
from cluster.api_node.speculative_watch import SpeculativeWatches
from cluster.errors import ResultGone, StoreUnavailable, TooManySubscriptions
from cluster.observability import metrics, tracing
from cluster.store.clients import Store
from cluster.store.clock import RedisClock
from cluster.store.record import Event, Record, Run, SubmissionOutcome
from cluster.store.script_calls import WATCH_TTL_SECONDS, SubmitReply, parse_notification, split_notification
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

BATCH: Final = 256
"""Most records that are read in one round trip. Fewer at first, and after one that failed or carried much."""
FIRST_BATCH: Final = 32
BATCH_BYTES: Final = 2 * 2**20
"""From so many bytes in one round trip on, the next one reads half as many records."""
RENEWALS: Final = 32
"""So many places in a round trip are for renewals, however much has just come."""
LIGHT_BYTES: Final = 4_096
"""Longest input and error, together, that are kept for a slow reader of `taskResults`."""
LEAVING: Final = 20_000
"""Most tasks of which Redis has still to be told that nobody here waits any more. It forgets the oldest by itself: the
note ends with the task, and brings a notice that nobody needs."""
RENEW_SECONDS: Final = WATCH_TTL_SECONDS / 3
"""How often every watch is renewed; which also finds whatever a lost notice left behind."""
TRACED_SECONDS: Final = 60.0
"""How long after a task's end a delivery still belongs to its trace; a kept result may be read for days."""
GATHER_SECONDS: Final = 0.002
"""How soon after records were handed out the next ones are. One that comes alone is handed out at once; of many, those
that go to one client go in one packet."""
RETRY_SECONDS: Final = 0.25
"""Pause of a reader while Redis is away."""
REOPEN_SECONDS: Final = 0.25
"""Pause before a lost channel is opened again."""
PING_SECONDS: Final = 5.0
"""How often a pub/sub link that is silent is tried."""


class _Waiter:
    """One who waits for an end.

    Attributes:
        entered: how many reads had begun when it came.
        came_at: the latest time that it may have been at Redis then, milliseconds since 1970.
    """

    __slots__ = ("came_at", "entered", "future")

    def __init__(self, entered: int, came_at: float) -> None:
        self.entered = entered
        self.came_at = came_at
        self.future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()


class _Topic:
    """The waiters of this node for one task.

    Attributes:
        ended: its final record was handed out, and nothing is watched now.
        run: the run that was open when it was last read, or submitted here; None before.
        looked: the number of that read: those who came before it wait for this run; 0 where it was not read.
    """

    __slots__ = ("began", "ended", "event_followers", "looked", "result_waiters", "run")

    def __init__(self, began: float) -> None:
        self.began = began
        self.ended = False
        self.run: Run | None = None
        self.looked = 0
        self.result_waiters: set[_Waiter] = set()
        self.event_followers: set[asyncio.Event] = set()

    @property
    def empty(self) -> bool:
        return not self.result_waiters and not self.event_followers


def _light(record: Record) -> Record:
    """A record as it is kept for a slow reader: without its input and error where those are long."""
    if len(record.input) + len(record.error or b"") <= LIGHT_BYTES:
        return record
    return replace(record, input=b"", error=None, result=None)


class ResultDelivery:
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
        self._ahead = SpeculativeWatches()
        self._clock = RedisClock()
        self._reads = 0
        self._batch, self._passed = FIRST_BATCH, BATCH
        self._look: dict[str, None] = {}
        self._renewals: dict[str, None] = {}
        self._leave: dict[str, None] = {}
        self._wake = asyncio.Event()
        self.results = ResultReader(store)
        self.loops = (
            BackgroundLoop("node channel", self._listen, pause_seconds=REOPEN_SECONDS, needed=True),
            BackgroundLoop("delivery", self._read, needed=True),
            BackgroundLoop("renewal of watches", self._renew),
        )
        self.listening = asyncio.Event()
        self.disconnected_since: float | None = time.time()
        """When the channel was lost, seconds since 1970; None while it is subscribed."""

    async def start(self) -> None:
        """Returns at once; `listening` is set while the channel is subscribed."""
        for loop in self.loops:
            loop.start()

    async def close(self) -> None:
        for loop in self.loops:
            await loop.close()

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

    def foreseen(self, task_id: str, submitted: SubmitReply | None, asked_at: float) -> None:
        """A submission is answered.

        Args:
            submitted: None where nobody knows whether it was accepted.
            asked_at: when it was sent, by `time.monotonic`.
        """
        if submitted is not None and submitted.outcome in (SubmissionOutcome.NEW, SubmissionOutcome.RECOMPUTED):
            # The script wrote its time into the run that began with it.
            self._clock.observe(asked_at, submitted.record.submitted_at)
        waits = submitted is not None and not submitted.record.final and task_id not in self._topics
        self._ahead.end(task_id, submitted.record.run if submitted is not None and waits else None)

    # Subscribers ------------------------------------------------------------------------------------------------------

    async def final_record(self, task_id: str, *, result: Callable[[], bool] = lambda: True) -> Record:
        """Waits for the final record of a task, which may not have been submitted yet.

        Args:
            result: whether the caller wants the result; asked where it is long and does not come along.

        Raises:
            TooManySubscriptions: the node's bound is reached.
        """
        while True:
            topic, waiter = self._await_final(task_id)
            try:
                record = await waiter.future
            finally:
                topic.result_waiters.discard(waiter)
                self._exit(task_id, topic)
            if not record.result_omitted or not result():
                return record
            if complete := await self._complete(record):
                return complete

    async def final_records(
        self, task_ids: list[str], *, result: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[Record]:
        """The final records of tasks, each as its task ends. What a slow reader has not taken yet is kept without what
        is long in it, and read when it is its turn.

        Args:
            result: as with `final_record`.

        Raises:
            TooManySubscriptions: the node's bound is reached.
            ResultGone: a record expired, or began anew, before a slow reader took it.
        """
        ended: asyncio.Queue[Record] = asyncio.Queue()
        waiting: dict[str, tuple[_Topic, _Waiter]] = {}

        def leave(task_id: str) -> None:
            topic, waiter = waiting.pop(task_id)
            topic.result_waiters.discard(waiter)
            self._exit(task_id, topic)

        def end(future: asyncio.Future[Record]) -> None:
            record = future.result()
            if record.task_id in waiting:
                leave(record.task_id)
                ended.put_nowait(_light(record))

        try:
            for task_id in dict.fromkeys(task_ids):
                waiting[task_id] = _, waiter = self._await_final(task_id)
                waiter.future.add_done_callback(end)
            for _ in range(len(waiting)):
                record = await ended.get()
                if not record.input or (record.result_omitted and result()):
                    # Where it runs again by now, its next end is waited for.
                    record = await self._complete(record) or await self.final_record(record.task_id, result=result)
                if not record.input:
                    raise ResultGone(f"the record of {record.task_id} expired before it was taken from this stream")
                yield record
        finally:
            for task_id in list(waiting):
                leave(task_id)

    async def with_result(self, record: Record) -> Record:
        """A final record with its long result; where its task runs again by now, that of the next end."""
        return await self._complete(record) or await self.final_record(record.task_id)

    async def _complete(self, record: Record) -> Record | None:
        """A final record with its long result, or as it was where that has expired meanwhile; None where the task runs
        again. Redis is waited for."""
        while True:
            try:
                now = await self.results.complete(record)
            except StoreUnavailable as error:
                logger.debug("the result of %s waits: %s", record.task_id, error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if now is None:
                return record
            return now if now.final else None

    async def events(self, task_id: str, after_seq: int) -> AsyncIterator[tuple[Event, Record]]:
        """Every event after `after_seq` with the record as it is then; ends after the final one.

        What is buffered here is one flag: a slow reader reads its next events from the log, which is bounded.
        """
        more = asyncio.Event()
        topic = self._enter(task_id)
        topic.event_followers.add(more)
        try:
            while True:
                more.clear()
                try:
                    watched = await self._store.run(
                        self._store.calls.watch(task_id, self.node, every_event=True, after_seq=after_seq)
                    )
                except StoreUnavailable as error:
                    logger.debug("events of %s wait: %s", task_id, error)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for event in watched.events:
                    after_seq = event.seq
                    assert watched.record is not None
                    metrics.labelled(metrics.DELIVERIES, "event").inc()
                    yield event, watched.record
                if watched.record is not None and watched.record.final:
                    return
                await more.wait()
        finally:
            topic.event_followers.discard(more)
            self._exit(task_id, topic)

    def _await_final(self, task_id: str) -> tuple[_Topic, _Waiter]:
        waiter = _Waiter(self._reads, self._clock.latest(time.monotonic()))
        topic = self._enter(task_id)
        topic.result_waiters.add(waiter)
        return topic, waiter

    def _enter(self, task_id: str) -> _Topic:
        if self._waiters >= self._limit:
            raise TooManySubscriptions(f"this node has {self._limit} open subscriptions, its limit; try again later")
        self._waiters += 1
        topic = self._topics.get(task_id)
        if topic is None:
            topic = self._topics[task_id] = _Topic(self._now())
            topic.run = self._ahead.take(task_id)
            if topic.run is None:
                self._again(task_id)
        elif topic.ended:
            topic.ended, topic.run, topic.looked = False, None, 0
            self._again(task_id)
        return topic

    def _exit(self, task_id: str, topic: _Topic) -> None:
        self._waiters -= 1
        if topic.empty and self._topics.get(task_id) is topic:
            del self._topics[task_id]
            if not topic.ended:
                if len(self._leave) >= LEAVING:
                    del self._leave[next(iter(self._leave))]
                self._leave[task_id] = None
                self._wake.set()

    def _again(self, task_id: str) -> None:
        self._look[task_id] = None
        self._wake.set()

    # The loop that reads ----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Reads some of the records that were named, and hands out the final ones. Nothing is dropped while Redis is
        away."""
        await self._wake.wait()
        await self._leave_some()
        batch = self._next_batch()
        try:
            if batch:
                await self._read_batch(batch)
        except StoreUnavailable:
            # It may have been too much at once.
            self._put_back(batch)
            raise
        except Exception:
            if len(batch) == 1:
                # By itself, so it is this record: the others go on, and its turn comes with the next renewal.
                metrics.BACKGROUND_FAILURES.labels("delivery").inc()
                logger.exception("the task %s cannot be read; it is tried again later", batch[0])
            else:
                logger.debug("one of %d records cannot be read: they are read in parts", len(batch), exc_info=True)
                self._put_back(batch)
        if not (self._look or self._renewals or self._leave):
            self._wake.clear()

    def _next_batch(self) -> list[str]:
        """Takes those to be read next: who has just come first, and some of the renewals, which many may wait for."""
        kept = min(RENEWALS, self._batch // 2, len(self._renewals))
        batch = list(islice(self._look, self._batch - kept))
        for task_id in batch:
            del self._look[task_id]
            self._renewals.pop(task_id, None)
        renewed = list(islice(self._renewals, self._batch - len(batch)))
        for task_id in renewed:
            del self._renewals[task_id]
        return [task_id for task_id in batch + renewed if task_id in self._topics]

    def _put_back(self, batch: list[str]) -> None:
        self._look.update(dict.fromkeys(batch))
        self._batch = self._passed = max(1, len(batch) // 2)

    async def _read_batch(self, task_ids: list[str]) -> None:
        self._reads += 1
        look, calls = self._reads, self._store.calls
        watched = await self._store.run_many(
            [
                calls.watch(task_id, self.node, every_event=bool(self._topics[task_id].event_followers))
                for task_id in task_ids
            ]
        )
        for task_id, found in zip(task_ids, watched, strict=True):
            self._hand_out(task_id, found.record, look)
        carried = sum(len(found.record.input) + len(found.record.error or b"") for found in watched if found.record)
        if carried > BATCH_BYTES:
            self._batch = max(1, self._batch // 2)
        else:
            # Quickly up to what a failure has left, slowly beyond.
            self._batch = min(BATCH, max(self._batch + 1, min(self._batch * 2, self._passed)))

    async def _leave_some(self) -> None:
        """Tells Redis of tasks that nobody here waits for any more."""
        named = list(islice(self._leave, BATCH))
        for task_id in named:
            del self._leave[task_id]
        # Whoever came back meanwhile is watched, and stays so.
        leaving = [task_id for task_id in named if task_id not in self._topics]
        if not leaving:
            return
        try:
            await self._unwatch(leaving)
        except StoreUnavailable:
            self._leave.update(dict.fromkeys(leaving[: LEAVING - len(self._leave)]))
            raise

    async def _unwatch(self, task_ids: list[str]) -> None:
        try:
            await self._store.run_many([self._store.calls.unwatch(task_id, self.node) for task_id in task_ids])
        finally:
            for task_id in task_ids:
                self._ahead.undone(task_id)
                if task_id in self._topics:
                    # Somebody came meanwhile, perhaps by a note that is gone now.
                    self._again(task_id)

    def _hand_out(self, task_id: str, record: Record | None, look: int) -> None:
        """Takes what a read answered.

        Args:
            look: the read's number; who came after it began waits for what the next one says.
        """
        topic = self._topics.get(task_id)
        if topic is None:
            return
        for follower in topic.event_followers:
            follower.set()
        if record is not None and record.final:
            self._deliver(task_id, topic, record, [waiter for waiter in topic.result_waiters if waiter.entered < look])
        elif record is not None:
            topic.run, topic.looked = record.run, look

    def _now(self) -> float:
        """Seconds since 1970 by Redis's clock, as nearly as this node knows it; by its own until Redis told."""
        latest = self._clock.latest(time.monotonic())
        return latest / 1000 if math.isfinite(latest) else time.time()

    def _deliver(self, task_id: str, topic: _Topic, record: Record, waiting: list[_Waiter]) -> None:
        """Hands a final record to those of a task's waiters who wait for this end; the others ask again."""
        # Redis has dropped its note, and these waiters are about to leave: whoever comes from here on asks anew.
        topic.run, topic.looked = None, 0
        topic.ended = len(waiting) == len(topic.result_waiters)
        if not topic.ended:
            self._again(task_id)
        now = self._now()
        ended = max(topic.began, (record.finished_at or 0) / 1000)
        waiting = [waiter for waiter in waiting if not waiter.future.done()]
        metrics.labelled(metrics.DELIVERIES, "final").inc(len(waiting))
        for waiter in waiting:
            waiter.future.set_result(record)
            metrics.DELIVERY_SECONDS.observe(max(0.0, now - ended))
        if waiting and now - (record.finished_at or 0) / 1000 < TRACED_SECONDS:
            tracing.record_span("deliver", "PRODUCER", record.trace, ended, task_id=task_id, subscribers=len(waiting))

    async def _renew(self) -> None:
        await asyncio.sleep(RENEW_SECONDS)
        self._renew_all()

    def _renew_all(self) -> None:
        self._renewals.update(dict.fromkeys(self._topics))
        self._wake.set()

    # The channel ------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Hears the node's channel until the link is lost; the next round watches all its tasks again."""
        calls = self._store.calls
        own = calls.node_channel(self.node)
        pubsub = self._store.pubsub([own, calls.all_channel], PING_SECONDS)
        try:
            await pubsub.open()
            self.listening.set()
            self.disconnected_since = None
            self._renew_all()
            async for channel, word in pubsub.messages():
                if channel == own.encode():
                    self._notice(word)
                else:
                    self._on_broadcast(word.decode())
        except (RedisError, OSError) as error:
            logger.warning("the channel of this node is lost: %s", error)
        finally:
            self.listening.clear()
            self._ahead.clear()
            self.disconnected_since = self.disconnected_since or time.time()
            await pubsub.close()

    def _notice(self, data: bytes) -> None:
        """Takes what the channel says of a task."""
        task_id, packed = split_notification(data)
        self._ahead.undone(task_id)
        if task_id not in self._topics:
            return
        record = None
        if packed:
            try:
                record = parse_notification(data)[1]
            except Exception:
                # Of another release, perhaps: what it says is read as well.
                logger.warning("a notice of %s is not understood, and the record read", task_id, exc_info=True)
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
            if topic is None:
                continue
            # A notice may come late, when its task has been submitted once more: whoever asked after that waits for
            # another end than this one.
            if topic.run != record.run:
                self._again(task_id)
                continue
            for follower in topic.event_followers:
                follower.set()
            ended_at = record.finished_at or 0
            sure = [
                waiter for waiter in topic.result_waiters if waiter.entered < topic.looked or waiter.came_at <= ended_at
            ]
            self._deliver(task_id, topic, record, sure)
        self._handed_at = asyncio.get_running_loop().time()
