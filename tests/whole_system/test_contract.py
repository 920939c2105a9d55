"""The public contract over the wire: what a client sends and what it receives."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import gmpy2
import httpx
import pytest
import redis

from cluster.store.script_calls import Calls
from tests.system import Socket, System

FIB = "result { ... on FibonacciResult { n value digits bitLength sha256 } }"
ERROR = "error { code message type }"


async def code_of(system: System, query: str, variables: dict[str, Any] | None = None) -> str:
    answer = await system.post(query, variables)
    [error] = answer["errors"]
    assert "Traceback" not in error["message"]
    return str(error["extensions"]["code"])


async def submit(system: System, call: str, node: int = 0) -> dict[str, Any]:
    data = await system.ask(f"mutation {{ it: {call} {{ taskId outcome task {{ state attempt }} }} }}", node=node)
    return dict(data["it"])


async def run(system: System, call: str, fields: str) -> dict[str, Any]:
    return await system.result((await submit(system, call))["taskId"], fields)


async def test_fibonacci_90_comes_back_over_a_websocket(system: System) -> None:
    submission = await submit(system, "submitFibonacci(n: 90)")
    assert submission["taskId"] == "b9a7c7263c0332d12e52f09809754586"
    got = await system.result(submission["taskId"], f"state attempt {FIB} {ERROR}", node=1)
    assert got == {
        "taskId": "b9a7c7263c0332d12e52f09809754586",
        "state": "SUCCEEDED",
        "attempt": 1,
        "error": None,
        "result": {
            "n": 90,
            "value": "2880067194370816120",
            "digits": 19,
            "bitLength": 62,
            "sha256": hashlib.sha256(b"2880067194370816120").hexdigest(),
        },
    }


async def test_many_at_once_come_back_each_as_it_ends(system: System) -> None:
    numbers = [0, 1, 2, 47, 79, 1476, *range(3000, 3060)]
    data = await system.ask(
        "mutation($i: [FibonacciInput!]!) { submitFibonacciMany(inputs: $i) { taskId } }",
        {"i": [{"n": n} for n in numbers]},
    )
    ids = [item["taskId"] for item in data["submitFibonacciMany"]]
    query = f"subscription($ids: [ID!]!) {{ taskResults(taskIds: $ids) {{ taskId {FIB} }} }}"
    async with Socket.open(system.url) as socket:
        items = [item["taskResults"] async for item in socket.subscribe(query, {"ids": ids})]
    assert {item["taskId"]: item["result"]["value"] for item in items} == {
        task_id: str(gmpy2.fib(n)) for task_id, n in zip(ids, numbers, strict=True)
    }
    assert len(items) == len(numbers)


async def test_what_a_task_prints_and_logs_can_be_read_while_it_runs_and_afterwards(
    system: System, tmp_path: Path
) -> None:
    submission = await submit(system, f"submitTalking(folder: {json.dumps(str(tmp_path))}, n: 7)")
    task_id = submission["taskId"]
    query = """query($id: ID!, $after: Int) {
        task(taskId: $id) { logs(after: $after) { number attempt level text } all: logs(first: 1) { text } } }"""

    async def read(after: int) -> list[dict[str, Any]]:
        task = (await system.ask(query, {"id": task_id, "after": after}))["task"]
        assert task["all"] in ([], [{"text": "prints 7"}])
        return list(task["logs"])

    async with asyncio.timeout(20):
        while len(lines := await read(0)) < 2:
            await asyncio.sleep(0.05)
    assert lines == [
        {"number": 1, "attempt": 1, "level": "INFO", "text": "prints 7"},
        {"number": 2, "attempt": 1, "level": "WARNING", "text": "logs 7"},
    ]
    (tmp_path / "go").touch()
    await system.result(task_id, "state")
    assert await read(2) == [{"number": 3, "attempt": 1, "level": "INFO", "text": "the end"}]


async def test_events_tell_every_change_and_can_be_resumed(system: System) -> None:
    submission = await submit(system, "submitStepping(steps: 3)")
    query = (
        "subscription($id: ID!, $after: Int) { taskEvents(taskId: $id, afterSeq: $after) { seq kind state progress } }"
    )
    variables = {"id": submission["taskId"]}
    async with Socket.open(system.url) as socket:
        live = [item["taskEvents"] async for item in socket.subscribe(query, variables)]
        assert [event["seq"] for event in live] == list(range(1, len(live) + 1))
        assert [live[0]["kind"], live[1]["kind"], live[-1]["kind"]] == ["QUEUED", "STARTED", "SUCCEEDED"]
        told = [event["progress"] for event in live if event["kind"] == "PROGRESS"]
        assert told
        assert told == sorted(set(told))
        assert live[-1]["progress"] == 1
        rest = [item["taskEvents"] async for item in socket.subscribe(query, variables | {"after": 2})]
        assert rest == live[2:]


@pytest.mark.parametrize(
    ("call", "fields", "expected"),
    [
        ("submitEstimatePi(samples: 1000)", "... on Estimate { samples }", {"samples": 1000}),
        ('submitAdd(a: "123456789012345678901234567890")', "... on AddResult { value }",
         {"value": "123456789012345678901234567895"}),
        ("submitAdd(a: 123456789012345678901234567890, b: -1)", "... on AddResult { value }",
         {"value": "123456789012345678901234567889"}),
        ("submitTotalOfSquares(n: 20)", "... on TotalOfSquaresResult { total: value }", {"total": 2470}),
    ],
)  # fmt: skip
async def test_plain_async_and_graph_tasks_of_a_users_module(
    system: System, call: str, fields: str, expected: dict[str, Any]
) -> None:
    got = await run(system, call, f"state result {{ {fields} }} {ERROR}")
    assert (got["state"], got["result"]) == ("SUCCEEDED", expected)


async def test_a_graph_task_tells_the_share_of_its_graph_that_is_done(system: System) -> None:
    submission = await submit(system, "submitTotalOfSquares(n: 60)")
    await system.result(submission["taskId"])
    data = await system.ask("query($id: ID!) { task(taskId: $id) { progress } }", {"id": submission["taskId"]})
    assert data["task"]["progress"] == 1


async def test_enums_nested_models_and_blobs_travel_typed(system: System) -> None:
    got = await run(
        system,
        "submitReport(size: 3000000, colour: BLUE, points: [{x: 1}, {x: 2, y: 5}])",
        "result { ... on Report { colour points { x y } text { sizeBytes mediaType url } } }",
    )
    result = got["result"]
    assert (result["colour"], result["points"]) == ("BLUE", [{"x": 1, "y": 3}, {"x": 2, "y": 5}])
    assert (result["text"]["sizeBytes"], result["text"]["mediaType"]) == ("3000000", "text/plain")
    base = system.url_of(1).removesuffix("/graphql")
    async with httpx.AsyncClient() as client:
        whole = await client.get(base + result["text"]["url"])
        assert (whole.status_code, whole.content) == (200, b"r" * 3_000_000)
        part = await client.get(base + result["text"]["url"], headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, b"r" * 10)
        assert part.headers["content-range"] == "bytes 10-19/3000000"
        outside = await client.get(base + result["text"]["url"], headers={"Range": "bytes=3000000-"})
        assert outside.status_code == 416
        for path in (result["text"]["url"] + "x", "/blobs/../lock", "/blobs/nonsense"):
            assert (await client.get(base + path)).status_code == 404


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ('submitFailing(message: "no luck")', {"code": "TASK_FAILED", "message": "no luck", "type": "ValueError"}),
        ('submitRefusing(code: "TOO_BLUE")', {"code": "TOO_BLUE", "message": "as it was told", "type": "TaskError"}),
    ],
)
async def test_a_task_that_raises_ends_failed_with_what_it_raised(
    system: System, call: str, error: dict[str, Any]
) -> None:
    got = await run(system, call, f"state {ERROR}")
    assert (got["state"], got["error"]) == ("FAILED", error)


async def test_an_output_that_is_not_what_was_declared_fails(system: System) -> None:
    got = await run(system, "submitLying(n: 1)", f"state {ERROR}")
    assert (got["state"], got["error"]["code"]) == ("FAILED", "BAD_OUTPUT")


async def test_a_task_past_its_time_limit_fails_though_it_never_yields(system: System) -> None:
    got = await run(system, "submitEndless(n: 1)", f"state {ERROR}")
    assert (got["state"], got["error"]["code"]) == ("FAILED", "TIMEOUT")


async def test_a_failed_task_runs_again_and_a_done_one_only_when_asked(system: System) -> None:
    assert (await run(system, 'submitFailing(message: "again")', "state"))["state"] == "FAILED"
    again = await submit(system, 'submitFailing(message: "again")')
    assert (again["outcome"], again["task"]["attempt"]) == ("RECOMPUTED", 2)
    await run(system, "submitFibonacci(n: 77)", "state")
    assert (await submit(system, "submitFibonacci(n: 77)", node=1))["outcome"] == "CACHED"
    again = await submit(system, "submitFibonacci(n: 77, options: {recompute: true})")
    assert again["outcome"] == "RECOMPUTED"
    assert (await system.result(again["taskId"], "state attempt"))["attempt"] == 2


async def test_a_running_task_is_cancelled_and_its_function_hears_of_it(system: System, tmp_path: Path) -> None:
    call = f'submitGated(folder: "{tmp_path}", n: 1)'
    submission = await submit(system, call)
    await appears(tmp_path / "begun-1")
    waiting = asyncio.create_task(system.result(submission["taskId"], f"state {ERROR}", node=1))
    data = await system.ask("mutation($id: ID!) { cancelTask(taskId: $id) { state } }", {"id": submission["taskId"]})
    assert data["cancelTask"]["state"] == "CANCELLED"
    got = await waiting
    assert (got["state"], got["error"]["code"]) == ("CANCELLED", "CANCELLED")
    await appears(tmp_path / "stopped-1")
    (tmp_path / "gate-1").touch()
    assert (await submit(system, call))["outcome"] == "RECOMPUTED"
    assert (await system.result(submission["taskId"]))["state"] == "SUCCEEDED"


async def test_a_queued_task_is_cancelled_and_runs_when_it_is_submitted_again(system: System) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    submission = await submit(system, f'submitFibonacci(n: 1235, options: {{notBefore: "{later.isoformat()}"}})')
    assert (submission["outcome"], submission["task"]["state"]) == ("NEW", "QUEUED")
    waiting = asyncio.create_task(system.result(submission["taskId"], "state startedAt", node=1))
    cancel = "mutation($id: ID!) { cancelTask(taskId: $id) { state error { code } } }"
    for _ in range(2):  # what has ended stays as it is
        data = await system.ask(cancel, {"id": submission["taskId"]})
        assert data["cancelTask"] == {"state": "CANCELLED", "error": {"code": "CANCELLED"}}
    assert await waiting == {"taskId": submission["taskId"], "state": "CANCELLED", "startedAt": None}
    again = await submit(system, "submitFibonacci(n: 1235)")
    assert (again["taskId"], again["outcome"], again["task"]["attempt"]) == (submission["taskId"], "RECOMPUTED", 2)
    got = await system.result(again["taskId"], f"state {FIB} {ERROR}")
    assert (got["state"], got["error"], got["result"]["value"]) == ("SUCCEEDED", None, str(gmpy2.fib(1235)))


async def test_a_delayed_task_waits_for_its_time_and_then_runs(system: System) -> None:
    due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1.5)
    submission = await submit(
        system, f'submitFibonacci(n: 1234, options: {{notBefore: "{due.isoformat()}", priority: 5}})'
    )
    got = await system.result(submission["taskId"], "state startedAt attempt")
    assert (got["state"], got["attempt"]) == ("SUCCEEDED", 1)
    assert datetime.datetime.fromisoformat(got["startedAt"]) >= due - datetime.timedelta(milliseconds=2)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("mutation { submitFibonacci(n: -1) { taskId } }", "BAD_INPUT"),
        ("mutation { submitFibonacci(n: 1000000001) { taskId } }", "BAD_INPUT"),
        ("mutation { submitFibonacciMany(inputs: [{n: 1}, {n: -2}]) { taskId } }", "BAD_INPUT"),
        ("mutation { submitFibonacci(n: 1, options: {priority: 101}) { taskId } }", "BAD_INPUT"),
        ("mutation { submitFibonacci(n: 2147483648) { taskId } }", "GRAPHQL_VALIDATION_FAILED"),
        ("mutation { submitAdd(a: 1.5) { taskId } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ tasks", "GRAPHQL_PARSE_FAILED"),
        ('{ task(taskId: "nonsense") { state } }', "BAD_TASK_ID"),
        ('mutation { cancelTask(taskId: "00000000000000000000000000000000") { state } }', "TASK_NOT_FOUND"),
        ('{ tasks(after: "nonsense") { edges { cursor } } }', "BAD_CURSOR"),
        ("{ tasks(first: 101) { edges { cursor } } }", "BAD_INPUT"),
    ],
)
async def test_each_refusal_has_its_code(system: System, query: str, code: str) -> None:
    assert await code_of(system, query) == code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('subscription { taskResult(taskId: "nonsense") { state } }', "BAD_TASK_ID"),
        ('subscription { taskResults(taskIds: ["nonsense"]) { state } }', "BAD_TASK_ID"),
        ('subscription { taskEvents(taskId: "nonsense") { seq } }', "BAD_TASK_ID"),
        ("subscription { nonsense }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_a_refused_subscription_has_its_code_and_ends(system: System, query: str, code: str) -> None:
    async with Socket.open(system.url) as socket, asyncio.timeout(10):
        await socket.send({"id": "1", "type": "subscribe", "payload": {"query": query}})
        message = json.loads(await socket.connection.recv())
        # Refused before it starts: `error`, which ends it. Refused by a resolver: `next` with errors, then `complete`.
        errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
        assert [error["extensions"]["code"] for error in errors] == [code]
        if message["type"] == "next":
            assert json.loads(await socket.connection.recv()) == {"id": "1", "type": "complete"}


async def test_a_kept_result_that_no_longer_fits_says_what_to_do(system: System) -> None:
    task_id = (await submit(system, "submitFibonacci(n: 4322)"))["taskId"]
    await system.result(task_id)
    with redis.Redis.from_url(system.redis.url) as client:
        assert client.hset(Calls(system.settings).record_key(task_id), "result", '{"of": "another version"}') == 0
    query = f'{{ task(taskId: "{task_id}") {{ result {{ __typename }} }} }}'
    assert await code_of(system, query) == "RESULT_UNREADABLE"


async def test_an_internal_error_shows_an_id_and_the_log_has_the_rest(system: System) -> None:
    task_id = (await submit(system, "submitFibonacci(n: 4321)"))["taskId"]
    await system.result(task_id)
    with redis.Redis.from_url(system.redis.url) as client:
        assert client.hset(Calls(system.settings).record_key(task_id), "error", "what no worker writes") == 1
    answer = await system.post(f'{{ task(taskId: "{task_id}") {{ state error {{ code }} }} }}')
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["message"] == f"internal error, logged with the id {error['extensions']['id']}"
    assert set(error["extensions"]) == {"code", "id"}
    assert "Traceback" not in json.dumps(answer)
    assert answer["data"] == {"task": {"state": "SUCCEEDED", "error": None}}
    log = [json.loads(line) for line in (system.folder / "api0.log").read_text().splitlines()]
    [told] = [line for line in log if error["extensions"]["id"] in line["message"]]
    assert "JSONDecodeError" in told["exception"]


async def test_an_unknown_task_is_null(system: System) -> None:
    assert (await system.ask(f'{{ task(taskId: "{uuid.uuid4().hex}") {{ state }} }}'))["task"] is None


async def test_the_list_pages_newest_first_and_filters(system: System) -> None:
    numbers = list(range(8800, 8812))
    for n in numbers:
        await submit(system, f"submitFibonacci(n: {n})")
    query = """query($after: String) { tasks(first: 5, after: $after, name: "fibonacci") {
        edges { cursor node { name input } } pageInfo { hasNextPage endCursor } } }"""
    seen: list[int] = []
    after = None
    while len(seen) < len(numbers):
        page = (await system.ask(query, {"after": after}, node=1))["tasks"]
        seen += [edge["node"]["input"]["n"] for edge in page["edges"]]
        assert {edge["node"]["name"] for edge in page["edges"]} == {"fibonacci"}
        after = page["pageInfo"]["endCursor"]
    assert seen[:12] == numbers[::-1]


async def test_the_task_types_tell_what_a_client_needs_to_derive_ids(system: System) -> None:
    query = "{ taskTypes { name version mutation arguments { name type required default } } }"
    kinds = {kind["name"]: kind for kind in (await system.ask(query))["taskTypes"]}
    assert kinds["estimate_pi"] == {
        "name": "estimate_pi",
        "version": "1",
        "mutation": "submitEstimatePi",
        "arguments": [
            {"name": "samples", "type": "int", "required": True, "default": None},
            {"name": "seed", "type": "int", "required": False, "default": 0},
        ],
    }


async def test_the_cluster_tells_its_workers_and_its_fleet(system: System) -> None:
    query = """{ cluster { schedulerConnected schedulerEpoch workers { name threads } fleet { wanted running reason }
        tasks { state count } } }"""
    await system.ready()  # an earlier test may have ended a worker process
    cluster = (await system.ask(query))["cluster"]
    assert cluster["schedulerConnected"]
    assert len(cluster["workers"]) == 2
    assert cluster["fleet"]["wanted"] == 2
    assert {item["state"] for item in cluster["tasks"]} == {"QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"}


async def test_every_page_and_probe_answers(system: System) -> None:
    base = system.url.removesuffix("/graphql")
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{base}/healthz")).text == "ok"
        ready = (await client.get(f"{base}/readyz")).json()
        assert ready["ready"]
        assert "dask_graphql_tasks" in (await client.get(f"{base}/metrics")).text
        for path in ("/", "/graphql"):
            page = await client.get(base + path, headers={"Accept": "text/html"})
            assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")


async def appears(path: Path) -> None:
    async with asyncio.timeout(20):
        while not path.exists():
            await asyncio.sleep(0.02)
