"""Operations: answers that are shared, and the bytes of a WebSocket that carry them."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import orjson
import pytest
from graphql import GraphQLError
from websockets.asyncio.client import connect

from cluster.settings import Settings
from graphql_api.auth.callers import Caller
from graphql_api.execution.document_cache import DocumentCache
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.execution.response_cache import (
    CACHE_BYTES,
    ENTRY_OVERHEAD_BYTES,
    MAX_RESPONSE_BYTES,
    ResponseCache,
    compact,
)
from graphql_api.transport.websockets_internals import SMALL_BYTES
from tests.system import Socket, System

SUBMIT = "mutation($n: Int!, $again: Boolean) { submitFibonacci(n: $n, options: {recompute: $again}) { taskId } }"


async def submitted(socket: Socket, n: int) -> str:
    [item] = await socket.collect(SUBMIT, {"n": n, "again": False})
    task_id: str = item["submitFibonacci"]["taskId"]
    return task_id


async def test_each_subscriber_gets_the_response_to_its_own_document(system: System) -> None:
    one = "subscription($id: ID!) { taskResult(taskId: $id) { state } }"
    named = (
        "subscription A($id: ID!) { mine: taskResult(taskId: $id) { attempt } }"
        " subscription B($id: ID!) { taskResult(taskId: $id) { result { ... on FibonacciResult { value } } } }"
    )
    chosen = "subscription($id: ID!, $more: Boolean!) { taskResult(taskId: $id) { state name @include(if: $more) } }"
    async with Socket.open(system.url) as socket:
        socket.share()
        task_id = await submitted(socket, 91)
        for _ in range(2):
            assert await socket.collect(one, {"id": task_id}) == [{"taskResult": {"state": "SUCCEEDED"}}]
            assert await socket.collect(named, {"id": task_id}, "A") == [{"mine": {"attempt": 1}}]
            [item] = await socket.collect(named, {"id": task_id}, "B")
            assert item == {"taskResult": {"result": {"value": "4660046610375530309"}}}
            assert await socket.collect(chosen, {"id": task_id, "more": False}) == [
                {"taskResult": {"state": "SUCCEEDED"}}
            ]
            [item] = await socket.collect(chosen, {"id": task_id, "more": True})
            assert item == {"taskResult": {"state": "SUCCEEDED", "name": "fibonacci"}}


async def test_the_response_of_an_earlier_run_is_not_reused(system: System) -> None:
    asked = "subscription($id: ID!) { taskResult(taskId: $id) { startedAt submissions } }"
    async with Socket.open(system.url) as socket:
        socket.share()
        task_id = await submitted(socket, 92)
        [first] = await socket.collect(asked, {"id": task_id})
        await socket.collect(SUBMIT, {"n": 92, "again": False})
        [shared] = await socket.collect(asked, {"id": task_id})
        assert shared["taskResult"]["submissions"] == first["taskResult"]["submissions"] + 1
        await socket.collect(SUBMIT, {"n": 92, "again": True})
        [second] = await socket.collect(asked, {"id": task_id})
        assert second["taskResult"]["startedAt"] > first["taskResult"]["startedAt"]


async def test_a_response_with_an_error_is_not_cached(system: System) -> None:
    asked = (
        "subscription($id: ID!) { taskResult(taskId: $id)"
        " { result { ... on FibonacciResult { digitsSlice(offset: -1, length: 1) } } } }"
    )
    async with Socket.open(system.url) as socket:
        socket.share()
        task_id = await submitted(socket, 93)
        await socket.collect("subscription($id: ID!) { taskResult(taskId: $id) { state } }", {"id": task_id})
    async with Socket.open(system.url) as socket:
        for number in ("1", "2"):
            payload = {"query": asked, "variables": {"id": task_id}}
            await socket.send({"id": number, "type": "subscribe", "payload": payload})
            message: dict[str, Any] = json.loads(await socket.connection.recv())
            assert message["payload"]["errors"][0]["path"] == ["taskResult", "result", "digitsSlice"]
            assert json.loads(await socket.connection.recv()) == {"id": number, "type": "complete"}


def test_the_response_cache_is_bounded_and_evicts_the_least_recently_used() -> None:
    answers = ResponseCache()
    count = CACHE_BYTES // (MAX_RESPONSE_BYTES + ENTRY_OVERHEAD_BYTES)
    for i in range(count):
        answers.put((i,), b"x" * MAX_RESPONSE_BYTES)
    assert answers.get((0,)) is not None
    answers.put((count,), b"x" * MAX_RESPONSE_BYTES)
    assert answers.get((0,)) is not None
    assert answers.get((1,)) is None
    answers.put((0, "long"), b"x" * (MAX_RESPONSE_BYTES - 3))
    assert answers.get((0, "long")) is None


def test_the_response_cache_counts_what_a_client_writes_into_its_request() -> None:
    answers = ResponseCache()
    long = CACHE_BYTES // 5
    for i in range(6):
        answers.put((i, b"v" * long), b"{}")
    assert answers.get((0, b"v" * long)) is None
    assert answers.get((5, b"v" * long)) == b"{}"


def test_a_cached_response_takes_no_more_memory_than_is_counted() -> None:
    tracemalloc.start()
    try:
        answers = ResponseCache()
        before = tracemalloc.get_traced_memory()[0]
        for i in range(1000):
            made = orjson.dumps({"data": "x" * 20, "number": i})
            request = i, None, compact(orjson.dumps({"id": i})), f"https://api.example.com/{i}"
            view = Caller("key:1", account=f"tenant{i}").view
            answers.put((f"{i:032x}", 1, 2, None, 1, None, *request, view), compact(made))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / 1000 < ENTRY_OVERHEAD_BYTES


def test_only_a_subscription_of_one_task_is_shared() -> None:
    documents = DocumentCache(Settings(), PersistedOperations(Settings()))
    shared = {
        'subscription { taskResult(taskId: "a") { state } }': True,
        'subscription { x: taskResult(taskId: "a") { state } }': True,
        'subscription { taskEvents(taskId: "a") { seq } }': False,
        'subscription { ...on Subscription { taskResult(taskId: "a") { state } } }': False,
        "{ taskResult }": False,
    }
    for text, expected in shared.items():
        assert documents.parse_cached(text).operation(None).shared is expected, text


async def test_a_large_message_is_compressed_and_a_small_one_is_not(system: System) -> None:
    asked = "subscription($id: ID!) { taskResult(taskId: $id) { result { ... on FibonacciResult { value } } } }"
    address = system.url.replace("http", "ws", 1)
    async with connect(address, subprotocols=["graphql-transport-ws"]) as connection:  # type: ignore[list-item]
        [extension] = connection.protocol.extensions
        assert getattr(extension, "remote_no_context_takeover", None) is True
        assert getattr(extension, "local_no_context_takeover", None) is True
        socket = Socket(connection)
        await socket.send({"type": "connection_init"})
        assert json.loads(await connection.recv())["type"] == "connection_ack"
        socket.share()
        for n in (94, 40_000, 95, 50_000):
            task_id = await submitted(socket, n)
            [item] = await socket.collect(asked, {"id": task_id})
            value = item["taskResult"]["result"]["value"]
            assert (len(value) > SMALL_BYTES) == (n > 1_000)
            before, current = 0, 1
            for _ in range(n - 1):
                before, current = current, before + current
            assert value == _digits(current)


def _digits(number: int) -> str:
    import gmpy2

    return str(gmpy2.mpz(number).digits())


def test_an_invalid_document_is_never_cached_as_valid() -> None:
    from cluster.task_types.registry import load_registry
    from graphql_api.execution.document_cache import DocumentRejected
    from graphql_api.schema.builder import make_schema

    documents = DocumentCache(Settings(), PersistedOperations(Settings()))
    schema = make_schema(load_registry(), documents)
    for _ in range(2):
        kept = documents.parse_cached("{ nothing }")
        with pytest.raises(DocumentRejected) as refused:
            documents.validate(schema._schema, kept)
        assert isinstance(refused.value.errors[0], GraphQLError)
