"""Recovery: what it checks, in which order, and which losses count; with real scripts and a fake scheduler."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import orjson
import pytest

from cluster.api_node import recovery
from cluster.api_node.dispatcher import Dispatchable
from cluster.api_node.recovery import PAGE_SIZE, Recoverer
from cluster.scheduling.scheduler_client import SchedulerUnavailable
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS, Keys
from cluster.store.record import TaskState
from tests.polling import until


class Scheduler:
    """Fake of the dispatcher and the scheduler: it holds what was dispatched since its start."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.keys: Keys = store.calls
        self.connected = True
        self.attempts: dict[str, int] = {}
        self.asked = 0
        self.largest_wait = 0
        self.leave_after: int | None = None
        self._waiting = 0

    async def begin(self, epoch: str) -> None:
        """Starts a new scheduler, which knows no attempts."""
        self.attempts.clear()
        word = orjson.dumps({"epoch": epoch, "address": "tcp://x", "started_at": 0})
        await self._store.command("SET", self.keys.scheduler_key, word)

    async def call(self, operation: str, attempts: list[tuple[str, int]]) -> list[bool]:
        assert operation == "dask_graphql_held"
        self.asked += len(attempts)
        if self.leave_after is not None and self.asked > self.leave_after:
            self.leave_after = None
            raise SchedulerUnavailable("fake")
        return [self.attempts.get(task_id) == attempt for task_id, attempt in attempts]

    def put(self, attempt: Dispatchable) -> None:
        self.attempts[attempt.task_id] = attempt.attempt
        self._waiting += 1
        self.largest_wait = max(self.largest_wait, self._waiting)

    async def drained(self) -> None:
        self._waiting = 0


@pytest.fixture
async def scheduler(store: Store) -> Scheduler:
    return Scheduler(store)


@pytest.fixture
async def recoverer(store: Store, scheduler: Scheduler) -> AsyncIterator[Recoverer]:
    made = Recoverer(store, scheduler, scheduler, "n")  # type: ignore[arg-type]
    yield made
    await made.close()


async def many(store: Store, count: int, *, begun: bool = False) -> list[str]:
    ids = [SHARDS[i % 16] + uuid.uuid4().hex[1:] for i in range(count)]
    await store.run_many([store.calls.submit(task_id, "t", "1", b"{}") for task_id in ids])
    if begun:
        await store.run_many([store.calls.start(task_id, 1, "w") for task_id in ids])
    return ids


async def counted_losses(store: Store, ids: list[str]) -> set[tuple[bytes | None, ...]]:
    """How many losses count against each task: with its worker, and as undelivered."""
    found = await store.commands([("HMGET", store.calls.record_key(i), "lost", "undelivered") for i in ids])
    return {tuple(item) for item in found}


async def test_a_task_that_has_not_started_in_time_ends_without_a_scheduler_and_is_forgotten(
    store: Store, scheduler: Scheduler
) -> None:
    forgotten: dict[str, int] = {}
    scheduler.connected = False
    recoverer = Recoverer(store, scheduler, scheduler, "n", forget=forgotten.__setitem__)  # type: ignore[arg-type]
    soon = await store.server_milliseconds() + 100
    ids = [SHARDS[i % 16] + uuid.uuid4().hex[1:] for i in range(70)]
    await store.run_many([store.calls.submit(task_id, "t", "1", b"{}", start_before=soon) for task_id in ids])
    kept = await many(store, 2)
    recoverer.start()
    try:
        await until(lambda: len(forgotten) == len(ids))
    finally:
        await recoverer.close()
    assert forgotten == dict.fromkeys(ids, 1)
    states = [record.state for record in [await store.read(task_id) for task_id in [*ids, *kept]] if record]
    assert states == [TaskState.FAILED] * 70 + [TaskState.QUEUED] * 2


async def test_a_new_scheduler_gets_every_open_task_page_by_page_and_no_loss_counts(
    store: Store, scheduler: Scheduler, recoverer: Recoverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "IN_TRANSIT_SECONDS", 0.3)
    waiting, running = await many(store, 1_500), await many(store, 100, begun=True)
    await scheduler.begin("one")
    await asyncio.sleep(0.3)
    recoverer.start()
    await until(lambda: len(scheduler.attempts) == 1_600)
    assert set(scheduler.attempts.values()) == {2}
    assert scheduler.largest_wait <= 16 * PAGE_SIZE
    assert await counted_losses(store, waiting + running) == {(b"0", b"0")}
    async with asyncio.timeout(10):
        while not (swept := await store.redis.get(store.calls.swept_key)):
            await asyncio.sleep(0.05)
    assert str(swept).endswith(" one'")
    # The second pass of the sweep replaced nothing that the new scheduler already had.
    assert set(scheduler.attempts.values()) == {2}
    assert recoverer.lease.term == 1
    assert await store.redis.get(store.calls.recovered_key) is not None


async def test_attempts_in_transit_to_a_new_scheduler_are_checked_once_they_must_have_arrived(
    store: Store, scheduler: Scheduler, recoverer: Recoverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "IN_TRANSIT_SECONDS", 1.0)
    await scheduler.begin("one")
    arrives, lost = await many(store, 2)
    recoverer.start()
    await until(lambda: recoverer.loop.health.completed_at)
    assert scheduler.asked == 0
    scheduler.put(Dispatchable(arrives, 1, "t", b"{}"))
    await until(lambda: scheduler.attempts.get(lost) == 2)
    assert scheduler.attempts == {arrives: 1, lost: 2}
    assert await counted_losses(store, [arrives, lost]) == {(b"0", b"0")}


async def test_what_a_worker_of_another_release_still_runs_is_left_to_it(
    store: Store, scheduler: Scheduler, recoverer: Recoverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "IN_TRANSIT_SECONDS", 0.3)
    ends, lost, waiting = [*await many(store, 2, begun=True), *await many(store, 1)]
    await asyncio.sleep(0.3)
    await scheduler.begin("one")
    recoverer.start()
    # Those that run are looked at later, because the worker has to report them first.
    await until(lambda: scheduler.attempts.get(waiting) == 2)
    assert scheduler.asked == 1
    scheduler.attempts[ends] = 1
    await until(lambda: scheduler.attempts.get(lost) == 2)
    assert scheduler.attempts == {ends: 1, lost: 2, waiting: 2}


async def test_a_new_recoverer_does_not_sweep_again_if_the_scheduler_is_known(
    store: Store, scheduler: Scheduler, recoverer: Recoverer
) -> None:
    await scheduler.begin("one")
    await store.run(store.calls.record_time(store.calls.swept_key, "one"))
    await many(store, 20)
    recoverer.start()
    await until(lambda: recoverer.active and recoverer.loop.health.completed_at)
    await asyncio.sleep(0.7)
    assert (scheduler.asked, scheduler.attempts) == (0, {})


async def test_a_sweep_that_was_interrupted_starts_again(
    store: Store, scheduler: Scheduler, recoverer: Recoverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "IN_TRANSIT_SECONDS", 0.2)
    ids = await many(store, 2_000)
    await asyncio.sleep(0.3)
    await scheduler.begin("one")
    scheduler.leave_after = 1_100
    recoverer.start()
    await until(lambda: len(scheduler.attempts) == 2_000)
    assert await counted_losses(store, ids) == {(b"0", b"0")}


async def test_a_recoverer_of_one_of_two_schedulers_claims_its_shards_alone(store: Store, scheduler: Scheduler) -> None:
    scheduler.keys = store.calls.of_scheduler(1)
    await scheduler.begin("one")
    ids = await many(store, 32)
    recoverer = Recoverer(store, scheduler, scheduler, "n", number=1, schedulers=2)  # type: ignore[arg-type]
    await store.run(store.calls.record_time(scheduler.keys.swept_key, "one/2"))
    for task_id in ids:
        await store.redis.zadd(f"{store.calls.shard(task_id)}:open", {task_id: 1})
    recoverer.start()
    await until(lambda: len(scheduler.attempts) == 16)
    await recoverer.close()
    assert {task_id[0] for task_id in scheduler.attempts} == set(SHARDS[1::2])


async def test_no_loss_counts_after_the_number_of_schedulers_has_changed(
    store: Store, scheduler: Scheduler, recoverer: Recoverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "IN_TRANSIT_SECONDS", 0.2)
    await scheduler.begin("one")
    ids = [*await many(store, 32), *await many(store, 32, begun=True)]
    # There were two, of which this one had half of the shards.
    now = await store.server_milliseconds()
    await store.redis.set(store.calls.swept_key, f"{now - 60_000} one/2")
    scheduler.attempts = {task_id: 1 for task_id in ids if task_id[0] in SHARDS[::2]}
    await asyncio.sleep(0.3)
    recoverer.start()
    await until(lambda: len(scheduler.attempts) == 64)
    assert {scheduler.attempts[task_id] for task_id in ids if task_id[0] in SHARDS[::2]} == {1}
    assert {scheduler.attempts[task_id] for task_id in ids if task_id[0] in SHARDS[1::2]} == {2}
    assert await counted_losses(store, ids) == {(b"0", b"0")}


async def test_a_loss_counts_if_a_scheduler_that_is_not_new_does_not_know_the_attempt(
    store: Store, scheduler: Scheduler, recoverer: Recoverer
) -> None:
    await scheduler.begin("one")
    now = await store.server_milliseconds()
    await store.redis.set(store.calls.swept_key, f"{now - 60_000} one")
    [waiting] = await many(store, 1)
    [running] = await many(store, 1, begun=True)
    for task_id in (waiting, running):
        await store.redis.zadd(f"{store.calls.shard(task_id)}:open", {task_id: now - 1})
    recoverer.start()
    await until(lambda: len(scheduler.attempts) == 2)
    assert await counted_losses(store, [waiting]) == {(b"0", b"1")}
    assert await counted_losses(store, [running]) == {(b"1", b"0")}


async def test_a_wrong_clock_of_the_recoverers_node_has_no_effect(
    store: Store, scheduler: Scheduler, recoverer: Recoverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(recovery, "IN_TRANSIT_SECONDS", 0.2)
    ids = await many(store, 5)
    await asyncio.sleep(0.3)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 7_200)
    await scheduler.begin("one")
    recoverer.start()
    await until(lambda: len(scheduler.attempts) == 5, 5)
    assert await counted_losses(store, ids) == {(b"0", b"0")}
