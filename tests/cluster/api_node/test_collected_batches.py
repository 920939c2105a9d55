"""The dispatcher collects attempts of a task type with `batch`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.api_node.dispatcher import Dispatchable, Dispatcher
from cluster.scheduling.attempt_messages import AttemptBatch
from cluster.store.async_store import Store
from cluster.task_types.batching import Batch
from tests.polling import until

BATCH = Batch(max_size=4, wait_ms=50)


class Scheduler:
    """Fake of the scheduler's client: remembers the Dask tasks that it was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.load: Any = SimpleNamespace(threads=2, outstanding=0, idle_threads=2, durations={})
        self.load_changed = asyncio.Event()

    def send_attempts(self, _: str, batches: Sequence[AttemptBatch]) -> None:
        self.sent += [(batch.name, len(batch.attempts)) for batch in batches]


@pytest.fixture
async def scheduler() -> Scheduler:
    return Scheduler()


@pytest.fixture
async def dispatcher(store: Store, scheduler: Scheduler) -> AsyncIterator[Dispatcher]:
    made = Dispatcher(store, scheduler, batch_of=lambda name: BATCH if name == "b" else None)  # type: ignore[arg-type]
    made.start()
    yield made
    await made.close()


def put(dispatcher: Dispatcher, count: int, name: str = "b", **fields: Any) -> None:
    for number in range(count):
        dispatcher.put(Dispatchable(f"{number:032x}", 1, name, b"{}", **fields))


async def test_a_full_batch_is_sent_at_once_and_the_rest_when_its_first_has_waited(
    dispatcher: Dispatcher, scheduler: Scheduler
) -> None:
    put(dispatcher, 6)
    await asyncio.sleep(0.01)
    assert scheduler.sent == [("b", 4)]
    await until(lambda: len(scheduler.sent) == 2)
    assert scheduler.sent[1] == ("b", 2)


async def test_other_types_do_not_wait_and_accounts_and_priorities_share_no_batch(
    dispatcher: Dispatcher, scheduler: Scheduler
) -> None:
    put(dispatcher, 1, "a")
    await asyncio.sleep(0.01)
    assert scheduler.sent == [("a", 1)]
    put(dispatcher, 2, account="acme")
    put(dispatcher, 1, account="bank")
    put(dispatcher, 1, account="acme", priority=5)
    await until(lambda: len(scheduler.sent) == 4)
    assert sorted(scheduler.sent[1:]) == [("b", 1), ("b", 1), ("b", 2)]


async def test_what_is_collected_is_sent_when_the_node_stops(store: Store, scheduler: Scheduler) -> None:
    dispatcher = Dispatcher(store, scheduler, batch_of=lambda _: Batch(4, 10_000))  # type: ignore[arg-type]
    dispatcher.start()
    put(dispatcher, 3)
    await dispatcher.close()
    assert scheduler.sent == [("b", 3)]
