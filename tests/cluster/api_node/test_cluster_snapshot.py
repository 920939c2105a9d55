"""`clusterChanges`, `/readyz` and `dask-graphql status` show the state of the system."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any, cast

import httpx
import pytest

from cluster.api_node import cluster_snapshot
from cluster.api_node.cluster_snapshot import MEMORY_STEP_BYTES, ClusterSnapshot, SnapshotWatchers
from cluster.api_node.reloads import Reloads
from cluster.api_node.schedulers import Schedulers
from cluster.errors import StoreUnavailable, TooManySubscriptions
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from dask_graphql.client.status_command import render
from tests.system import Socket, System

WATCH = "subscription { clusterChanges { schedulerConnected workers { name } tasks { state count } } }"


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with System(tmp_path_factory.mktemp("watched"), max_workers=1) as running:
        yield running


def seen(succeeded: int = 0, memory_bytes: int = 0, reason: str = "") -> ClusterSnapshot:
    worker = {"name": "w", "threads": 1, "processing": 0, "memory_bytes": memory_bytes, "memory_limit_bytes": 0}
    tasks = {**dict.fromkeys(TaskState, 0), TaskState.SUCCEEDED: succeeded}
    return ClusterSnapshot({"workers": [worker]}, {"wanted": 1, "at": time.time(), "reason": reason}, tasks)


class Scene:
    """A cluster that the test changes, and how often it was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = seen()
        self.reads = self.counted = self.own = 0
        monkeypatch.setattr(cluster_snapshot, "read_snapshot", self.read_snapshot)
        monkeypatch.setattr(cluster_snapshot, "POLL_SECONDS", 0.01)

    async def read_snapshot(self, *_: Any) -> ClusterSnapshot:
        self.reads += 1
        return self.now

    async def counts(self, tenant: str) -> dict[TaskState, int]:
        """As the store counts a tenant's tasks."""
        self.counted += 1
        if self.counted == 1:
            raise StoreUnavailable("not yet")
        return {**dict.fromkeys(TaskState, 0), TaskState.SUCCEEDED: self.own}

    def watchers(self, limit: int = 100) -> SnapshotWatchers:
        return SnapshotWatchers(cast(Store, self), cast(Schedulers, None), limit, Reloads())

    async def wait_for_reads(self, count: int) -> None:
        """Waits for this many further reads."""
        until = self.reads + count
        while self.reads < until:
            await asyncio.sleep(0.005)


async def test_a_node_reads_the_cluster_once_per_interval_however_many_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    snapshots = scene.watchers()
    streams = [snapshots.changes() for _ in range(50)]
    assert [await anext(stream) for stream in streams] == [scene.now] * 50
    assert scene.reads < 5
    for stream in streams:
        await stream.aclose()
    assert snapshots.watchers == 0


async def test_a_change_is_sent_once_and_constant_fluctuations_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    async with aclosing(scene.watchers().changes()) as stream:
        await anext(stream)
        following = asyncio.ensure_future(anext(stream))
        scene.now = seen(memory_bytes=MEMORY_STEP_BYTES - 1, reason="2.1 s of work")
        await scene.wait_for_reads(3)
        assert not following.done()
        scene.now = seen(succeeded=1)
        assert (await following).tasks[TaskState.SUCCEEDED] == 1


async def test_a_tenant_is_told_of_its_own_tasks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.now, scene.own = seen(succeeded=50), 2
    snapshots = scene.watchers()
    streams = [snapshots.changes("acme") for _ in range(5)]
    first = await asyncio.gather(*(anext(stream) for stream in streams))
    assert [snapshot.tasks[TaskState.SUCCEEDED] for snapshot in first] == [2] * 5
    assert scene.counted == 2, "once for all watchers of a tenant, after a failure that is not told"
    following = [asyncio.ensure_future(anext(stream)) for stream in streams]
    scene.now = seen(succeeded=51)
    await scene.wait_for_reads(3)
    assert not any(item.done() for item in following)
    scene.now, scene.own = seen(succeeded=52), 3
    assert [(await item).tasks[TaskState.SUCCEEDED] for item in following] == [3] * 5
    for stream in streams:
        await stream.aclose()


async def test_a_new_watcher_gets_no_old_snapshot_and_without_watchers_nothing_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    snapshots = scene.watchers()
    async with aclosing(snapshots.changes()) as stream:
        await anext(stream)
    reads = scene.reads
    await asyncio.sleep(0.1)
    assert scene.reads == reads
    scene.now = seen(succeeded=7)
    async with aclosing(snapshots.changes()) as stream:
        assert (await anext(stream)).tasks[TaskState.SUCCEEDED] == 7


async def test_watchers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = Scene(monkeypatch).watchers(limit=1)
    async with aclosing(snapshots.changes()) as first:
        await anext(first)
        with pytest.raises(TooManySubscriptions):
            await anext(snapshots.changes())


async def test_a_subscriber_sees_the_cluster_at_once_and_then_its_changes(system: System) -> None:
    def succeeded(snapshot: dict[str, Any]) -> int:
        return sum(row["count"] for row in snapshot["tasks"] if row["state"] == "SUCCEEDED")

    await system.ready()  # an earlier test may have ended a worker process
    async with Socket.open(system.url) as socket, aclosing(socket.subscribe(WATCH)) as items:  # type: ignore[type-var]
        first = (await anext(items))["clusterChanges"]
        assert first["schedulerConnected"]
        assert len(first["workers"]) == 2
        task_id = (await system.ask("mutation { submitFibonacci(n: 7731) { taskId } }"))["submitFibonacci"]["taskId"]
        await system.result(task_id)
        async with asyncio.timeout(10):
            while succeeded((await anext(items))["clusterChanges"]) <= succeeded(first):
                pass


async def status(system: System, *options: str) -> tuple[int, str, str]:
    """Runs the command; returns its exit code, output and error output."""
    # The command also accepts the origin alone.
    origin = system.url.removesuffix("/graphql")
    command = [sys.executable, "-m", "dask_graphql", "status", "--url", origin, *options]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


@pytest.mark.slow
async def test_the_command_status_shows_the_cluster_once(watched: System) -> None:
    code, out, error = await status(watched, "--once")
    assert (code, error) == (0, "")
    for words in ("scheduler", "connected", "1 workers", "wanted (limits 1 to 1)", "worker-"):
        assert words in out


async def test_the_command_status_writes_json(watched: System) -> None:
    code, out, _ = await status(watched, "--once", "--json")
    assert code == 0
    assert json.loads(out)["fleet"]["maxWorkers"] == 1


async def test_the_command_status_reports_an_api_that_does_not_answer(watched: System) -> None:
    command = [sys.executable, "-m", "dask_graphql", "status", "--once", "--url", "http://127.0.0.1:1/graphql"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, error = await process.communicate()
    assert process.returncode == 2
    assert b"did not respond" in error
    assert b"Traceback" not in error


def test_the_picture_says_that_the_api_is_away() -> None:
    from rich.console import Console

    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(render("http://x", None, "the api is away"))
    assert "the api is away" in console.export_text()


async def test_readyz_says_what_is_missing_and_since_when(broken: System) -> None:
    url = broken.url.replace("graphql", "readyz")
    async with httpx.AsyncClient() as client:
        ready = (await client.get(url)).json()
        assert (ready["ready"], ready["notReady"]) == (True, [])
        before = time.time()
        await broken.kill("scheduler")
        async with asyncio.timeout(20):
            while not (ready := (await client.get(url)).json())["notReady"]:
                await asyncio.sleep(0.05)
        [missing] = ready["notReady"]
        assert ready["ready"], "an api node accepts tasks without the scheduler"
        assert (missing["part"], missing["needed"]) == ("scheduler", False)
        assert datetime.fromisoformat(missing["since"]).timestamp() >= before - 1
        broken.redis.pause()
        try:
            async with asyncio.timeout(20):
                while len((answer := await client.get(url, timeout=10)).json()["notReady"]) < 2:
                    await asyncio.sleep(0.05)
        finally:
            broken.redis.resume()
        assert answer.status_code == 503
        assert answer.json()["notReady"][0]["part"] == "redis"
    await broken.start("scheduler")
    await broken.ready()
