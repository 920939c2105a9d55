"""Delivery: subscribers of a node get the final record the moment it exists, without a gap.

Each node has one pub/sub connection (`node_channel`), subscribed before the node serves. `watch_loop` registers the
node in Redis for every task that a subscriber waits for (`topics`), so that the end of the task is published to this
node. After a reconnection all tasks are watched again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Final

from cluster.api_node.followers import RETRY_SECONDS, Followers, Visible
from cluster.api_node.node_channel import NodeChannel
from cluster.api_node.result_reader import ResultReader
from cluster.api_node.speculative_watch import SpeculativeWatches
from cluster.api_node.topics import FutureWaiter, Topics, Waiter
from cluster.api_node.watch_loop import WatchLoop
from cluster.api_node.watch_queue import WatchQueue
from cluster.errors import ResultGone, StoreUnavailable
from cluster.store.async_store import Store
from cluster.store.clock import ShardClocks
from cluster.store.record import Record, SubmissionOutcome
from cluster.store.replies import SubmitReply
from cluster.system.counts import Counts, MakeCounts

logger = logging.getLogger(__name__)

MAX_QUEUED_BYTES: Final = 4_096
"""Maximum length of input and error, together, that are kept for a slow reader of `final_records`."""


class ResultDelivery:
    """Delivers records to the subscribers of one api node.

    Args:
        node: this node's id, unique among running nodes.
        limit: maximum number of subscribers.
        on_broadcast: called with each message to all nodes.
        make_counts: makes the counts of subscribers.

    Attributes:
        followers: delivers events and the items of streams.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        limit: int,
        on_broadcast: Callable[[str], None],
        make_counts: MakeCounts = lambda _: Counts(),
    ) -> None:
        self._store = store
        self.node = node
        self._clocks = ShardClocks()
        self._speculative = SpeculativeWatches()
        self._queue = WatchQueue()
        self._topics = Topics(limit, self._queue, self._speculative, self._clocks, make_counts)
        self._watches = WatchLoop(store, node, self._queue, self._topics, self._speculative)
        self._channel = NodeChannel(store, node, self._queue, self._topics, self._speculative, on_broadcast)
        self.results = ResultReader(store)
        self.followers = Followers(store, node, self._topics)
        self.loops = (self._channel.loop, *self._watches.loops)

    async def start(self) -> None:
        """Starts the background loops. Returns at once; `listening` is set once the node's channel is subscribed."""
        for loop in self.loops:
            loop.start()

    async def close(self) -> None:
        for loop in self.loops:
            await loop.close()

    @property
    def listening(self) -> asyncio.Event:
        """Set while the node's channel is subscribed."""
        return self._channel.listening

    @property
    def disconnected_since(self) -> float | None:
        """When the node's channel was lost, seconds since 1970; None while it is subscribed."""
        return self._channel.disconnected_since

    @property
    def subscribers(self) -> int:
        """Current number of subscribers."""
        return self._topics.subscribers

    @property
    def watched_tasks(self) -> int:
        """Number of different tasks that they wait for."""
        return len(self._topics)

    # Submissions ------------------------------------------------------------------------------------------------------

    def prepare_watches(self, task_ids: Sequence[str]) -> bool:
        """Returns whether these submissions should register a watch for this node. If so, `commit_watch` must be called
        for each of them."""
        return self.listening.is_set() and self._speculative.prepare(task_ids)

    def commit_watch(self, task_id: str, submitted: SubmitReply | None, sent_at: float) -> None:
        """Handles the reply to a submission.

        Args:
            submitted: None if it is unknown whether the submission was accepted.
            sent_at: when it was sent, by `time.monotonic`.
        """
        if submitted is not None and submitted.outcome in (SubmissionOutcome.NEW, SubmissionOutcome.RECOMPUTED):
            # The script has just written its time into the record.
            self._clocks.observe(task_id, sent_at, submitted.record.submitted_at)
        usable = submitted is not None and not submitted.record.final and task_id not in self._topics
        self._speculative.commit(task_id, submitted.record.run if submitted is not None and usable else None)

    # Subscribers ------------------------------------------------------------------------------------------------------

    def require_room(self, count: int = 1) -> None:
        """Raises:
        TooManySubscriptions: the node cannot take so many more subscribers.
        """
        self._topics.require_room(count)

    async def final_record(
        self, task_id: str, *, result: Callable[[], bool] = lambda: True, visible: Visible = lambda _: True
    ) -> Record:
        """Waits for the final record of a task, which may not have been submitted yet.

        Args:
            result: whether the caller needs the result; called if it is too long to be included in the record.
            visible: whether the caller may see the record; if not, this waits on.

        Raises:
            TooManySubscriptions: the node has reached its limit.
        """
        while True:
            waiter = FutureWaiter()
            self.add_waiter(task_id, waiter)
            try:
                record = await waiter.future
                if not visible(record):
                    # Still one of the node's subscribers, as one that waits for an unknown task is.
                    await asyncio.get_running_loop().create_future()
            finally:
                self.remove_waiter(task_id, waiter)
            if not record.result_omitted or not result():
                return record
            if complete := await self._complete(record):
                return complete

    async def final_records(
        self, task_ids: Sequence[str], *, result: Callable[[], bool] = lambda: True, visible: Visible = lambda _: True
    ) -> AsyncIterator[Record]:
        """The final records of tasks, each as its task ends. Long fields of records that a slow reader has not taken
        yet are dropped and read again when it takes them.

        Args:
            result, visible: as for `final_record`.

        Raises:
            TooManySubscriptions: the node has reached its limit.
            ResultGone: a record expired, or its task was submitted again, before a slow reader took it.
        """
        ended: asyncio.Queue[Record] = asyncio.Queue()
        waiting: dict[str, Waiter] = {}

        def on_end(future: asyncio.Future[Record]) -> None:
            record = future.result()
            if record.task_id in waiting and visible(record):
                self.remove_waiter(record.task_id, waiting.pop(record.task_id))
                ended.put_nowait(_without_long_fields(record))

        try:
            for task_id in dict.fromkeys(task_ids):
                waiter = FutureWaiter()
                self.add_waiter(task_id, waiter)
                waiting[task_id] = waiter
                waiter.future.add_done_callback(on_end)
            for _ in range(len(waiting)):
                record = await ended.get()
                if not record.input or (record.result_omitted and result()):
                    # If the task runs again by now, wait for the end of that run.
                    record = await self.with_result(record, result=result)
                if not record.input:
                    raise ResultGone(f"the record of {record.task_id} expired before it was taken from this stream")
                yield record
        finally:
            for task_id in list(waiting):
                self.remove_waiter(task_id, waiting.pop(task_id))

    async def ended_within(
        self, task_ids: Sequence[str], seconds: float, *, visible: Visible = lambda _: True
    ) -> dict[str, Record]:
        """Waits until all of these tasks have ended, for at most `seconds`. Returns the final records that there are by
        then, by task id, without long results.

        Raises:
            TooManySubscriptions, ResultGone: as for `final_records`.
        """
        ended: dict[str, Record] = {}
        records = self.final_records(task_ids, result=lambda: False, visible=visible)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), aclosing(records) as stream:  # type: ignore[type-var]
                async for record in stream:
                    ended[record.task_id] = record
        return ended

    async def with_result(self, record: Record, *, result: Callable[[], bool] = lambda: True) -> Record:
        """Reads a final record again with its long result. If the task runs again by now, waits for the end of that
        run."""
        return await self._complete(record) or await self.final_record(record.task_id, result=result)

    async def _complete(self, record: Record) -> Record | None:
        """Returns a final record with its long result, the unchanged record if the result has expired, or None if the
        task runs again. Waits while Redis is unavailable."""
        while True:
            try:
                current = await self.results.complete(record)
            except StoreUnavailable as error:
                logger.debug("reading the result of %s will be retried: %s", record.task_id, error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if current is None:
                return record
            return current if current.final else None

    def add_waiter(self, task_id: str, waiter: Waiter) -> None:
        """Makes a waiter one of the node's subscribers, until `remove_waiter`. The record may be too long to contain
        its result.

        Raises:
            TooManySubscriptions: the node has reached its limit.
        """
        waiter.reads_before = self._watches.reads
        waiter.arrived_at = self._clocks.latest(task_id, time.monotonic())
        waiter.topic = self._topics.join(task_id)
        waiter.topic.result_waiters.add(waiter)

    def remove_waiter(self, task_id: str, waiter: Waiter) -> None:
        """Ends what `add_waiter` began."""
        waiter.topic.result_waiters.discard(waiter)
        self._topics.leave(task_id, waiter.topic)


def _without_long_fields(record: Record) -> Record:
    """A record as it is kept for a slow reader."""
    if len(record.input) + len(record.error or b"") <= MAX_QUEUED_BYTES:
        return record
    return replace(record, input=b"", error=None, result=None)
