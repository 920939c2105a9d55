"""The queues of pools on a scheduler: each pool's tasks wait for its own workers, in their order."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import dask
import pytest
from distributed import Client, Scheduler, Worker, fire_and_forget

from cluster.scheduling.attempt_tracker import AttemptTracker
from cluster.scheduling.pools import RESOURCES, announced, pool_of, required
from cluster.settings import Settings
from cluster.store.async_store import Store
from tests.polling import until

DONE: dict[str, threading.Event] = {}
ORDER: list[str] = []


def wait_for(name: str, key: str) -> None:
    ORDER.append(key)
    DONE[name].wait(20)


class Pools:
    """A scheduler with the pools `default` and `small`, in this process."""

    def __init__(self, scheduler: Scheduler, tracker: AttemptTracker, client: Client, open_: AsyncExitStack) -> None:
        self.scheduler, self.tracker, self.client, self._open = scheduler, tracker, client, open_

    async def add_worker(self, pool: str) -> Worker:
        worker = Worker(
            self.scheduler.address, nthreads=1, resources=announced(pool), dashboard_address="127.0.0.1:0", nanny=None
        )
        return await self._open.enter_async_context(worker)

    def send(self, pool: str, name: str, count: int, priority: int = 0) -> list[Any]:
        DONE.setdefault(name, threading.Event())
        keys = [f"{name}-{priority}-{n}" for n in range(count)]
        with dask.annotate(**{RESOURCES: required(pool)}):
            futures = self.client.map(wait_for, [name] * count, keys, key=keys, priority=priority, pure=False)
        return list(futures)

    async def waiting(self, pool: str) -> int:
        return int((await self.tracker.load())["pools"][pool]["waiting"])


@pytest.fixture
async def pools(settings: Settings) -> AsyncIterator[Pools]:
    DONE.clear()
    ORDER.clear()
    async with AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(
            Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0")
        )
        tracker = AttemptTracker(scheduler, Store(settings), ("default", "small"))
        scheduler.add_plugin(tracker)
        client = await stack.enter_async_context(Client(scheduler.address, asynchronous=True, set_as_default=False))
        yield Pools(scheduler, tracker, client, stack)
        for event in DONE.values():
            event.set()
    await tracker.close()


async def test_a_pool_that_is_full_does_not_hold_up_another_and_keeps_its_tasks_for_workers_to_come(
    pools: Pools,
) -> None:
    small, default = await pools.add_worker("small"), await pools.add_worker("default")
    held = pools.send("small", "held", 20)
    await until(lambda: len(ORDER) == 1)
    quick = pools.send("default", "quick", 3)
    DONE["quick"].set()
    await pools.client.gather(quick)
    assert {state.processing_on.name for f in held if (state := pools.scheduler.tasks[f.key]).processing_on} == {
        small.name
    }
    # A worker gets what it can start, and one more, as without pools.
    assert await pools.waiting("small") == 18
    assert await pools.waiting("default") == 0
    other = await pools.add_worker("small")
    await until(lambda: other.address in pools.scheduler.workers and len(ORDER) == 5)
    assert await pools.waiting("small") == 16
    assert not pools.scheduler.workers[default.address].processing
    DONE["held"].set()
    await pools.client.gather(held)
    assert await pools.waiting("small") == 0


async def test_what_waits_for_a_pool_starts_in_the_order_of_its_priority(pools: Pools) -> None:
    kept = [pools.send("small", "later", 2, priority=priority) for priority in (0, 5)]
    await until(lambda: len(pools.scheduler.unrunnable) == 4)
    DONE["later"].set()
    await pools.add_worker("default")
    await pools.add_worker("small")
    await pools.client.gather(kept)
    assert ORDER == ["later-5-0", "later-5-1", "later-0-0", "later-0-1"]


async def test_tasks_that_are_released_while_they_wait_are_no_demand(pools: Pools) -> None:
    futures = pools.send("small", "gone", 3)
    await until(lambda: len(pools.scheduler.unrunnable) == 3)
    assert await pools.waiting("small") == 3
    await pools.client.cancel(futures[:2])
    await until(lambda: len(pools.scheduler.unrunnable) == 1)
    assert await pools.waiting("small") == 1


async def test_tasks_of_an_earlier_release_run_on_any_worker_and_count_for_the_default_pool(pools: Pools) -> None:
    fire_and_forget(pools.client.submit(wait_for, "old", "old-1", key="old-1"))
    await until(lambda: len(pools.scheduler.queued) == 1)
    assert (await pools.waiting("default"), await pools.waiting("small")) == (1, 0)
    DONE["old"] = threading.Event()
    DONE["old"].set()
    await pools.add_worker("small")
    await until(lambda: ORDER == ["old-1"])


def test_a_pool_is_read_back_from_resources() -> None:
    assert pool_of(announced("gpu")) == pool_of(required("gpu")) == "gpu"
    assert pool_of({"GPU": 1}) == pool_of(None) == ""
