"""The guarantees for stops, cancellation, timeouts and losses, each on real processes."""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import pytest
from click.testing import CliRunner
from websockets.asyncio.client import connect

from cluster.api_node.dispatcher import Dispatcher
from cluster.api_node.recovery import Recoverer
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.task_types.registry import load_registry
from dask_graphql import cli
from tests.system import TASKS, System
from tests.whole_system.test_contract import appears, run, submit

ERROR = "error { code message type traceback }"
KINDS = load_registry([TASKS])


@pytest.fixture(scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Two workers of two threads and little memory, two api nodes, tracebacks shown."""
    settings: dict[str, Any] = {
        "min_workers": 0, "worker_threads": 2, "worker_memory_bytes": 700_000_000, "expose_tracebacks": True,
    }  # fmt: skip
    system = System(tmp_path_factory.mktemp("fleet"), api_nodes=2, **settings)
    system.redis.start()
    for role, node in (("scheduler", 0), ("api", 0), ("api", 1), ("worker", 0), ("worker", 1)):
        await system.start(role, node)
    system.settings = replace(system.settings, min_workers=2)
    await system.ready()
    yield system
    await system.__aexit__()


async def records(system: System, task_ids: list[str], fields: str = "state attempt") -> list[dict[str, Any]]:
    return await asyncio.gather(*(system.result(task_id, fields) for task_id in task_ids))


@pytest.mark.slow
async def test_a_limit_of_one_holds_and_a_killed_worker_gives_its_slot_back(fleet: System, tmp_path: Path) -> None:
    inputs = [{"folder": str(tmp_path), "n": n, "dies": n == 1} for n in range(4)]
    query = "mutation($i: [OneAtATimeInput!]!) { submitOneAtATimeMany(inputs: $i) { taskId } }"
    submitted = (await fleet.ask(query, {"i": inputs}))["submitOneAtATimeMany"]
    found = await records(fleet, [item["taskId"] for item in submitted], "state")
    assert {item["state"] for item in found} == {"SUCCEEDED"}
    turns = (tmp_path / "turns").read_text().split("\n")[:-1]
    assert turns.count("begin 1") == 2
    turns.remove("begin 1")
    assert [line.replace("begin", "end") for line in turns[::2]] == turns[1::2]
    assert len(turns) == 8
    # The killed worker serves again: the other tests of this file need both.
    await fleet.ready()


async def test_an_account_runs_no_more_tasks_at_once_than_its_policy_allows(fleet: System, tmp_path: Path) -> None:
    async def command(*words: str) -> None:
        done = await asyncio.to_thread(CliRunner(env=fleet.settings.environment()).invoke, cli.command, words)
        assert done.exit_code == 0, done.output

    async def known(ceiling: int | None) -> None:
        async with asyncio.timeout(10):
            for node in range(2):
                while (await fleet.ask("{ usage { maxRunning } }", node=node))["usage"]["maxRunning"] != ceiling:
                    await asyncio.sleep(0.01)

    await command("tenants", "set", "address:127.0.0.1", "--max-running", "2")
    await known(2)
    query = "mutation($i: [SlowInput!]!) { submitSlowMany(inputs: $i) { taskId } }"
    ids: list[str] = []
    for node in range(2):
        inputs = [{"folder": str(tmp_path), "n": 10 * node + n, "seconds": 0.1} for n in range(10)]
        ids += [item["taskId"] for item in (await fleet.ask(query, {"i": inputs}, node=node))["submitSlowMany"]]
    assert {item["state"] for item in await records(fleet, ids, "state")} == {"SUCCEEDED"}
    store = Store(fleet.settings)
    changes = [
        change
        for record in await store.read_many(ids)
        if record
        for change in ((record.started_at or 0, 1), (record.finished_at or 0, -1))
    ]
    await store.close()
    # The four threads of the fleet were free. (What ended and what began in the same millisecond did so in this order.)
    assert max(accumulate(change for _, change in sorted(changes))) == 2
    assert len(changes) == 2 * len(ids)
    await command("tenants", "remove", "address:127.0.0.1")
    await known(None)


async def test_a_traceback_is_shown_where_the_operator_allows_it(fleet: System) -> None:
    task_id = (await submit(fleet, 'submitFailing(message: "why")'))["taskId"]
    error = (await fleet.result(task_id, ERROR))["error"]
    assert error["traceback"].startswith("Traceback")
    assert "raise ValueError(message)" in error["traceback"]


async def test_by_default_a_traceback_is_not_kept(system: System) -> None:
    task_id = (await submit(system, 'submitFailing(message: "why not")'))["taskId"]
    assert (await system.result(task_id, ERROR))["error"]["traceback"] is None


async def test_a_task_past_its_limit_takes_its_process_and_its_neighbours_run_again_uncharged(
    fleet: System, tmp_path: Path
) -> None:
    neighbours = [
        (await submit(fleet, f'submitSlow(folder: "{tmp_path}", n: {n}, seconds: 2.5)'))["taskId"] for n in range(3)
    ]
    culprit = (await submit(fleet, "submitEndless(n: 7)"))["taskId"]
    assert (await fleet.result(culprit, ERROR))["error"]["code"] == "TIMEOUT"
    ended = await records(fleet, neighbours, "state attempt")
    assert {item["state"] for item in ended} == {"SUCCEEDED"}
    async with asyncio.timeout(5):
        store = Store(fleet.settings)
        assert [record.lost for record in await store.read_many(neighbours) if record] == [0, 0, 0]
        await store.close()


@pytest.mark.slow
async def test_a_cancelled_task_that_never_yields_is_ended_by_force_and_its_worker_serves_again(
    fleet: System, tmp_path: Path
) -> None:
    ids = [(await submit(fleet, f'submitSpinning(folder: "{tmp_path}", n: {n})'))["taskId"] for n in range(4)]
    waiting = asyncio.ensure_future(records(fleet, ids, "state"))
    try:
        for n in range(4):
            await appears(tmp_path / f"begun-{n}")
    finally:
        # Otherwise they would hold their threads for ever, and the next tests would fail for want of them.
        begun = time.monotonic()
        for task_id in ids:
            await fleet.ask("mutation($id: ID!) { cancelTask(taskId: $id) { state } }", {"id": task_id}, node=1)
    assert {item["state"] for item in await waiting} == {"CANCELLED"}
    assert time.monotonic() - begun < 10
    # All four threads of the fleet were busy, so this runs only when they are free again.
    task_id = (await submit(fleet, "submitFibonacci(n: 321)"))["taskId"]
    async with asyncio.timeout(20):
        assert (await fleet.result(task_id))["state"] == "SUCCEEDED"


@pytest.mark.slow
async def test_a_task_that_takes_too_much_memory_fails_and_says_so(fleet: System) -> None:
    task_id = (await submit(fleet, "submitHungry(megabytes: 2000)"))["taskId"]
    async with asyncio.timeout(90):
        got = await fleet.result(task_id, f"state attempt {ERROR}")
    assert (got["state"], got["attempt"], got["error"]["code"]) == ("FAILED", 3, "OUT_OF_MEMORY")
    for words in ("took more memory than its limit of 700,000,000 bytes", "killed at 95% of it", "WORKER_MEMORY_BYTES"):
        assert words in got["error"]["message"]


async def test_a_task_that_the_workers_do_not_have_fails_naming_the_module_and_the_setting(fleet: System) -> None:
    """A worker that is older than the api: its registry lacks the name."""
    store = Store(fleet.settings)
    task_id = "0123456789abcdef0123456789abcdef"
    await store.run(store.calls.submit(task_id, "unheard_of", "1", b"{}"))
    await store.run(store.calls.release(task_id, 1))
    await store.close()
    got = await fleet.result(task_id, ERROR)
    assert got["error"]["code"] == "NOT_INSTALLED"
    assert "DASK_GRAPHQL_TASK_MODULES" in got["error"]["message"]
    assert TASKS in got["error"]["message"]


@pytest.mark.slow
async def test_a_worker_that_is_not_ours_is_named_in_the_error_of_what_it_cannot_run(tmp_path: Path) -> None:
    system = System(tmp_path, min_workers=0)
    system.redis.start()
    for role in ("scheduler", "api"):
        await system.start(role)
    command = [sys.executable, "-m", "distributed.cli.dask_worker", system.settings.scheduler, "--no-dashboard"]
    stranger = await asyncio.create_subprocess_exec(
        *command, "--nthreads=1", f"--local-directory={tmp_path}", stdout=DEVNULL, stderr=DEVNULL
    )
    system.settings = replace(system.settings, min_workers=1)
    try:
        await system.ready()
        got = await run(system, "submitFibonacci(n: 12)", ERROR)
    finally:
        stranger.terminate()
        await stranger.wait()
        await system.__aexit__()
    assert got["error"]["code"] == "NOT_RUN"
    assert "RuntimeError: this Dask worker was not started by `dask-graphql worker`" in got["error"]["message"]


@pytest.mark.slow
async def test_a_delayed_task_is_dispatched_though_the_node_that_took_it_is_gone(fleet: System) -> None:
    due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3)
    call = f'submitFibonacci(n: 654, options: {{notBefore: "{due.isoformat()}", priority: -3}})'
    task_id = (await submit(fleet, call, node=1))["taskId"]
    await fleet.kill("api1")
    got = await fleet.result(task_id, "state startedAt")
    assert got["state"] == "SUCCEEDED"
    assert datetime.datetime.fromisoformat(got["startedAt"]) >= due - datetime.timedelta(milliseconds=2)
    await fleet.start("api", 1)
    await fleet.ready()


@pytest.mark.slow
async def test_a_task_whose_node_died_between_accepting_and_dispatching_runs_within_the_sweep(fleet: System) -> None:
    """Such a node only ran the script, so no process knows of the loss."""
    bound = KINDS["add"].bind({"a": 2, "b": 3})
    store = Store(fleet.settings)
    submitted = await store.run(store.calls.submit(bound.task_id, "add", "1", bound.canonical_input))
    await store.close()
    assert submitted.dispatch
    begun = time.monotonic()
    got = await fleet.result(bound.task_id, "state attempt result { ... on AddResult { value } }")
    assert (got["state"], got["attempt"], got["result"]) == ("SUCCEEDED", 2, {"value": "5"})
    assert time.monotonic() - begun < 20


@pytest.mark.slow
async def test_one_recoverer_is_active_and_another_takes_over_within_ten_seconds(
    settings: Settings, store: Store
) -> None:
    def candidate(name: str) -> Recoverer:
        scheduler = SchedulerClient(settings)
        return Recoverer(store, scheduler, Dispatcher(store, scheduler), name)

    first, second = candidate("first"), candidate("second")
    first.start()
    async with asyncio.timeout(5):
        while not first.active:
            await asyncio.sleep(0.01)
    second.start()
    for _ in range(200):
        await asyncio.sleep(0.005)
        assert not second.active
    # It is killed, so its lease must expire.
    await first.lease.loop.close()
    begun = time.monotonic()
    async with asyncio.timeout(15):
        while not second.active:
            await asyncio.sleep(0.05)
    assert time.monotonic() - begun < 10
    # A graceful stop releases the lease at once.
    third = candidate("third")
    third.start()
    await second.close()
    begun = time.monotonic()
    async with asyncio.timeout(5):
        while not third.active:
            await asyncio.sleep(0.01)
    assert time.monotonic() - begun < 10
    await third.close()


async def test_a_stopping_api_node_lets_requests_end_and_closes_sockets_with_a_code_that_clients_retry(
    fleet: System,
) -> None:
    address = fleet.url_of(1).replace("http", "ws", 1)
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        await socket.send('{"type": "connection_init"}')
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        query = f'subscription {{ taskResult(taskId: "{"e" * 32}") {{ state }} }}'
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        child = fleet.children["api1"]
        begun = time.monotonic()
        child.process.terminate()
        await socket.wait_closed()
        assert socket.close_code == 1012
        async with asyncio.timeout(10):
            await child.process.wait()
        assert time.monotonic() - begun < 10
    await fleet.start("api", 1)
    await fleet.ready()


@pytest.mark.slow
async def test_a_stopping_worker_ends_what_it_runs_and_hands_back_what_it_has_not_begun(
    fleet: System, tmp_path: Path
) -> None:
    calls = [f'submitSlow(folder: "{tmp_path}", n: {n}, seconds: 2.0)' for n in range(10)]
    ids = [(await submit(fleet, call))["taskId"] for call in calls]
    for n in range(2):
        await appears(tmp_path / f"runs-{n}")
    child = fleet.children["worker0"]
    child.process.terminate()
    async with asyncio.timeout(30):
        await child.process.wait()
        ended = await records(fleet, ids)
    assert {item["state"] for item in ended} == {"SUCCEEDED"}
    # No attempt that had started was discarded.
    assert [(tmp_path / f"runs-{n}").read_bytes() for n in range(10)] == [b"x"] * 10
    await fleet.start("worker", 0)
    await fleet.ready()
