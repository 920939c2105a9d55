"""Cancelled attempts leave the scheduler, are no demand, and do not affect durations; with the plugin on a real
scheduler."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from distributed import Scheduler, Worker

from cluster.api_node.cancellation import Cancellations
from cluster.api_node.dispatcher import Dispatchable, Dispatcher
from cluster.scheduling.attempt_messages import OPERATION
from cluster.scheduling.attempt_tracker import AttemptTracker
from cluster.scheduling.entry_point import use_runner
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.settings import Settings
from cluster.store.async_store import Store


@pytest.fixture
async def scheduler(settings: Settings) -> AsyncIterator[tuple[Scheduler, Settings]]:
    """A scheduler with our plugin, without workers, in this process."""
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as running:
        plugin = AttemptTracker(running, Store(settings))
        running.add_plugin(plugin)
        plugin.activate()
        yield running, replace(settings, scheduler=running.address)
        await plugin.close()


async def submit(store: Store, dispatcher: Dispatcher, count: int) -> list[str]:
    """Submits and dispatches this many tasks."""
    task_ids = [uuid4().hex for _ in range(count)]
    for task_id in task_ids:
        await store.run(store.calls.submit(task_id, "long", "1", b"{}"))
        dispatcher.put(Dispatchable(task_id, 1, "long", b"{}"))
    return task_ids


async def cancel(store: Store, cancellations: Cancellations, task_ids: list[str]) -> None:
    for task_id in task_ids:
        cancelled, record = await store.run(store.calls.cancel(task_id))
        assert cancelled
        assert record is not None
        cancellations.put(record)


async def test_cancelled_attempts_leave_the_scheduler_and_are_no_demand(
    scheduler: tuple[Scheduler, Settings], store: Store
) -> None:
    running, settings = scheduler
    link = SchedulerClient(settings, subscribe_to_load=True)
    dispatcher, cancellations = Dispatcher(store, link), Cancellations(link)
    link.start()
    dispatcher.start()
    cancellations.start()

    async def load_when(tasks: int) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while len(running.tasks) != tasks:
                await asyncio.sleep(0.01)
        return await link.call("dask_graphql_load")  # type: ignore[no-any-return]

    try:
        async with asyncio.timeout(20):
            while not link.connected:
                await asyncio.sleep(0.01)
        task_ids = await submit(store, dispatcher, 50)
        assert (await load_when(50))["waiting_seconds"] == 50
        await cancel(store, cancellations, task_ids[:49])
        assert (await load_when(1))["waiting_seconds"] == 1
        # Cancelled before it was dispatched.
        [late] = await submit(store, dispatcher, 1)
        await cancel(store, cancellations, [late, task_ids[49]])
        seen = await load_when(0)
        assert (seen["waiting_seconds"], seen["queued"], seen["no_worker"]) == (0, 0, 0)
    finally:
        await cancellations.close()
        await dispatcher.close()
        await link.close()


async def test_dispatchers_know_the_threads_of_a_system_without_tasks(scheduler: tuple[Scheduler, Settings]) -> None:
    running, settings = scheduler
    link = SchedulerClient(settings, subscribe_to_load=True)
    link.start()

    async def knows(threads: int) -> None:
        async with asyncio.timeout(20):
            while link.load.threads != threads:
                link.load_changed.clear()
                await link.load_changed.wait()

    try:
        async with Worker(running.address, nthreads=3):
            await knows(3)
            later = SchedulerClient(settings, subscribe_to_load=True)
            later.start()
            await link.close()
            link = later
            await knows(3)
        await knows(0)
    finally:
        await link.close()


async def test_cancellations_wait_until_the_scheduler_is_available(
    scheduler: tuple[Scheduler, Settings], store: Store
) -> None:
    running, settings = scheduler
    link = SchedulerClient(settings)
    cancellations = Cancellations(link)
    cancellations.start()
    received: list[Any] = []

    async def cancelled(attempts: list[Any], **_: Any) -> None:
        received.extend(attempts)

    running.handlers["dask_graphql_cancelled"] = cancelled
    try:
        task_id = uuid4().hex
        await store.run(store.calls.submit(task_id, "long", "1", b"{}"))
        await store.run(store.calls.start(task_id, 1, "worker"))
        await cancel(store, cancellations, [task_id])
        link.start()
        async with asyncio.timeout(20):
            while not received:
                await asyncio.sleep(0.01)
        assert [list(item) for item in received] == [[task_id, 1, True]]
    finally:
        await cancellations.close()
        await link.close()


class Runs:
    """Fake of a worker's executor: attempts take the given times."""

    def __init__(self, *seconds: list[float]) -> None:
        self._seconds = list(seconds)

    def run(self, name: str, members: Any) -> list[float]:
        return self._seconds.pop(0)


async def test_attempts_cancelled_before_their_start_do_not_affect_the_average_duration(
    scheduler: tuple[Scheduler, Settings], store: Store
) -> None:
    running, settings = scheduler
    link = SchedulerClient(settings, subscribe_to_load=True)
    dispatcher = Dispatcher(store, link)
    runs: Any = Runs([], [30.0], [])
    use_runner(runs.run)
    link.start()
    dispatcher.start()

    async def done() -> float:
        """Dask's average duration, once no Dask task is left."""
        async with asyncio.timeout(20):
            while running.tasks:
                await asyncio.sleep(0.01)
        return float(running.task_prefixes["long"].duration_average)

    try:
        async with Worker(running.address, nthreads=1, dashboard_address="127.0.0.1:0"):
            async with asyncio.timeout(20):
                while not link.connected:
                    await asyncio.sleep(0.01)
            averages = []
            for _ in range(3):
                await submit(store, dispatcher, 1)
                async with asyncio.timeout(20):
                    while not running.tasks:
                        await asyncio.sleep(0)
                averages.append(await done())
        assert averages == [-1, 30.0, 30.0]
    finally:
        use_runner(None)
        await dispatcher.close()
        await link.close()


@pytest.mark.parametrize("release", ["this", "earlier"])
async def test_the_only_attempt_of_an_account_starts_next_and_one_that_had_started_comes_before_its_accounts_others(
    scheduler: tuple[Scheduler, Settings], store: Store, release: str
) -> None:
    """Also on a scheduler of an earlier release, which takes graphs alone."""
    running, settings = scheduler
    if release == "earlier":
        del running.handlers["dask_graphql_operations"], running.stream_handlers[OPERATION]
    link = SchedulerClient(settings, subscribe_to_load=True)
    dispatcher = Dispatcher(store, link, {"acme": 4.0, "bank": 0.5, "carl": 1.0}.__getitem__)
    gate = threading.Event()
    ran: list[str] = []

    def run(name: str, members: Any) -> list[float]:
        gate.wait(10)
        ran.extend(task_id for task_id, *_ in members)
        return []

    async def put(*attempts: tuple[str, str, bool]) -> None:
        known = len(running.tasks)
        for task_id, account, resumes in attempts:
            dispatcher.put(Dispatchable(task_id, 1, "long", b"{}", account=account, resumes=resumes))
        async with asyncio.timeout(20):
            while len(running.tasks) != known + len(attempts):
                await asyncio.sleep(0.01)

    use_runner(run)
    link.start()
    dispatcher.start()
    try:
        async with Worker(running.address, nthreads=1, dashboard_address="127.0.0.1:0"):
            async with asyncio.timeout(20):
                while not link.connected:
                    await asyncio.sleep(0.01)
            many = [uuid4().hex for _ in range(20)]
            await put(*((task_id, "acme", False) for task_id in many))
            again, only, two = uuid4().hex, uuid4().hex, [uuid4().hex for _ in range(2)]
            await put((only, "bank", False))
            await put((again, "acme", True))
            await put(*((task_id, "carl", False) for task_id in two))
            gate.set()
            async with asyncio.timeout(20):
                while len(ran) < 24:
                    await asyncio.sleep(0.01)
    finally:
        use_runner(None)
        await dispatcher.close()
        await link.close()
    # The scheduler has given some to the worker before the others came.
    place = {
        task_id: position for position, task_id in enumerate(task_id for task_id in ran if task_id not in many[:3])
    }
    # Half a second counts for 125 ms of an account of weight 4, so its sixth turn is after the only other of carl's.
    assert [place[task_id] for task_id in (only, again, two[0])] == [0, 1, 2]
    assert place[many[3]] < place[two[1]] < place[many[-1]]
