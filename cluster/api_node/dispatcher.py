"""The dispatcher: sends new attempts to the Dask scheduler, fire and forget.

A single attempt is sent at once. While the workers have more Dask tasks than they can take, new attempts linger for
some milliseconds, and short attempts of one task type are sent in batches: one Dask task runs several of them, at the
cost of one for scheduler and worker. The batch size depends on how long they take, as measured by the scheduler's
plugin.

The dispatcher holds no state that matters. An attempt that it cannot send is released to the store at once; one that is
lost with this process is found by the recoverer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

from cluster.errors import StoreUnavailable
from cluster.observability import metrics, tracing
from cluster.scheduling.attempt_messages import MAX_ATTEMPTS, AttemptBatch
from cluster.scheduling.fair_order import Share
from cluster.scheduling.scheduler_client import Load, SchedulerClient, SchedulerUnavailable, numbered
from cluster.store.async_store import Store
from cluster.system.background import BackgroundLoop
from cluster.task_types.batching import Batch

logger = logging.getLogger(__name__)
T = TypeVar("T")
K = TypeVar("K")

MAX_MESSAGE_BYTES: Final = 4 * 2**20
"""Approximate maximum length of the inputs in one message. A longer input is sent alone."""
MAX_BATCH: Final = 64
"""Maximum number of attempts in one Dask task."""
MAX_BATCH_SECONDS: Final = 0.1
"""Maximum work in one Dask task: no attempt waits longer for those before it in its batch."""
LINGER_SECONDS: Final = 0.02
"""How long an attempt waits for others while the workers are busy."""
BUSY_TASKS_PER_THREAD: Final = 1
"""The workers are busy if there are at least this many unfinished Dask tasks per thread."""


Group: TypeAlias = tuple[int, str, bool, str]
"""What attempts that may share a Dask task have in common: priority, account, whether they resume, task type."""


@dataclass(frozen=True, slots=True)
class Dispatchable:
    """One attempt that this node must send to the scheduler.

    Attributes:
        trace: W3C trace context of the submission; empty without tracing and for later attempts.
        account: whose fair share it uses.
        resumes: it replaces an attempt that had started, and need not wait for its account's turn again.
        pool: the larger pool that it moved to; empty for that of its task type.
    """

    task_id: str
    attempt: int
    name: str
    canonical_input: bytes
    priority: int = 0
    trace: str = ""
    account: str = ""
    resumes: bool = False
    pool: str = ""


class Dispatches(Protocol):
    """Takes attempts to send."""

    def put(self, attempt: Dispatchable) -> None: ...
    async def drained(self) -> None: ...


class Dispatcher:
    """Collects attempts and sends them in the background.

    Args:
        weight_of: returns the weight of an account, its share of the workers.
        batch_of: returns how attempts of a task type are put together for one call of its function; None if they are
            not.
        pool: whose workers run what it sends; empty without pools: any worker.
        number: of the scheduler, for the names of loops.
    """

    def __init__(
        self,
        store: Store,
        scheduler: SchedulerClient,
        weight_of: Callable[[str], float] = lambda _: 1.0,
        batch_of: Callable[[str], Batch | None] = lambda _: None,
        pool: str = "",
        number: int = 0,
    ) -> None:
        self._pool = pool
        self._weight_of = weight_of
        self._batch_of = batch_of
        self._collected: dict[Group, list[Dispatchable]] = {}
        self._store = store
        self._scheduler = scheduler
        self._waiting: list[Dispatchable] = []
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self.loop = BackgroundLoop(numbered(f"dispatcher {pool}".strip(), number), self._round, needed=True)

    def start(self) -> None:
        self.loop.start()

    def put(self, attempt: Dispatchable) -> None:
        """Queues an attempt. Never blocks: the number of requests in progress bounds the queue."""
        batch = self._batch_of(attempt.name)
        if batch is not None and batch.wait_ms and batch.max_size > 1:
            self._collect(attempt, batch)
            return
        self._waiting.append(attempt)
        self._wake.set()

    def _collect(self, attempt: Dispatchable, batch: Batch) -> None:
        """Keeps an attempt of a type with `batch` until there are enough for one call, or the first has waited."""
        group = _group_of(attempt)
        collected = self._collected.setdefault(group, [])
        collected.append(attempt)
        if len(collected) >= batch.max_size:
            self._queue_collected(group, collected)
        elif len(collected) == 1:
            asyncio.get_running_loop().call_later(batch.wait_ms / 1000, self._queue_collected, group, collected)

    def _queue_collected(self, group: Group, collected: list[Dispatchable]) -> None:
        # A full batch was queued before its time, and another one may have begun.
        if self._collected.get(group) is collected:
            del self._collected[group]
            self._waiting += collected
            self._wake.set()

    async def drained(self) -> None:
        """Waits until at most one message's worth of attempts is queued. For callers that queue many at once."""
        while len(self._waiting) > MAX_ATTEMPTS:
            self._sent.clear()
            await self._sent.wait()

    async def close(self) -> None:
        """Stops, and sends what is queued."""
        await self.loop.close()
        for group, collected in list(self._collected.items()):
            self._queue_collected(group, collected)
        await self._flush()

    async def _round(self) -> None:
        """Waits for attempts and sends them."""
        await self._wake.wait()
        if self._busy:
            await self._linger()
        self._wake.clear()
        await self._flush()

    @property
    def _load(self) -> Load:
        return self._scheduler.load.of(self._pool) if self._pool else self._scheduler.load

    @property
    def _busy(self) -> bool:
        load = self._load
        return bool(load.threads) and load.outstanding >= BUSY_TASKS_PER_THREAD * load.threads

    async def _linger(self) -> None:
        """Waits for more attempts while the workers are busy, for LINGER_SECONDS at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self._busy and len(self._waiting) < MAX_ATTEMPTS:
                    self._scheduler.load_changed.clear()
                    await self._scheduler.load_changed.wait()

    async def _flush(self) -> None:
        while self._waiting:
            count = self._message_size()
            message, self._waiting = self._waiting[:count], self._waiting[count:]
            try:
                self._send(message)
            except SchedulerUnavailable:
                await self._release(message)
            except Exception:
                # A closing client may raise anything. The node has only this loop for all attempts, so it continues.
                logger.exception("%d attempts could not be sent", len(message))
                await self._release(message)
            self._sent.set()
            # Let requests proceed between two messages.
            await asyncio.sleep(0)

    def _message_size(self) -> int:
        """How many of the queued attempts fit into one message."""
        length = 0
        for count, attempt in enumerate(self._waiting[:MAX_ATTEMPTS]):
            length += len(attempt.canonical_input)
            if length > MAX_MESSAGE_BYTES and count:
                return count
        return MAX_ATTEMPTS

    def _send(self, message: list[Dispatchable]) -> None:
        load, began = self._load, time.time()
        idle_threads = load.idle_threads
        # Attempts of different priorities, accounts or types share no batch.
        groups = _grouped(message, _group_of)
        batches: list[Sequence[Dispatchable]] = []
        for (_, _, _, name), same in groups.items():
            together = self._batch_of(name)
            if together is not None:
                batches += [same[i : i + together.max_size] for i in range(0, len(same), together.max_size)]
            else:
                duration = load.durations.get(name) if load.threads else None
                batches += split_into_batches(same, idle_threads, duration)
        self._scheduler.send_attempts(self._pool, [self._encoded(batch) for batch in batches])
        # An estimate until the scheduler publishes its load again.
        load.outstanding += len(batches)
        metrics.labelled(metrics.DISPATCHED, "sent").inc(len(message))
        for batch in batches:
            for item in batch:
                tracing.record_span(
                    "dispatch", "PRODUCER", item.trace, began, task_id=item.task_id, batch_size=len(batch)
                )

    def _encoded(self, batch: Sequence[Dispatchable]) -> AttemptBatch:
        first = batch[0]
        share = Share(first.account, float(self._weight_of(first.account)), first.resumes)
        attempts = [(item.task_id, item.attempt, item.canonical_input) for item in batch]
        return AttemptBatch(first.name, first.priority, share, attempts)

    async def _release(self, message: list[Dispatchable]) -> None:
        """Leaves attempts to the recoverer, which sends them once the scheduler is available again."""
        metrics.labelled(metrics.DISPATCHED, "returned").inc(len(message))
        try:
            await self._store.run_many(
                [self._store.calls.release(attempt.task_id, attempt.attempt) for attempt in message]
            )
        except StoreUnavailable as error:
            logger.warning("%d attempts are left to the recoverer's sweep: %s", len(message), error)


def split_into_batches(attempts: Sequence[T], idle_threads: int, duration: float | None) -> list[Sequence[T]]:
    """Splits attempts of one task type into batches, one for each Dask task.

    Args:
        idle_threads: each idle thread gets a batch before any batch grows.
        duration: seconds that one attempt takes; None if unknown: then each is a batch of its own.
    """
    if not duration:
        return [attempts[i : i + 1] for i in range(len(attempts))]
    size = max(1, min(MAX_BATCH, int(MAX_BATCH_SECONDS / duration), len(attempts) // max(1, idle_threads)))
    return [attempts[i : i + size] for i in range(0, len(attempts), size)]


def _group_of(attempt: Dispatchable) -> Group:
    return attempt.priority, attempt.account, attempt.resumes, attempt.name


def _grouped(attempts: Iterable[Dispatchable], by: Callable[[Dispatchable], K]) -> dict[K, list[Dispatchable]]:
    groups: dict[K, list[Dispatchable]] = defaultdict(list)
    for attempt in attempts:
        groups[by(attempt)].append(attempt)
    return groups
