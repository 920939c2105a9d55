"""What operators do: pause a task type, drain a worker, change a priority; and what they read: attempts, failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.api_node.cluster_snapshot import ClusterSnapshot
from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.drains import requested_drains
from cluster.store.versions import read_versions, record_versions
from cluster.task_types.task_id import task_id as derive_id
from graphql_api.auth.callers import Scope
from graphql_api.schema import operator_mutations
from tests.guarded import USER, Guarded, guarded_node
from tests.system import System

SUBMIT = "mutation($n: Int!, $p: Int! = 0) { submitFibonacci(n: $n, options: {priority: $p}) { taskId } }"
PRIORITY = "mutation($id: ID!, $p: Int!) { setPriority(taskId: $id, priority: $p) { state attempt } }"


@pytest.fixture
async def guarded(settings: Settings, store: Store) -> AsyncIterator[Guarded]:
    async with guarded_node(settings, store) as made:
        await made.make_key("anna")
        await made.make_key("eve", tenant="evil")
        yield made


async def submit(guarded: Guarded, key: str, n: int, p: int = 0) -> str:
    task_id: str = (await guarded.http(key, SUBMIT, {"n": n, "p": p}))["data"]["submitFibonacci"]["taskId"]
    return task_id


async def ask(guarded: Guarded, key: str, query: str, **variables: Any) -> Any:
    body = await guarded.http(key, query, variables)
    if "errors" in body:
        return body["errors"][0]["extensions"]
    [found] = body["data"].values()
    return found


async def test_an_admin_pauses_and_resumes_a_task_type(guarded: Guarded) -> None:
    paused = "{ taskTypes { name paused } }"
    pause = 'mutation { pauseTaskType(name: "fibonacci") }'
    resume = 'mutation { resumeTaskType(name: "fibonacci") }'
    assert (await ask(guarded, "anna", pause))["scope"] == (await ask(guarded, "anna", resume))["scope"] == "admin"
    assert [await ask(guarded, "admin", pause) for _ in range(2)] == [True, False]
    assert {"name": "fibonacci", "paused": True} in await ask(guarded, "anna", paused)
    assert [await ask(guarded, "admin", resume) for _ in range(2)] == [True, False]
    assert {"name": "fibonacci", "paused": False} in await ask(guarded, "anna", paused)
    assert (await ask(guarded, "admin", 'mutation { pauseTaskType(name: "No Name") }'))["code"] == "BAD_INPUT"
    for action in ("TYPE_PAUSED", "TYPE_RESUMED"):
        [entry] = await guarded.lines(1, action=action)
        assert (entry["caller"], entry["name"], entry["count"]) == ("admin", "fibonacci", 1)


async def test_an_admin_drains_a_worker_that_a_controller_can_stop(
    guarded: Guarded, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = "mutation($name: String!) { drainWorker(name: $name) }"
    assert (await ask(guarded, "anna", drain, name="w1"))["scope"] == "admin"
    assert (await ask(guarded, "admin", drain, name="w1")) == {"code": "BAD_INPUT", "argument": "name"}

    async def seen(*_: object) -> ClusterSnapshot:
        return ClusterSnapshot({"workers": [{"name": "w1"}], "starting": [{"name": "w2"}]}, {"at": 0}, {}, None)

    monkeypatch.setattr(operator_mutations, "read_snapshot", seen)
    assert (await ask(guarded, "admin", drain, name="w3"))["code"] == "BAD_INPUT"
    assert [await ask(guarded, "admin", drain, name=name) for name in ("w1", "w2")] == ["w1", "w2"]
    assert await requested_drains(store) == {"w1": "admin", "w2": "admin"}
    codes = {entry["code"] for entry in await guarded.lines(2, action="WORKER_DRAINED")}
    assert codes == {"w1", "w2"}


async def test_a_priority_is_changed_of_a_task_that_waits(guarded: Guarded, store: Store) -> None:
    task_id = await submit(guarded, "anna", 3, 5)
    for _ in range(2):
        assert (await ask(guarded, "anna", PRIORITY, id=task_id, p=-7))["state"] == "QUEUED"
    record = await store.read(task_id)
    assert record is not None
    assert record.priority == -7
    assert (await ask(guarded, "anna", PRIORITY, id=task_id, p=101))["argument"] == "priority"
    await guarded.make_key("plain", USER - {Scope.PRIORITY})
    assert (await ask(guarded, "plain", PRIORITY, id=task_id, p=1))["scope"] == "priority"
    assert (await ask(guarded, "eve", PRIORITY, id=task_id, p=1))["code"] == "FORBIDDEN"
    assert (await ask(guarded, "anna", PRIORITY, id="0" * 32, p=1))["code"] == "TASK_NOT_FOUND"
    await submit(guarded, "eve", 3, -50)
    assert (await ask(guarded, "anna", PRIORITY, id=task_id, p=1))["code"] == "FORBIDDEN"
    assert (await ask(guarded, "admin", PRIORITY, id=task_id, p=1))["state"] == "QUEUED"
    await store.run(store.calls.cancel(task_id))
    assert (await ask(guarded, "admin", PRIORITY, id=task_id, p=9))["state"] == "CANCELLED"
    record = await store.read(task_id)
    assert record is not None
    assert record.priority == 1
    entries = await guarded.lines(3, action="PRIORITY_SET", taskId=task_id)
    assert {(entry["caller"], entry["code"]) for entry in entries} == {("anna", "-7"), ("admin", "1")}


async def test_attempts_and_failures_are_read(guarded: Guarded, store: Store) -> None:
    ids = [await submit(guarded, "anna", n) for n in range(3)]
    for task_id in ids[:2]:
        await store.run(store.calls.start(task_id, 1, "w-1"))
        await store.run(store.calls.fail(task_id, 1, error("TASK_FAILED", f"no {task_id}")))
    shown = "query($id: ID!) { task(taskId: $id) { attempts { number worker startedAt endedAt end reason } } }"
    [attempt] = (await ask(guarded, "anna", shown, id=ids[0]))["attempts"]
    assert (attempt["number"], attempt["worker"], attempt["end"]) == (1, "w-1", "FAILED")
    assert attempt["startedAt"] <= attempt["endedAt"]
    assert attempt["reason"]
    assert (await ask(guarded, "anna", shown, id=ids[2]))["attempts"] == []
    failures = "query($w: TaskFilter, $f: Int) { failures(where: $w, first: $f) { name code message count taskIds } }"
    [group] = await ask(guarded, "anna", failures)
    assert (group["name"], group["code"], group["count"], set(group["taskIds"])) == (
        "fibonacci", "TASK_FAILED", 2, set(ids[:2]),
    )  # fmt: skip
    assert await ask(guarded, "anna", failures, w={"tag": "none"}) == []
    assert (await ask(guarded, "anna", failures, f=101))["argument"] == "first"
    await guarded.make_key("writer", frozenset({Scope.SUBMIT}))
    assert (await ask(guarded, "writer", failures))["scope"] == "read"


async def test_a_task_names_those_of_the_same_input_under_other_versions(settings: Settings, store: Store) -> None:
    async with guarded_node(settings, store, tenants="isolated") as guarded:
        await guarded.make_key("anna")
        await guarded.make_key("eve", tenant="evil")
        mine = await submit(guarded, "anna", 3)
        salt = (await ask(guarded, "anna", "{ caller { taskIdSalt } }"))["taskIdSalt"]
        others = [derive_id("fibonacci", version, b'{"n":3}', salt) for version in ("0", "0.5", "0.7")]
        for version, other in zip(("0", "0.5"), others, strict=False):
            await store.run(store.calls.submit(other, "fibonacci", version, b'{"n":3}', tenant="acme"))
        for version in ("0", "0.5", "0.7"):
            await record_versions(store, {"fibonacci": version})
            await asyncio.sleep(0.002)
        shown = "query($id: ID!) { task(taskId: $id) { retries otherVersions { taskId version } } }"
        found = await ask(guarded, "anna", shown, id=mine)
        assert found["retries"] == 0
        older = [{"taskId": others[1], "version": "0.5"}, {"taskId": others[0], "version": "0"}]
        assert found["otherVersions"] == older
        # This node notes its own version.
        async with asyncio.timeout(20):
            while len((await ask(guarded, "anna", shown, id=others[0]))["otherVersions"]) < 2:
                await asyncio.sleep(0.05)
        listed = await ask(guarded, "anna", "{ tasks { nodes { taskId otherVersions { version } } } }")
        [node] = [node for node in listed["nodes"] if node["taskId"] == mine]
        assert [each["version"] for each in node["otherVersions"]] == ["0.5", "0"]
        await guarded.make_key("root", frozenset({Scope.ADMIN}), "evil")
        assert (await ask(guarded, "root", shown, id=mine))["otherVersions"] == [], "its ids have another salt"
        assert await ask(guarded, "eve", shown, id=mine) is None


async def test_the_newest_twenty_versions_are_remembered(store: Store) -> None:
    for number in range(25):
        await record_versions(store, {"etl": str(number)})
        await asyncio.sleep(0.002)
    assert await read_versions(store, "etl") == [str(number) for number in range(24, 4, -1)]
    assert await read_versions(store, "other") == []


@pytest.mark.slow
async def test_a_drained_worker_ends_what_it_runs_and_is_replaced(system: System, tmp_path: Path) -> None:
    start = "mutation($folder: String!) { submitSlow(folder: $folder, n: 1, seconds: 2.5) { taskId } }"
    task = (await system.ask(start, {"folder": str(tmp_path)}))["submitSlow"]["taskId"]
    shown = "query($id: ID!) { task(taskId: $id) { state worker } cluster { workers { name state } } }"
    async with asyncio.timeout(30):
        while (found := await system.ask(shown, {"id": task}))["task"]["state"] != "RUNNING":
            await asyncio.sleep(0.05)
    worker = found["task"]["worker"]
    drain = "mutation($name: String!) { drainWorker(name: $name) }"
    assert (await system.ask(drain, {"name": worker}))["drainWorker"] == worker
    ended = await system.result(task, "state attempt attempts { number worker end }")
    assert (ended["state"], ended["attempt"]) == ("SUCCEEDED", 1)
    assert ended["attempts"] == [{"number": 1, "worker": worker, "end": "SUCCEEDED"}]
    async with asyncio.timeout(60):
        while True:
            workers = (await system.ask(shown, {"id": task}))["cluster"]["workers"]
            others = [each for each in workers if each["state"] == "RUNNING"]
            if others and worker not in [each["name"] for each in workers]:
                break
            await asyncio.sleep(0.1)
    decisions = (await system.ask("{ cluster { fleet { decisions { reason } } } }"))["cluster"]["fleet"]["decisions"]
    assert any(worker in each["reason"] for each in decisions)
