"""The protocols, spoken by client libraries of others, over a whole system. Their rules one by one are in
tests/graphql_api/transport."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from gql import Client, gql
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.system import Socket, System

TASK_ID = "b9a7c7263c0332d12e52f09809754586"
RESULT = gql(
    f'subscription {{ taskResult(taskId: "{TASK_ID}") {{ result {{ ... on FibonacciResult {{ value }} }} }} }}'
)
EXPECTED = {"taskResult": {"result": {"value": "2880067194370816120"}}}


@pytest.mark.parametrize("protocol", ["graphql-transport-ws", "graphql-ws"])
async def test_a_client_library_submits_and_subscribes(system: System, protocol: str) -> None:
    async with Client(transport=HTTPXAsyncTransport(url=system.url)) as session:
        submitted = await session.execute(gql("mutation { submitFibonacci(n: 90) { taskId } }"))
    assert submitted["submitFibonacci"]["taskId"] == TASK_ID
    transport = WebsocketsTransport(url=system.url.replace("http", "ws"), subprotocols=[Subprotocol(protocol)])
    async with Client(transport=transport) as session:
        assert [item async for item in session.subscribe(RESULT)] == [EXPECTED]


async def test_server_sent_events_deliver_the_result_and_complete(system: System) -> None:
    await system.ask("mutation { submitFibonacci(n: 90) { taskId } }")
    query = f'subscription {{ taskResult(taskId: "{TASK_ID}") {{ state }} }}'
    async with httpx.AsyncClient() as client:
        answer = await client.post(system.url, json={"query": query}, headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.partition("event: ")[2] for block in answer.text.split("\n\n") if "event: " in block]
    assert events == ['next\ndata: {"data":{"taskResult":{"state":"SUCCEEDED"}}}', "complete\ndata:"]


async def test_an_event_stream_ends_when_its_client_disconnects(system: System) -> None:
    query = f'subscription {{ taskResult(taskId: "{"e" * 32}") {{ state }} }}'
    headers = {"Accept": "text/event-stream"}
    async with httpx.AsyncClient() as client:
        async with client.stream("POST", system.url, json={"query": query}, headers=headers) as stream:
            parts = stream.aiter_bytes()
            assert await anext(parts) == b":\n\n"
            await subscriptions_are(client, system, 1)
        await subscriptions_are(client, system, 0)


async def subscriptions_are(client: httpx.AsyncClient, system: System, count: int) -> None:
    """Returns when the node reports `count` open subscriptions."""
    text = ""
    for _ in range(200):
        text = (await client.get(system.url.replace("graphql", "metrics"))).text
        if f"dask_graphql_subscriptions_open {count}.0\n" in text:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(text)


async def test_a_refused_event_stream_says_why(system: System) -> None:
    async with httpx.AsyncClient() as client:
        headers = {"Accept": "text/event-stream"}
        bad = await client.post(system.url, content=b"{", headers={**headers, "Content-Type": "application/json"})
        assert (bad.status_code, bad.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")
        wrong = await client.post(system.url, json={"query": "subscription { nothing }"}, headers=headers)
        assert "GRAPHQL_VALIDATION_FAILED" in wrong.text


async def test_a_query_may_be_a_get_and_a_mutation_may_not(system: System) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(system.url, params={"query": "{ taskTypes { name } }"})
        assert answer.json()["data"]["taskTypes"]
        refused = await client.get(system.url, params={"query": "mutation { submitFibonacci(n: 1) { taskId } }"})
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def dial(system: System, protocol: str = "graphql-transport-ws") -> connect:
    return connect(system.url.replace("http", "ws"), subprotocols=[Subprotocol(protocol)])


async def test_clients_that_disconnect_leave_no_subscriptions(system: System) -> None:
    query = 'subscription { taskResult(taskId: "%032x") { state } }'
    for round_ in range(5):
        sockets = [await dial(system) for _ in range(20)]
        for i, socket in enumerate(sockets):
            await socket.send('{"type": "connection_init"}')
            for k in range(5):
                body = {"query": query % (i * 100 + k)}
                await socket.send(json.dumps({"id": str(k), "type": "subscribe", "payload": body}))
        for socket in sockets[: 10 + round_]:
            socket.transport.abort()
        for socket in sockets[10 + round_ :]:
            await socket.close()
    async with httpx.AsyncClient() as client:
        await subscriptions_are(client, system, 0)


async def test_a_body_without_a_content_length_is_bounded_too(system: System) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b" " * 100_000

    async with httpx.AsyncClient() as client:
        answer = await client.post(system.url, content=endless(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (413, "BAD_REQUEST")


@pytest.mark.parametrize(
    "query", ["{ taskTypes {", "{ nothing }", "{ a" + " a" * 3_000 + "}", "query { taskTypes }", "  "]
)
async def test_a_refused_document_has_the_same_error_on_every_transport(system: System, query: str) -> None:
    over_http = (await system.post(query))["errors"][0]
    name = "Some" if "nothing" not in query and "Types }" not in query else None
    async with Socket.open(system.url) as socket:
        await socket.send({"id": "1", "type": "subscribe", "payload": {"query": query, "operationName": name}})
        message = json.loads(await socket.connection.recv())
    assert message["type"] == "error"
    assert message["payload"][0]["message"] == over_http["message"]
    async with httpx.AsyncClient() as client:
        answer = await client.post(system.url, json={"query": query}, headers={"Accept": "text/event-stream"})
    assert json.dumps(over_http["extensions"]["code"]) in answer.text
