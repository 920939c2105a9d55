"""The tasks that subscribers of this node wait for, and which of them a final record belongs to.

A task may run again under the same id, so a record that arrives may belong to an earlier run. A record that was read is
therefore delivered only to waiters that arrived before the read began. The record of a notification is delivered only
to waiters that certainly wait for its run: a read that began after they arrived found that run in flight, or they
arrived before it ended.
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

from cluster.api_node.speculative_watch import SpeculativeWatches
from cluster.api_node.watch_queue import WatchQueue
from cluster.errors import TooManySubscriptions
from cluster.observability import metrics, tracing
from cluster.observability.prometheus_internals import observe_times
from cluster.store.clock import ShardClocks
from cluster.store.record import Record, Run
from cluster.system.counts import Counts, MakeCounts

TRACED_SECONDS: Final = 60.0
"""Deliveries within this time after the end of a task belong to its trace; a kept result may be read days later."""


class Waiter(ABC):
    """One subscriber that waits for a final record.

    Attributes:
        topic: what it waits for.
        reads_before: number of reads that had begun when it arrived.
        arrived_at: latest possible time of its arrival by Redis's clock, milliseconds since 1970.
    """

    __slots__ = ("arrived_at", "reads_before", "topic")

    topic: Topic
    reads_before: int
    arrived_at: float

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether it has the record, or gave up."""

    @abstractmethod
    def deliver(self, record: Record) -> None:
        """Takes the record. Must not raise, and may leave its topic at once."""


class FutureWaiter(Waiter):
    """A coroutine that waits."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()

    @property
    def done(self) -> bool:
        return self.future.done()

    def deliver(self, record: Record) -> None:
        self.future.set_result(record)


class Topic:
    """The subscribers of this node to one task.

    Attributes:
        created_at: seconds since 1970.
        ended: the final record was delivered to all waiters, and the task is no longer watched.
        run: the run in flight at the last read, or at the submission on this node; None if unknown.
        run_read: number of the read that found `run`: waiters that arrived before it wait for that run. 0 if `run` does
            not come from a read.
    """

    __slots__ = ("_followers", "created_at", "ended", "result_waiters", "run", "run_read")

    def __init__(self, created_at: float) -> None:
        self.created_at = created_at
        self.ended = False
        self.run: Run | None = None
        self.run_read = 0
        self.result_waiters: set[Waiter] = set()
        # Made when needed, because most topics have none.
        self._followers: set[asyncio.Event] | None = None

    @property
    def followed(self) -> bool:
        """Whether there are subscribers to its events."""
        return bool(self._followers)

    @property
    def empty(self) -> bool:
        return not self.result_waiters and not self._followers

    def follow(self, more: asyncio.Event) -> None:
        """Adds a subscriber to its events; `more` is set when there may be new ones."""
        self._followers = self._followers or set()
        self._followers.add(more)

    def unfollow(self, more: asyncio.Event) -> None:
        if self._followers:
            self._followers.discard(more)

    def forget_run(self) -> None:
        self.run, self.run_read = None, 0

    def wake_followers(self) -> None:
        for follower in self._followers or ():
            follower.set()


class Topics:
    """All topics of one node.

    Args:
        limit: maximum number of subscribers.
        make_counts: makes the counts.

    Attributes:
        subscribers: current number of subscribers.
    """

    def __init__(
        self,
        limit: int,
        queue: WatchQueue,
        speculative: SpeculativeWatches,
        clocks: ShardClocks,
        make_counts: MakeCounts = lambda _: Counts(),
    ) -> None:
        self._limit = limit
        self._counts = make_counts("subscriptions")
        self._queue = queue
        self._speculative = speculative
        self._clocks = clocks
        self._topics: dict[str, Topic] = {}
        self.subscribers = 0

    def __len__(self) -> int:
        return len(self._topics)

    def __iter__(self) -> Iterator[str]:
        return iter(self._topics)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._topics

    def __getitem__(self, task_id: str) -> Topic:
        return self._topics[task_id]

    def get(self, task_id: str) -> Topic | None:
        return self._topics.get(task_id)

    def renew_all(self) -> None:
        self._queue.renew(self._topics)

    # Subscribers ------------------------------------------------------------------------------------------------------

    def require_room(self, count: int = 1) -> None:
        """Raises:
        TooManySubscriptions: the node cannot take so many more subscribers.
        """
        if self._counts[""] + count > self._limit:
            raise TooManySubscriptions(f"this node has {self._limit} open subscriptions, its limit; try again later")

    def join(self, task_id: str) -> Topic:
        """Adds one subscriber. `leave` must follow.

        Raises:
            TooManySubscriptions: the node has reached its limit.
        """
        self.require_room()
        self.subscribers += 1
        self._counts.add("")
        topic = self._topics.get(task_id)
        if topic is None:
            topic = self._topics[task_id] = Topic(self._now(task_id))
            topic.run = self._speculative.take(task_id)
            if topic.run is None:
                self._queue.request(task_id)
        elif topic.ended:
            topic.ended = False
            topic.forget_run()
            self._queue.request(task_id)
        return topic

    def leave(self, task_id: str, topic: Topic) -> None:
        """Removes one subscriber, and with the last one the topic."""
        self.subscribers -= 1
        self._counts.add("", -1)
        if topic.empty and self._topics.get(task_id) is topic:
            del self._topics[task_id]
            if not topic.ended:
                self._queue.unwatch(task_id)

    # Records ----------------------------------------------------------------------------------------------------------

    def on_read(self, task_id: str, record: Record | None, read: int) -> None:
        """Handles a record that was read.

        Args:
            read: number of the read. Waiters that arrived after it began wait for the next one.
        """
        topic = self._topics.get(task_id)
        if topic is None:
            return
        topic.wake_followers()
        if record is not None and record.final:
            self._deliver(task_id, topic, record, [w for w in topic.result_waiters if w.reads_before < read])
        elif record is not None:
            topic.run, topic.run_read = record.run, read

    def on_final_notification(self, task_id: str, record: Record) -> None:
        """Handles a final record that came with a notification."""
        topic = self._topics.get(task_id)
        if topic is None:
            return
        # The notification may be late and the task submitted again since: later subscribers wait for another run.
        if topic.run != record.run:
            self._queue.request(task_id)
            return
        topic.wake_followers()
        finished_at = record.finished_at or 0
        certain = [w for w in topic.result_waiters if w.reads_before < topic.run_read or w.arrived_at <= finished_at]
        self._deliver(task_id, topic, record, certain)

    def _deliver(self, task_id: str, topic: Topic, record: Record, waiters: list[Waiter]) -> None:
        """Delivers a final record to these waiters of a topic; the record is read again for the others."""
        # Redis has dropped the watch and these waiters are about to leave, so later subscribers need a new watch.
        topic.forget_run()
        topic.ended = len(waiters) == len(topic.result_waiters)
        if not topic.ended:
            self._queue.request(task_id)
        now = self._now(task_id)
        finished_at = (record.finished_at or 0) / 1000
        waiting_since = max(topic.created_at, finished_at)
        waiters = [waiter for waiter in waiters if not waiter.done]
        metrics.labelled(metrics.DELIVERIES, "final").inc(len(waiters))
        observe_times(metrics.DELIVERY_SECONDS, max(0.0, now - waiting_since), len(waiters))
        for waiter in waiters:
            waiter.deliver(record)
        if waiters and now - finished_at < TRACED_SECONDS:
            tracing.record_span(
                "deliver", "PRODUCER", record.trace, waiting_since, task_id=task_id, subscribers=len(waiters)
            )

    def _now(self, task_id: str) -> float:
        """Seconds since 1970 by the clock of the task's shard, as well as this node knows it; by its own until it
        does."""
        latest = self._clocks.latest(task_id, time.monotonic())
        return latest / 1000 if math.isfinite(latest) else time.time()
