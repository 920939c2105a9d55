"""What one caller may take of an api node, on every transport: operations a minute, and waiters counted in task ids."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from cluster.api_node import operation_rates
from cluster.api_node.operation_rates import OperationRates
from cluster.api_node.policy_cache import PolicyCache
from cluster.api_node.waiters import Waiters
from cluster.errors import TooManySubscriptions
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.tenant_policies import change_policy
from graphql_api.auth.callers import Scope
from graphql_api.auth.keys import create_key
from tests.api_node import api_node
from tests.system import Socket

TYPES = "{ taskTypes { name } }"
WAIT = "subscription($ids: [ID!]!) { taskResults(taskIds: $ids) { state } }"
STREAMS = {"Accept": "text/event-stream"}


async def code_on_http(url: str, query: str, **headers: str) -> tuple[int, str | None, Any]:
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, json={"query": query}, headers=headers)
    body = answer.text
    errors = json.loads(body).get("errors") if body.startswith("{") else None
    return answer.status_code, answer.headers.get("retry-after"), errors and errors[0]["extensions"]


async def first_answer(url: str, protocol: str, query: str, token: str = "", **variables: Any) -> dict[str, Any]:
    start = "subscribe" if protocol == "graphql-transport-ws" else "start"
    async with connect(url.replace("http", "ws", 1), subprotocols=[protocol]) as socket:  # type: ignore[list-item]
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
        await socket.send(json.dumps({"type": start, "id": "1", "payload": {"query": query, "variables": variables}}))
        async for text in socket:
            message: dict[str, Any] = json.loads(text)
            if message["type"] not in ("connection_ack", "ka", "ping"):
                return message
    raise AssertionError("the socket was closed")


@pytest.fixture
async def url(settings: Settings) -> AsyncIterator[str]:
    limits = {"operations_per_minute": 6, "waiters_per_client": 10, "legacy_websocket": True}
    async with api_node(replace(settings, **limits)) as served:  # type: ignore[arg-type]
        yield served


async def test_operations_of_one_caller_are_counted_together_over_all_transports(url: str) -> None:
    assert (await code_on_http(url, TYPES))[0] == 200
    assert (await code_on_http(url, TYPES, **STREAMS))[0] == 200
    for protocol, kind in (("graphql-transport-ws", "next"), ("graphql-ws", "data")):
        for _ in range(2):
            assert (await first_answer(url, protocol, TYPES))["type"] == kind
    for headers in ({}, STREAMS):
        status, retry_after, refused = await code_on_http(url, TYPES, **headers)
        assert status == 429
        assert retry_after == str(refused["retryAfterSeconds"])
        assert 0 < refused["retryAfterSeconds"] <= 10
        assert (refused["code"], refused["limit"]) == ("RATE_LIMITED", 6)
    for protocol in ("graphql-transport-ws", "graphql-ws"):
        message = await first_answer(url, protocol, TYPES)
        assert message["type"] == "error"
        assert "RATE_LIMITED" in json.dumps(message["payload"])
    async with httpx.AsyncClient(base_url=url.removesuffix("/graphql")) as client:
        made = [f"/{place}/{'0' * 32}/1/x.npy" for place in ("blobs", "tables", "arrays")]
        for path in (*made, f"/files/sha256:{'0' * 64}"):
            assert (await client.get(path)).status_code == 429, path


async def test_a_subscription_to_many_ids_counts_as_many_waiters_however_it_is_sent(url: str) -> None:
    def ids(count: int, first: int) -> list[str]:
        return [f"{n:032x}" for n in range(first, first + count)]

    async with Socket.open(url) as socket:
        payload = {"query": WAIT, "variables": {"ids": ids(8, 0)}}
        await socket.send({"id": "a", "type": "subscribe", "payload": payload})
        # Answered after it, on the same socket.
        [_] = [item async for item in socket.subscribe(TYPES)]
        message = await first_answer(url, "graphql-ws", WAIT, ids=ids(3, 100))
        assert "TOO_MANY_SUBSCRIPTIONS" in json.dumps(message["payload"])
        assert (await first_answer(url, "graphql-ws", WAIT, ids=ids(2, 100) * 5 + ["bad"]))["type"] != "complete"
    async with httpx.AsyncClient() as client:
        body = {"query": WAIT, "variables": {"ids": ids(11, 0)}}
        answer = await client.post(url, json=body, headers=STREAMS)
    assert "TOO_MANY_SUBSCRIPTIONS" in answer.text


async def test_the_keys_of_a_tenant_share_its_rate_of_submissions(settings: Settings, store: Store) -> None:
    await change_policy(store, "acme", submissions_per_minute=3)
    keys = [
        (await create_key(store, f"key{n}", tenant, frozenset({Scope.SUBMIT}), None))[0]
        for n, tenant in enumerate(["acme", "acme", "bank"])
    ]
    async with api_node(replace(settings, authentication="required")) as url:
        many = "mutation { submitFibonacciMany(inputs: [{n: 1}, {n: 2}]) { taskId } }"

        async def refusal(key: str) -> Any:
            return (await code_on_http(url, many, Authorization=f"Bearer {key}"))[2]

        async with asyncio.timeout(10):
            # The node may serve before it has read the policies.
            while not (refused := await refusal(keys[0])):
                pass
        assert (refused["code"], refused["limit"]) == ("RATE_LIMITED", 3)
        assert (await refusal(keys[1]))["code"] == "RATE_LIMITED"
        assert await refusal(keys[2]) is None


def test_a_bucket_refills_and_other_callers_have_their_own(store: Store) -> None:
    now = [0.0]
    rates = OperationRates(60, PolicyCache(store), lambda: now[0])
    assert [rates.take("one", "a") for _ in range(60)] == [0.0] * 60
    assert rates.take("one", "a") == pytest.approx(1.0)
    assert rates.take("other", "a") == 0.0
    now[0] = 1.0
    assert rates.take("one", "a") == 0.0
    assert rates.take("one", "a") > 0


def test_no_more_than_so_many_callers_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation_rates, "MAX_BUCKETS", 10)
    rates = OperationRates(60, PolicyCache(store), lambda: 0.0)
    for number in range(100):
        assert rates.take("regular", "a") == rates.take(f"address:{number}", "a") == 0.0 or number >= 60
    assert len(rates._buckets) == 10
    assert rates.take("regular", "a") > 0, "the caller who came last is forgotten last"


def test_waiters_are_counted_off_and_nothing_is_left_of_an_account() -> None:
    waiters = Waiters(5)
    with waiters.slots("acme", 3), waiters.slots("bank", 5):
        with pytest.raises(TooManySubscriptions), waiters.slots("acme", 3):
            raise AssertionError("must not be entered")
        with waiters.slots("acme", 2):
            pass
    assert not waiters._count
