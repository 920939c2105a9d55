"""Silent workers: what happens to their attempts, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from cluster.scheduling.attempt_keys import attempt_key
from cluster.scheduling.silent_workers import FROZEN_SECONDS, SILENT_SECONDS, SilentWorkers
from cluster.store.async_store import Store
from cluster.store.record import TaskState

IDS: Final = [f"{n:032x}" for n in range(1, 10)]
ADDRESS: Final = "tcp://w"


@dataclass
class Status:
    name: str = "running"


@dataclass(eq=False)
class Task:
    key: Any


@dataclass(eq=False)
class Worker:
    """The part of Dask's `WorkerState` that is used."""

    last_seen: float
    processing: dict[Task, float] = field(default_factory=dict)
    status: Status = field(default_factory=Status)
    name: str = "w"
    address: str = ADDRESS


class Scheduler:
    """The part of Dask's scheduler that is used; test_dask_internals.py shows that the real one does the same."""

    def __init__(self, worker: Worker) -> None:
        self.workers = {ADDRESS: worker}
        self.removed: list[str] = []

    def handle_worker_status_change(self, status: str, worker: Worker, stimulus_id: str) -> None:
        worker.status = Status(status)

    async def remove_worker(self, address: str, *, stimulus_id: str) -> None:
        self.removed.append(address)
        del self.workers[address]


class Bench:
    """One worker with a running attempt, a waiting one and a key that is not ours; and a clock."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = 1_000_000.0
        self.worker = Worker(self.now)
        self.scheduler: Any = Scheduler(self.worker)
        self.silent = SilentWorkers(self.scheduler, store, lambda: self.now)

    async def begin(self) -> None:
        for task_id in IDS[:2]:
            await self.store.run(self.store.calls.submit(task_id, "add", "1", b"{}"))
            self.worker.processing[Task(attempt_key("add", [(task_id, 1)]))] = 1.0
        self.worker.processing[Task(("part", 3))] = 1.0
        await self.store.run(self.store.calls.start(IDS[0], 1, "w"))

    async def stop_signs_of_life(self) -> None:
        """The record of the running attempt shows no recent sign of life."""
        await self.store.redis.hset(self.store.calls.record_key(IDS[0]), mapping={"started_at": 1})

    async def wait(self, seconds: float, *, nanny: bool = False, dask: bool = False) -> None:
        """Lets time pass, in rounds."""
        until = self.now + seconds
        while self.now < until:
            self.now += 1
            if nanny:
                await self.silent.on_nanny_heartbeat(ADDRESS)
            if dask:
                self.worker.last_seen = self.now
            await self.silent.round()

    async def seen(self) -> list[tuple[TaskState, int, int]]:
        """State, attempt and counted losses of both tasks."""
        records = await self.store.read_many(IDS[:2])
        return [(record.state, record.attempt, record.lost) for record in records if record]


RUNNING: Final = (TaskState.RUNNING, 1, 0)
WAITING: Final = (TaskState.QUEUED, 1, 0)
REQUEUED: Final = (TaskState.QUEUED, 2, 0)


@pytest.fixture
async def bench(store: Store) -> Bench:
    made = Bench(store)
    await made.begin()
    return made


async def test_a_worker_that_responds_keeps_its_attempts(bench: Bench) -> None:
    await bench.stop_signs_of_life()
    await bench.wait(200, dask=True)
    assert await bench.seen() == [RUNNING, WAITING]
    assert bench.worker.status.name == "running"


async def test_attempts_that_a_silent_worker_has_not_started_are_requeued_and_it_gets_no_more_work(
    bench: Bench,
) -> None:
    await bench.wait(SILENT_SECONDS - 1, nanny=True)
    assert await bench.seen() == [RUNNING, WAITING]
    await bench.wait(2, nanny=True)
    assert await bench.seen() == [RUNNING, REQUEUED]
    assert bench.worker.status.name == "paused"
    # It responds again.
    await bench.wait(2, dask=True)
    assert bench.worker.status.name == "running"


async def test_an_attempt_that_blocks_its_interpreter_keeps_running_while_its_nanny_sends_heartbeats(
    bench: Bench,
) -> None:
    await bench.stop_signs_of_life()
    await bench.wait(1200, nanny=True)
    assert (await bench.seen())[0] == RUNNING
    assert bench.scheduler.removed == []


async def test_attempts_on_a_frozen_machine_are_requeued_without_a_counted_loss_and_the_worker_is_removed(
    bench: Bench,
) -> None:
    await bench.stop_signs_of_life()
    await bench.wait(FROZEN_SECONDS - 1)
    assert (await bench.seen())[0] == RUNNING
    await bench.wait(2)
    assert await bench.seen() == [REQUEUED, REQUEUED]
    assert bench.scheduler.removed == [ADDRESS]


async def test_an_attempt_whose_record_shows_life_stays_even_if_the_nanny_cannot_reach_the_scheduler(
    bench: Bench,
) -> None:
    """A nanny of an older release, for example, sends no heartbeats."""
    await bench.wait(FROZEN_SECONDS + 5)
    assert (await bench.seen())[0] == RUNNING
    assert bench.scheduler.removed == []


async def test_a_scheduler_that_stalled_itself_considers_no_worker_silent(bench: Bench) -> None:
    await bench.stop_signs_of_life()
    bench.now += 3600
    await bench.silent.round()
    await bench.wait(2)
    assert await bench.seen() == [RUNNING, WAITING]
    await bench.wait(10, dask=True)
    assert await bench.seen() == [RUNNING, WAITING]
    assert bench.worker.status.name == "running"


async def test_a_worker_whose_process_is_about_to_exit_gets_no_work_until_that_is_revoked(bench: Bench) -> None:
    await bench.silent.on_worker_leaving(ADDRESS, True)
    assert bench.worker.status.name == "paused"
    await bench.silent.on_worker_leaving(ADDRESS, False)
    assert bench.worker.status.name == "running"
    bench.worker.status = Status("closing_gracefully")
    await bench.silent.on_worker_leaving(ADDRESS, True)
    await bench.silent.on_worker_leaving(ADDRESS, False)
    assert bench.worker.status.name == "closing_gracefully"


async def test_a_worker_that_is_drained_gets_no_more_work_also_after_it_was_silent(bench: Bench) -> None:
    await bench.silent.on_worker_draining(ADDRESS)
    assert bench.worker.status.name == "paused"
    assert bench.silent.draining == {ADDRESS}
    bench.now += SILENT_SECONDS + 1
    await bench.silent.round()
    bench.worker.last_seen = bench.now
    await bench.silent.round()
    await bench.silent.on_worker_leaving(ADDRESS, False)
    assert bench.worker.status.name == "paused"
    del bench.scheduler.workers[ADDRESS]
    await bench.silent.round()
    assert bench.silent.draining == set()
