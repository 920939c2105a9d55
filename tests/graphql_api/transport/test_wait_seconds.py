"""`waitSeconds`: one request that is answered as soon as its task has ended, bounded in time and per caller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from tests.api_node import api_node
from tests.graphql_api.transport.test_run import finish, record_of, task_id
from tests.transports import TRANSPORTS, payloads

SUBMIT = """mutation($n: Int!, $seconds: Float) {
  submitFibonacci(n: $n, waitSeconds: $seconds) { outcome task { state result { ... on FibonacciResult { digits } } } }
}"""
TASK = "query($id: ID!, $seconds: Float) { task(taskId: $id, waitSeconds: $seconds) { state } }"
LONG = 20.0


@asynccontextmanager
async def client_of(settings: Settings, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    options = {"legacy_websocket": True, "wait_limit_seconds": LONG, **changes}
    async with (
        api_node(replace(settings, **options)) as url,
        httpx.AsyncClient(base_url=url.removesuffix("/graphql"), timeout=LONG) as client,
    ):
        yield client


async def ask(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    answer = (await client.post("/graphql", json={"query": query, "variables": variables})).json()
    return answer["data"] if "errors" not in answer else answer["errors"][0]["extensions"]["code"]


@pytest.mark.parametrize("transport", ["HTTP", *TRANSPORTS])
async def test_a_submission_is_answered_with_the_result_as_soon_as_it_is_there(
    settings: Settings, store: Store, transport: str
) -> None:
    async with client_of(settings) as client:

        async def submit() -> Any:
            if transport == "HTTP":
                return await ask(client, SUBMIT, n=90, seconds=LONG)
            url = str(client.base_url.join("/graphql"))
            [item] = [item async for item in payloads(url, transport, SUBMIT, {"n": 90, "seconds": LONG})]
            return item["data"]

        submitting = asyncio.ensure_future(submit())
        await finish(store, 90)
        expected = {"outcome": "NEW", "task": {"state": "SUCCEEDED", "result": {"digits": 19}}}
        async with asyncio.timeout(LONG / 2):
            assert (await submitting)["submitFibonacci"] == expected
            cached = (await ask(client, SUBMIT, n=90, seconds=LONG))["submitFibonacci"]
        assert cached == {**expected, "outcome": "CACHED"}


async def test_a_query_waits_for_a_task_that_is_not_submitted_yet_and_other_queries_go_on(
    settings: Settings, store: Store
) -> None:
    async with client_of(settings) as client:
        waiting = asyncio.ensure_future(ask(client, TASK, id=task_id(91), seconds=LONG))
        for _ in range(3):
            assert await ask(client, TASK, id=task_id(91)) == {"task": None}
        assert not waiting.done()
        await ask(client, SUBMIT, n=91)
        await finish(store, 91)
        assert await waiting == {"task": {"state": "SUCCEEDED"}}


async def test_after_the_time_the_record_is_told_as_it_is(settings: Settings, store: Store) -> None:
    async with client_of(settings) as client:
        began = time.monotonic()
        submitting = asyncio.ensure_future(ask(client, SUBMIT, n=92, seconds=1))
        await record_of(store, 92, TaskState.QUEUED)
        await store.run(store.calls.start(task_id(92), 1, "worker"))
        assert (await submitting)["submitFibonacci"] == {"outcome": "NEW", "task": {"state": "RUNNING", "result": None}}
        wait = "task(taskId: $id, waitSeconds: 0.3) { state }"
        both = f"query($id: ID!) {{ a: {wait} b: {wait} }}"
        asked = time.monotonic()
        assert asked - began >= 1
        assert await ask(client, both, id=task_id(92)) == {"a": {"state": "RUNNING"}, "b": {"state": "RUNNING"}}
        assert time.monotonic() - asked >= 0.3
        assert await ask(client, TASK, id="0" * 32, seconds=0.1) == {"task": None}


async def test_many_submissions_are_answered_when_all_have_ended_or_the_time_is_over(
    settings: Settings, store: Store
) -> None:
    many = """mutation($inputs: [FibonacciInput!]!, $seconds: Float) {
      submitFibonacciMany(inputs: $inputs, waitSeconds: $seconds) { task { state } }
    }"""
    async with client_of(settings) as client:
        inputs = [{"n": 93}, {"n": 94}, {"n": 93}]
        submitting = asyncio.ensure_future(ask(client, many, inputs=inputs, seconds=1.5))
        await finish(store, 93)
        states = [item["task"]["state"] for item in (await submitting)["submitFibonacciMany"]]
        assert states == ["SUCCEEDED", "QUEUED", "SUCCEEDED"]
        submitting = asyncio.ensure_future(ask(client, many, inputs=inputs, seconds=LONG))
        await finish(store, 94)
        assert {item["task"]["state"] for item in (await submitting)["submitFibonacciMany"]} == {"SUCCEEDED"}


@pytest.mark.parametrize("seconds", [-1, LONG + 0.1, 1e308])
async def test_a_time_out_of_bounds_is_refused_and_nothing_is_submitted(
    settings: Settings, store: Store, seconds: float
) -> None:
    async with client_of(settings) as client:
        assert await ask(client, SUBMIT, n=95, seconds=seconds) == "BAD_INPUT"
        assert await ask(client, TASK, id=task_id(95), seconds=seconds) == "BAD_INPUT"
    assert await store.read(task_id(95)) is None


@pytest.mark.parametrize("limits", [{"waiters_per_client": 2}, {"subscription_limit": 2}])
async def test_waits_are_counted_per_caller_and_node_and_end_when_the_client_goes_away(
    settings: Settings, store: Store, limits: dict[str, int]
) -> None:
    async with client_of(settings, **limits) as client:
        gone = httpx.AsyncClient(base_url=client.base_url)
        waiting = [
            asyncio.ensure_future(ask(gone, SUBMIT, n=n, seconds=LONG)) for n in (96, 97)
        ]  # fmt: skip
        for n in (96, 97):
            await record_of(store, n, TaskState.QUEUED)
        assert await ask(client, SUBMIT, n=98, seconds=LONG) == "TOO_MANY_SUBSCRIPTIONS"
        assert await ask(client, TASK, id=task_id(98), seconds=LONG) == "TOO_MANY_SUBSCRIPTIONS"
        assert await store.read(task_id(98)) is None
        # Without a wait the node serves on.
        assert await ask(client, TASK, id=task_id(96)) == {"task": {"state": "QUEUED"}}
        for request in waiting:
            request.cancel()
        await asyncio.wait(waiting)
        await gone.aclose()

        async with asyncio.timeout(5):
            while await ask(client, TASK, id=task_id(96), seconds=0.01) == "TOO_MANY_SUBSCRIPTIONS":
                await asyncio.sleep(0.01)
