"""What pages about the cluster and the task types ask for: history, statistics, problems, cost, queues, histograms."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest

from cluster.api_node.history_reader import HistoryReader
from cluster.api_node.prices import Prices
from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from tests.api_node import api_node
from tests.guarded import Guarded, guarded_node
from tests.system import System

PAGE: Final = """{
  cluster {
    oldestWaitingSeconds problems { code message advice since name worker }
    cost { perHour today yesterday thisMonth monthAtThisRate byType { name month } }
    queueByTenant { tenant waiting running }
    history(seconds: 120) { from to stepSeconds
      points { at waiting workers succeeded failed cancelled waitP95 runP99 } }
  }
  taskTypes { name open stats(seconds: 600) {
    runs succeeded failed cancelled runP50 runP95 waitP50 waitP95 errors { code count }
    history(points: 2) { at failed runP50 waiting } } }
  tasks { totalCount histogram(buckets: 3) { from to count failed } }
}"""


@pytest.fixture
async def guarded(settings: Settings, store: Store) -> AsyncIterator[Guarded]:
    async with guarded_node(settings, store, tenants="isolated") as made:
        for name, tenant in (("anna", "acme"), ("eve", "evil")):
            await made.make_key(name, tenant=tenant)
        yield made


async def end(store: Store, tenant: str, *, succeed: int = 0, fail: int = 0, wait: int = 0) -> None:
    calls = store.calls
    for i in range(succeed + fail + wait):
        task_id = uuid.uuid4().hex
        await store.run(calls.submit(task_id, "fibonacci", "1", b'{"n":1}', tenant=tenant, account=tenant))
        if i < succeed + fail:
            await store.run(calls.start(task_id, 1, "w"))
        if i < succeed:
            await store.run(calls.finish(task_id, 1, b"1"))
        elif i < succeed + fail:
            await store.run(calls.fail(task_id, 1, error("TASK_FAILED", "no")))


async def page(guarded: Guarded, key: str, query: str = PAGE) -> dict[str, Any]:
    body = await guarded.http(key, query, {})
    assert "errors" not in body, body
    return body["data"]  # type: ignore[no-any-return]


def numbers(data: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of a page."""
    points = data["cluster"]["history"]["points"]
    [stats] = [each["stats"] for each in data["taskTypes"] if each["name"] == "fibonacci"]
    return {
        "history": [sum(point[name] for point in points) for name in ("succeeded", "failed", "cancelled")],
        "stats": [stats[name] for name in ("runs", "succeeded", "failed", "cancelled")],
        "points": sum(point["failed"] for point in stats["history"]),
        "open": sum(each["open"] for each in data["taskTypes"] if each["name"] == "fibonacci"),
        "histogram": [sum(each[name] for each in data["tasks"]["histogram"]) for name in ("count", "failed")],
    }


async def test_each_tenant_sees_its_own_numbers_and_an_admin_those_of_all(guarded: Guarded, store: Store) -> None:
    await end(store, "acme", succeed=2, fail=6, wait=3)
    await end(store, "evil", succeed=1, wait=1)
    # What the controller has published, with a cost.
    await store.command("SET", store.calls.fleet_key, orjson.dumps({"cost_per_hour": 0.5, "max_workers": 2}))
    today = (datetime.datetime.now(datetime.UTC).date() - datetime.date(1970, 1, 1)).days
    await store.command("HSET", store.calls.costs_key, today, "2", "at", 1, "rate", "0.5")
    anna, eve, admin = [await page(guarded, name) for name in ("anna", "eve", "admin")]
    assert numbers(anna) == {
        "history": [2, 6, 0], "stats": [8, 2, 6, 0], "points": 6, "open": 3, "histogram": [11, 6],
    }  # fmt: skip
    assert numbers(eve) == {"history": [1, 0, 0], "stats": [1, 1, 0, 0], "points": 0, "open": 1, "histogram": [2, 0]}
    assert numbers(admin)["history"] == [3, 6, 0]
    assert numbers(admin)["open"] == 4
    assert admin["cluster"]["queueByTenant"] == [
        {"tenant": "acme", "waiting": 3, "running": 0},
        {"tenant": "evil", "waiting": 1, "running": 0},
    ]
    assert anna["cluster"]["queueByTenant"] is None
    [stats] = [each["stats"] for each in anna["taskTypes"] if each["name"] == "fibonacci"]
    assert stats["errors"] == [{"code": "TASK_FAILED", "count": 6}]
    assert 0 <= stats["runP50"] <= stats["runP95"] < 5
    assert anna["cluster"]["oldestWaitingSeconds"] >= 0
    codes = {name: {each["code"] for each in data["cluster"]["problems"]} for name, data in
             (("anna", anna), ("eve", eve))}  # fmt: skip
    assert "TASK_TYPE_FAILS" in codes["anna"] - codes["eve"]
    assert "SCHEDULER_UNAVAILABLE" in codes["eve"]
    for data in (anna, admin):
        cost = data["cluster"]["cost"]
        assert (cost["perHour"], cost["today"], cost["thisMonth"]) == (0.5, 2.0, 2.0)
        assert cost["monthAtThisRate"] > 2


ESTIMATE: Final = """query($n: Int!, $runKey: String) { estimate(name: "fibonacci", input: {n: $n}, runKey: $runKey) {
  taskId outcome state runs runP50 runP95 waitP50 dollarsP50 dollarsP95 basis } }"""


async def test_an_estimate_says_what_a_submission_would_meet_and_cost(guarded: Guarded, store: Store) -> None:
    async def estimate(n: int, **variables: Any) -> dict[str, Any]:
        body = await guarded.http("anna", ESTIMATE.replace("$n: Int!, ", "").replace("$n", str(n)), variables)
        return body["data"]["estimate"]  # type: ignore[no-any-return]

    async def submit(n: int) -> str:
        body = await guarded.http("anna", f"mutation {{ submitFibonacci(n: {n}) {{ taskId }} }}", {})
        return body["data"]["submitFibonacci"]["taskId"]  # type: ignore[no-any-return]

    async def cost(task_id: str) -> dict[str, Any]:
        body = await guarded.http("anna", f'{{ task(taskId: "{task_id}") {{ cost startedAt finishedAt }} }}', {})
        return body["data"]["task"]  # type: ignore[no-any-return]

    ended = await submit(90)
    await store.run(store.calls.start(ended, 1, "w"))
    await store.run(store.calls.finish(ended, 1, b'{"n": 90}'))
    pools = [{"name": "default", "worker_cost_per_hour": 3.6}, {"name": "gpu", "worker_cost_per_hour": None}]
    await store.command("SET", store.calls.fleet_key, orjson.dumps({"pools": pools}))
    new = await estimate(91)
    assert (new["outcome"], new["state"], new["runs"]) == ("NEW", None, 1)
    assert new["dollarsP95"] == pytest.approx(new["runP95"] / 1000)
    assert new["basis"] == "1 run of fibonacci in the last 24 hours; a worker costs $3.6 an hour on demand."
    waiting = await submit(91)
    assert waiting == new["taskId"]
    assert (await estimate(91))["outcome"] == "JOINED"
    kept = await estimate(90)
    assert (kept["outcome"], kept["state"], kept["runP95"], kept["dollarsP95"]) == ("CACHED", "SUCCEEDED", 0, 0)
    assert (await estimate(90, runKey="again"))["outcome"] == "NEW"
    assert (await cost(waiting))["cost"] is None
    task = await cost(ended)
    seconds = datetime.datetime.fromisoformat(task["finishedAt"]) - datetime.datetime.fromisoformat(task["startedAt"])
    assert task["cost"] == pytest.approx(seconds.total_seconds() * 0.001)
    refused = await guarded.http("anna", '{ estimate(name: "fibonacci", input: {n: -1}) { outcome } }', {})
    assert refused["errors"][0]["extensions"]["code"] == "BAD_INPUT"


def test_without_a_price_nobody_knows_what_a_task_costs() -> None:
    shared = Prices.of({"pools": [{"name": "default", "worker_cost_per_hour": 2.0}, {"name": "old"}]}, threads=4)
    assert shared.dollars("default", 3600) == 0.5
    assert shared.basis("default") == "a worker costs $2 an hour on demand, shared by 4 tasks"
    assert (shared.dollars("old", 1), Prices.of(None, 1).dollars("default", 1)) == (None, None)
    assert shared.basis("old") == "the price of a worker is not known"


async def test_arguments_out_of_bounds_are_refused_and_a_refusal_costs_nothing_beside_it(guarded: Guarded) -> None:
    for query, argument in (
        ("{ cluster { history(seconds: 59) { to } } }", "seconds"),
        ("{ cluster { history(points: 0) { to } } }", "points"),
        ("{ cluster { history(points: 1441) { to } } }", "points"),
        ("{ taskTypes { stats(seconds: 86401) { runs } } }", "seconds"),
        ("{ taskTypes { stats { history(points: -1) { at } } } }", "points"),
        ("{ tasks { totalCount histogram(buckets: 121) { count } } }", "buckets"),
    ):
        body = await guarded.http("anna", query, {})
        assert body["errors"][0]["extensions"]["code"] == "BAD_INPUT"
        assert body["errors"][0]["extensions"]["argument"] == argument
        assert all(root is not None for root in body["data"].values())


async def test_task_types_are_described_by_name(guarded: Guarded) -> None:
    query = '{ some: taskTypes(names: ["fibonacci", "gone"]) { name } none: taskTypes(names: []) { name } }'
    body = await guarded.http("anna", query, {})
    assert body["data"] == {"some": [{"name": "fibonacci"}], "none": []}


async def test_a_task_token_is_for_no_statistics(guarded: Guarded) -> None:
    made = await guarded.http("anna", 'mutation { createTaskToken(tag: "x") { token } }', {})
    token = made["data"]["createTaskToken"]["token"]
    body = await guarded.http(token, "{ taskTypes { name open stats { runs } } tasks { histogram { count } } }", {})
    assert {error["extensions"]["code"] for error in body["errors"]} == {"FORBIDDEN"}
    assert all(each["stats"] is None and each["open"] is None for each in body["data"]["taskTypes"])
    assert body["data"]["tasks"]["histogram"] is None


async def test_a_histogram_counts_what_the_filter_wants_and_nothing_else(guarded: Guarded, store: Store) -> None:
    await end(store, "acme", succeed=3, fail=2, wait=1)
    ask = "{{ tasks(where: {{{}}}) {{ totalCount histogram(buckets: 5) {{ from to count failed }} }} }}"

    async def counted(where: str) -> tuple[int, int] | None:
        found = (await page(guarded, "anna", ask.format(where)))["tasks"]
        spans = found["histogram"]
        if spans is None:
            return None
        assert len(spans) in (0, 5)
        assert all(one["to"] == other["from"] for one, other in itertools.pairwise(spans))
        assert sum(span["count"] for span in spans) == found["totalCount"]
        return sum(span["count"] for span in spans), sum(span["failed"] for span in spans)

    assert await counted("") == (6, 2)
    assert await counted("states: [FAILED, QUEUED]") == (3, 2)
    assert await counted("states: [SUCCEEDED]") == (3, 0)
    assert await counted('names: ["fibonacci"]') == (6, 2)
    assert await counted('names: ["estimate_pi"]') == (0, 0)
    assert await counted('submittedBefore: "2020-01-01T00:00:00Z"') == (0, 0)
    assert await counted('submittedAfter: "2020-01-01T00:00:00Z", submittedBefore: "2100-01-01T00:00:00Z"') == (6, 2)
    assert await counted('tag: "x"') is None
    ended = "query { tasks(where: {finishedAfter: %s, finishedBefore: %s}) { nodes { state } } }"
    long_ago, in_future = '"2020-01-01T00:00:00Z"', '"2100-01-01T00:00:00Z"'
    assert len((await page(guarded, "anna", ended % (long_ago, in_future)))["tasks"]["nodes"]) == 5
    assert (await page(guarded, "anna", ended % (in_future, "null")))["tasks"]["nodes"] == []


async def test_all_task_types_of_a_query_are_read_together(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    fetch, many = HistoryReader._fetch, Store.commands

    # The keeper of the history reads it too, at times of its own.
    async def counted(self: HistoryReader, *arguments: Any) -> Any:
        reads.append("history")
        return await fetch(self, *arguments)

    async def counted_together(self: Store, commands: Any) -> Any:
        if all(command[0] == "ZCARD" and ":n:" in command[1] for command in commands):
            reads.append("open")
        return await many(self, commands)

    async with api_node(settings) as url, httpx.AsyncClient() as client:
        monkeypatch.setattr(HistoryReader, "_fetch", counted)
        monkeypatch.setattr(Store, "commands", counted_together)
        query = "{ taskTypes { name open stats { runs runP50 history { at } errors { code } } } }"
        for _ in range(2):
            body = (await client.post(url, json={"query": query})).json()
            assert "errors" not in body
            assert len(body["data"]["taskTypes"]) > 0
    assert sorted(reads) == ["history", "open"], "once for all types and both requests"


async def test_in_a_system_workers_tell_what_they_run_since_when_and_how_much_they_have_done(
    system: System, tmp_path: Path
) -> None:
    query = "{ cluster { workers { name since cpu finished runningTaskIds runs { taskId name startedAt progress } } } }"
    await system.ready()
    for n in range(4):
        await system.ask(f"mutation {{ submitFibonacci(n: {9_100 + n}) {{ taskId }} }}")
    submitted = await system.ask(
        "mutation($folder: String!) { submitSlow(folder: $folder, n: 1, seconds: 30) { taskId } }",
        {"folder": str(tmp_path)},
    )
    task_id = submitted["submitSlow"]["taskId"]
    found: dict[str, Any] = {}

    async def runs() -> bool:
        workers = (await system.ask(query))["cluster"]["workers"]
        found.update({worker["name"]: worker for worker in workers})
        return any(task_id in worker["runningTaskIds"] for worker in workers)

    try:
        async with asyncio.timeout(30):
            while not await runs():
                await asyncio.sleep(0.05)
        [worker] = [worker for worker in found.values() if task_id in worker["runningTaskIds"]]
        [run] = [run for run in worker["runs"] if run["taskId"] == task_id]
        assert run["name"] == "slow"
        assert run["startedAt"] > worker["since"]
        assert worker["cpu"] >= 0
        assert sum(worker["finished"] for worker in found.values()) > 0
    finally:
        await system.ask(f'mutation {{ cancelTask(taskId: "{task_id}") {{ state }} }}')


async def test_without_authentication_nobody_sees_the_queues_of_others(settings: Settings, store: Store) -> None:
    await end(store, "address:10.0.0.1", wait=1)
    async with api_node(settings) as url, httpx.AsyncClient() as client:
        body = (
            await client.post(url, json={"query": "{ cluster { queueByTenant { tenant } cost { today } } }"})
        ).json()
    assert body["data"]["cluster"] == {"queueByTenant": None, "cost": None}
