"""`run<Name>`: one operation submits a task and delivers its final record, over every transport, or is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import Record, TaskState
from cluster.task_types.registry import load_registry
from graphql_api.auth.callers import Scope
from graphql_api.auth.keys import create_key
from tests.api_node import api_node
from tests.sockets import dial
from tests.system import Socket
from tests.transports import STREAMS, TRANSPORTS, payloads

RUN = """subscription($n: Int!, $options: SubmitOptions) {
  runFibonacci(n: $n, options: $options) { taskId state attempt result { ... on FibonacciResult { value } } }
}"""
FIBONACCI = load_registry([])["fibonacci"]


def task_id(n: int) -> str:
    return FIBONACCI.bind({"n": n}).task_id


def output(n: int) -> bytes:
    """What a worker would write as the result of fib(n)."""
    return FIBONACCI.output.dump(FIBONACCI.function(n=n))


@pytest.fixture
async def url(settings: Settings) -> AsyncIterator[str]:
    async with api_node(replace(settings, legacy_websocket=True)) as served:
        yield served


async def record_of(store: Store, n: int, state: TaskState, attempt: int = 1) -> Record:
    """The record of a task, as soon as it is in this state."""
    async with asyncio.timeout(10):
        while (record := await store.read(task_id(n))) is None or (record.state, record.attempt) != (state, attempt):
            await asyncio.sleep(0.005)
    return record


async def finish(store: Store, n: int, attempt: int = 1) -> None:
    """Runs a task, as a worker would, as soon as it is submitted."""
    await record_of(store, n, TaskState.QUEUED, attempt)
    await store.run(store.calls.start(task_id(n), attempt, "worker"))
    await store.run(store.calls.finish(task_id(n), attempt, output(n)))


async def results(url: str, transport: str, n: int, **options: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(15):
        variables = {"n": n, "options": options}
        return [item async for item in payloads(url, transport, RUN, variables)]


async def code_of(url: str, transport: str, query: str, token: str = "", **variables: Any) -> str:
    async with asyncio.timeout(15):
        [refused] = [item async for item in payloads(url, transport, query, variables, token)]
    assert not refused.get("data")
    return str(refused["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_one_operation_submits_and_delivers_the_final_record(url: str, store: Store, transport: str) -> None:
    n = 50 + TRANSPORTS.index(transport)
    running = asyncio.ensure_future(results(url, transport, n))
    await finish(store, n)
    expected = {"taskId": task_id(n), "state": "SUCCEEDED", "attempt": 1}
    [item] = await running
    value = item["data"]["runFibonacci"].pop("result")["value"]
    assert item == {"data": {"runFibonacci": expected}}
    assert value == FIBONACCI.function(n=n).text
    # Nobody computes it again: the record answers at once.
    [cached] = await results(url, transport, n)
    assert cached["data"]["runFibonacci"] == {**expected, "result": {"value": value}}


async def test_a_recomputation_delivers_the_end_of_the_new_run_and_not_the_kept_one(url: str, store: Store) -> None:
    first = asyncio.ensure_future(results(url, TRANSPORTS[0], 30))
    await finish(store, 30)
    await first
    again = asyncio.ensure_future(results(url, TRANSPORTS[0], 30, recompute=True))
    await finish(store, 30, attempt=2)
    [item] = await again
    assert item["data"]["runFibonacci"]["attempt"] == 2


async def test_a_task_that_others_wait_for_already_is_joined(url: str, store: Store) -> None:
    wait = "subscription($id: ID!) { taskResult(taskId: $id) { state } }"

    async def subscribe() -> list[dict[str, Any]]:
        return [item async for item in payloads(url, TRANSPORTS[0], wait, {"id": task_id(31)})]

    early = asyncio.ensure_future(subscribe())
    runs = [asyncio.ensure_future(results(url, transport, 31)) for transport in TRANSPORTS]
    await finish(store, 31)
    assert [len(items) for items in await asyncio.gather(early, *runs)] == [1] * (1 + len(TRANSPORTS))
    assert (await record_of(store, 31, TaskState.SUCCEEDED)).submissions == len(TRANSPORTS)


async def test_many_runs_and_ends_at_the_same_instant_lose_nothing(url: str, store: Store) -> None:
    """Each task ends at the moment it is in the store, mostly before its submission is answered."""
    ns = range(100, 120)
    async with Socket.open(url) as socket, asyncio.timeout(20):
        socket.share()
        ends = asyncio.gather(*(finish(store, n) for n in ns))
        runs = await asyncio.gather(*(socket.collect(RUN, {"n": n}) for n in ns))
        await ends
    assert [items[0]["runFibonacci"]["taskId"] for items in runs] == [task_id(n) for n in ns]


async def test_a_client_that_goes_away_leaves_its_task_to_go_on(url: str, store: Store) -> None:
    operation = {"type": "subscribe", "id": "1", "payload": {"query": RUN, "variables": {"n": 33}}}
    async with dial(url, TRANSPORTS[0]) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.send(json.dumps(operation))
        await record_of(store, 33, TaskState.QUEUED)
        await socket.send(json.dumps({"type": "complete", "id": "1"}))
    assert (await record_of(store, 33, TaskState.QUEUED)).submissions == 1
    waiting = asyncio.ensure_future(results(url, TRANSPORTS[0], 33))
    await finish(store, 33)
    assert len(await waiting) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_refusal_is_an_error_with_its_code_and_nothing_is_submitted(
    settings: Settings, store: Store, transport: str
) -> None:
    limits = {"waiters_per_client": 1, "legacy_websocket": True}
    async with api_node(replace(settings, **limits)) as url:  # type: ignore[arg-type]
        assert await code_of(url, transport, RUN, n=-1) == "BAD_INPUT"
        assert await code_of(url, transport, RUN, n=5, options={"priority": 1_000}) == "BAD_INPUT"
        waiting = asyncio.ensure_future(results(url, transport, 6))
        await record_of(store, 6, TaskState.QUEUED)
        assert await code_of(url, transport, RUN, n=7) == "TOO_MANY_SUBSCRIPTIONS"
        waiting.cancel()
        await asyncio.wait([waiting])
    assert [await store.read(task_id(n)) for n in (5, 7)] == [None, None]


async def test_a_full_node_refuses_before_it_submits(settings: Settings, store: Store) -> None:
    async with api_node(replace(settings, subscription_limit=1)) as url:
        waiting = asyncio.ensure_future(results(url, TRANSPORTS[0], 8))
        await record_of(store, 8, TaskState.QUEUED)
        assert await code_of(url, TRANSPORTS[0], RUN, n=9) == "TOO_MANY_SUBSCRIPTIONS"
        waiting.cancel()
        await asyncio.wait([waiting])
    assert await store.read(task_id(9)) is None


@pytest.mark.parametrize("scope", [Scope.SUBMIT, Scope.READ])
async def test_it_needs_both_scopes(settings: Settings, store: Store, scope: Scope) -> None:
    key, _ = await create_key(store, "half", "", frozenset({scope}), None)
    async with api_node(replace(settings, authentication="required")) as url:
        assert await code_of(url, TRANSPORTS[0], RUN, key, n=10) == "FORBIDDEN"
    assert await store.read(task_id(10)) is None


async def test_no_get_submits_whatever_it_accepts(url: str, store: Store) -> None:
    """A browser sends a GET of any page without asking first."""
    in_fragment = "subscription { ...Run } fragment Run on Subscription { again: runFibonacci(n: 11) { state } }"
    plain = "subscription { runFibonacci(n: 11) { state } }"
    async with httpx.AsyncClient() as client:
        for query in (plain, in_fragment):
            for accepted in STREAMS.values():
                answer = await client.get(url, params={"query": query}, headers={"Accept": accepted})
                assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
                assert "run<Name>" in answer.text
            answer = await client.get(url, params={"query": query})
            assert answer.status_code == 400
            form = await client.post(url, data={"query": query}, headers={"Accept": "text/event-stream"})
            assert form.status_code == 415
    assert await store.read(task_id(11)) is None
