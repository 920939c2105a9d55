"""One worker node of real processes: how it copes with tasks, starts and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.scheduling.scheduler_heartbeat import SchedulerHeartbeat, read_heartbeat
from cluster.scheduling.silent_workers import FROZEN_SECONDS, SILENT_SECONDS
from cluster.store.async_store import Store
from cluster.system.child_processes import start_node
from dask_graphql.dev_system import free_port
from tests.system import System
from tests.whole_system.test_contract import submit

WILD = "tests.task_modules.wild"
ERROR = "state attempt error { code message type }"


@pytest.fixture(scope="module")
async def cell(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A scheduler, an api node and one worker, which is replaced when its event loop is stuck for two seconds. A
    task fails with the first worker process that it takes along."""
    system = System(
        tmp_path_factory.mktemp("cell"),
        task_modules=(WILD,),
        min_workers=0,
        worker_stuck_seconds=2.0,
        drain_seconds=0.5,
        lost_worker_limit=1,
    )
    system.redis.start()
    for role in ("scheduler", "api", "worker"):
        await system.start(role)
    system.settings = replace(system.settings, min_workers=1)
    await system.ready()
    yield system
    await system.__aexit__()


async def ended(system: System, mutation: str, fields: str = ERROR, seconds: float = 60) -> dict[str, Any]:
    async with asyncio.timeout(seconds):
        return await system.result((await submit(system, mutation))["taskId"], fields)


async def runs(folder: Path, count: int) -> list[Path]:
    """The marks of `count` runs."""
    async with asyncio.timeout(60):
        while len(found := sorted(folder.glob("run-*"))) < count:
            await asyncio.sleep(0.02)
    return found


async def lost(system: System, task_id: str) -> tuple[int, int]:
    """How many attempts count as lost, and the number of the newest one."""
    store = Store(system.settings)
    try:
        record = await store.read(task_id)
        assert record is not None
        return record.lost, record.attempt
    finally:
        await store.close()


@pytest.mark.slow
async def test_processes_of_multiprocessing_work_in_a_task(cell: System) -> None:
    got = await ended(cell, "submitPooled(n: 3)", f"{ERROR} result {{ ... on PooledResult {{ value }} }}")
    assert got["error"] is None
    assert got["result"] == {"value": [3, 2, 1, 3]}


@pytest.mark.slow
async def test_a_program_that_a_task_waits_for_ends_at_its_time_limit(cell: System) -> None:
    seconds = f"8{os.getpid()}.25"
    got = await ended(cell, f"submitShelling(seconds: {seconds})")
    assert got["error"]["code"] == "TIMEOUT"
    async with asyncio.timeout(20):
        while any(seconds in process.info["cmdline"] for process in psutil.process_iter(["cmdline"])
                  if process.info["cmdline"]):  # fmt: skip
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"), [("exit", "exited with code 17"), ("signal", "was killed by SIGSEGV"), ("zero", "exited while")]
)
async def test_a_crash_of_a_worker_process_counts_as_lost_and_the_error_says_how_it_ended(
    cell: System, how: str, words: str
) -> None:
    error = (await ended(cell, f'submitCrashing(how: "{how}")'))["error"]
    assert error["code"] == "WORKER_LOST"
    assert words in error["message"]


@pytest.mark.slow
async def test_a_worker_process_whose_event_loop_is_stuck_is_replaced(cell: System, tmp_path: Path) -> None:
    await ended(cell, "submitDeafening(limit: 60)")
    (tmp_path / "gate").touch()
    got = await ended(cell, f'submitMarked(folder: "{tmp_path}", seconds: 60)')
    assert got["state"] == "SUCCEEDED"


@pytest.mark.slow
async def test_a_long_task_survives_any_number_of_orderly_stops(cell: System, tmp_path: Path) -> None:
    task_id = (await submit(cell, f'submitMarked(folder: "{tmp_path}", seconds: 600)'))["taskId"]
    stops = 3
    for count in range(1, stops + 1):
        await runs(tmp_path, count)
        cell.children["worker0"].process.terminate()
        async with asyncio.timeout(30):
            assert await cell.children["worker0"].process.wait() == 0
        await cell.start("worker")
    (tmp_path / "gate").touch()
    async with asyncio.timeout(60):
        assert (await cell.result(task_id, "state"))["state"] == "SUCCEEDED"
    lost_count, attempt = await lost(cell, task_id)
    assert lost_count == 0
    assert attempt > stops


@pytest.mark.slow
async def test_a_worker_that_cannot_import_a_task_module_ends_and_names_it(cell: System, tmp_path: Path) -> None:
    settings = replace(cell.settings, task_modules=("tests.task_modules.broken",))
    with (tmp_path / "log").open("wb") as log:
        child = await start_node(settings, "worker", output=log)
        async with asyncio.timeout(60):
            assert await child.process.wait() == 2
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert "cannot import the task module 'tests.task_modules.broken'" in last
    assert "LookupError: no such thing" in last


@pytest.mark.slow
async def test_a_worker_that_is_importing_ends_when_it_is_asked_to(
    cell: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAZY_FOLDER", str(tmp_path))
    settings = replace(cell.settings, task_modules=("tests.task_modules.lazy",))
    child = await start_node(settings, "worker")
    async with asyncio.timeout(60):
        while not (importing := list(tmp_path.glob("importing-*"))):
            await asyncio.sleep(0.02)
    # In one process only: the nanny's process does not import it.
    assert [path.name for path in importing] != [f"importing-{child.process.pid}"]
    begun = time.monotonic()
    child.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        await child.process.wait()
    assert time.monotonic() - begun < 10
    assert not psutil.pid_exists(int(importing[0].name.removeprefix("importing-")))


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_task_ends_where_it_runs_though_the_next_scheduler_is_of_another_release(tmp_path: Path) -> None:
    system = System(tmp_path, task_modules=(WILD,), min_workers=0, release="v1")
    system.redis.start()
    for role in ("scheduler", "api", "worker"):
        await system.start(role)
    system.settings = replace(system.settings, min_workers=1)
    try:
        await system.ready()
        task_id = (await submit(system, f'submitMarked(folder: "{tmp_path}", seconds: 600)'))["taskId"]
        await runs(tmp_path, 1)
        # The update: the next scheduler waits beside the old one, and a worker of its release starts.
        before = system.children.pop("scheduler")
        system.settings = replace(system.settings, release="v2", scheduler=f"tcp://127.0.0.1:{free_port()}")
        await system.start("scheduler")
        before.process.terminate()
        async with asyncio.timeout(60):
            await before.process.wait()
        await system.start("worker", 1)
        other = tmp_path / "other"
        other.mkdir()
        (other / "gate").touch()
        # By then the recoverer has looked twice at what was open.
        assert (await ended(system, f'submitMarked(folder: "{other}", seconds: 60)'))["state"] == "SUCCEEDED"
        store = Store(system.settings)
        async with asyncio.timeout(60):
            epoch = (await read_heartbeat(store) or SchedulerHeartbeat("")).epoch
            while not str(await store.command("GET", store.calls.swept_key)).endswith(f" {epoch}'"):
                await asyncio.sleep(0.05)
        await store.close()
        assert len(list(tmp_path.glob("run-*"))) == 1
        (tmp_path / "gate").touch()
        async with asyncio.timeout(60):
            assert await system.result(task_id, "state attempt") == {
                "taskId": task_id, "state": "SUCCEEDED", "attempt": 1,
            }  # fmt: skip
            assert await system.children["worker0"].process.wait() == 0
    finally:
        await system.__aexit__()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_work_of_a_frozen_machine_runs_elsewhere_and_work_that_holds_its_interpreter_goes_on(
    tmp_path: Path,
) -> None:
    """Three workers: both processes of one are stopped, a task of another holds its interpreter, and one is free."""
    system = System(tmp_path, task_modules=(WILD,), min_workers=0)
    system.redis.start()
    for role in ("scheduler", "api"):
        await system.start(role)
    workers = {}
    for node in range(3):
        workers[node] = await system.start("worker", node)
    system.settings = replace(system.settings, min_workers=3)
    frozen: list[psutil.Process] = []
    try:
        await system.ready()
        held = (await submit(system, f"submitHolding(seconds: {int(FROZEN_SECONDS) + 20})"))["taskId"]
        folders = [tmp_path / f"task-{n}" for n in range(8)]
        for folder in folders:
            folder.mkdir()
        # One runs on each of the other two workers; some of the rest are queued at one of the three.
        ids = [
            (await submit(system, f'submitMarked(folder: "{folder}", seconds: 600)'))["taskId"] for folder in folders
        ]
        async with asyncio.timeout(60):
            while len(begun := [folder for folder in folders if list(folder.glob("run-*"))]) < 2:
                await asyncio.sleep(0.05)
        process_id = int(next(begun[0].glob("run-*")).name.split("-")[1])
        task_process = psutil.Process(process_id)
        nanny = task_process.parent()
        assert nanny is not None
        frozen = [nanny, task_process]
        for process in frozen:
            process.suspend()
        for folder in folders:
            (folder / "gate").touch()
        others = [task_id for task_id, folder in zip(ids, folders, strict=True) if folder != begun[0]]
        async with asyncio.timeout(SILENT_SECONDS + 40):
            got = await asyncio.gather(*(system.result(task_id, "state") for task_id in others))
        assert {item["state"] for item in got} == {"SUCCEEDED"}
        async with asyncio.timeout(FROZEN_SECONDS + 60):
            moved = await system.result(ids[folders.index(begun[0])], "state attempt")
            assert (moved["state"], moved["attempt"]) == ("SUCCEEDED", 2)
            assert (await system.result(held, "state attempt"))["attempt"] == 1
        assert [await lost(system, task_id) for task_id in (held, ids[folders.index(begun[0])])] == [(0, 1), (0, 2)]
    finally:
        for process in frozen:
            if process.is_running():
                process.resume()
        await system.__aexit__()
