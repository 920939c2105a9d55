"""What becomes of running attempts whose scheduler is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.scheduling.finishing_workers import MAX_SILENCE_SECONDS, FinishingWorkers
from cluster.scheduling.scheduler_heartbeat import SchedulerHeartbeat, write_heartbeat
from cluster.store.async_store import Store
from cluster.store.script_calls import EPOCH_TTL_SECONDS
from cluster.worker.finishing import await_attempts, verdict_on
from cluster.worker.node import _start
from cluster.worker.scheduler_route import replaced

OWN = SchedulerHeartbeat("own", release="v1")
SAME, OTHER = SchedulerHeartbeat("next", release="v1"), SchedulerHeartbeat("next", release="v2")
DAY = 86_400.0


@pytest.mark.parametrize(
    ("heartbeat", "waited", "limit", "verdict"),
    [
        (None, 600.0, DAY, "wait"),  # nothing else would run them
        (OWN, 0.5, DAY, "wait"),  # the heartbeat of a scheduler that died outlives it
        (OWN, EPOCH_TTL_SECONDS + 1, DAY, "end"),  # it lives, and has dismissed this worker
        (SAME, 0.5, DAY, "end"),
        (OTHER, 0.5, DAY, "finish"),
        (OTHER, 3 * DAY, 0.0, "finish"),
        (OTHER, DAY + 1, DAY, "end"),
    ],
)
def test_only_a_worker_of_another_release_than_the_next_scheduler_ends_what_it_runs(
    heartbeat: SchedulerHeartbeat | None, waited: float, limit: float, verdict: str
) -> None:
    assert verdict_on(heartbeat, "own", "v1", waited, limit) == verdict


async def test_a_worker_process_that_starts_does_not_wait_for_a_scheduler_that_was_replaced(
    store: Store, tmp_path: Path
) -> None:
    class Starts:
        """A nanny whose process waits for its scheduler."""

        pid = None

        async def start(self) -> None:
            await asyncio.Event().wait()

    async def report() -> None: ...

    starts: Any = Starts()
    await write_heartbeat(store, OWN)
    starting = asyncio.ensure_future(_start(starts, asyncio.Event(), replaced(store, "own"), tmp_path, report))
    await asyncio.sleep(0.1)
    assert not starting.done()
    await write_heartbeat(store, SAME)
    assert await asyncio.wait_for(starting, 20) is False


async def test_a_scheduler_knows_what_workers_of_another_release_run_for_as_long_as_they_report_it() -> None:
    now = [0.0]
    workers = FinishingWorkers(lambda: now[0])
    await workers.on_report("a", [["x", 1], ["y", 2]])
    now[0] = 10.0
    await workers.on_report("b", [("z", 1)])
    assert workers.held() == {("x", 1), ("y", 2), ("z", 1)}
    assert workers.describe()[0] == {"name": "a", "processing": 2, "seconds": 10.0}
    now[0] = MAX_SILENCE_SECONDS
    assert workers.held() == {("z", 1)}, "a has ended, or is lost"
    await workers.on_report("b", [])
    assert workers.describe() == []


async def test_a_closing_worker_process_waits_for_its_attempts_and_requeues_those_that_need_a_scheduler() -> None:
    lost: list[Any] = []
    stop = SimpleNamespace(set=lambda: running.pop(("graph", 2)))
    running: dict[tuple[str, int], Any] = {
        ("plain", 1): SimpleNamespace(on_cluster=False),
        ("graph", 2): SimpleNamespace(on_cluster=True, stop=stop),
    }
    calls = SimpleNamespace(mark_lost=lambda *call: call)
    store = SimpleNamespace(calls=calls, run_once=lost.append)
    executor: Any = SimpleNamespace(running=running, worker="w", store=store)
    waiting = asyncio.ensure_future(await_attempts(executor))
    async with asyncio.timeout(10):
        while ("graph", 2) in running:
            await asyncio.sleep(0.01)
    assert [call[:3] for call in lost] == [("graph", 2, "none")]
    assert not waiting.done()
    running.clear()
    await asyncio.wait_for(waiting, 10)
