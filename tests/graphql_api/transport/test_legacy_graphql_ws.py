"""The legacy subprotocol graphql-ws, rule by rule of subscriptions-transport-ws, where LEGACY_WEBSOCKET is set."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.errors import StoreUnavailable, Unauthenticated
from cluster.settings import Settings, load_settings
from graphql_api.transport import websocket_endpoint, websocket_session
from graphql_api.transport.legacy_graphql_ws import LegacyGraphQLWsSession
from tests.api_node import api_node
from tests.sockets import Exchange, close_of, dial, exchange, receive, send
from tests.system import RedisServer

INIT, ACK, KEEP_ALIVE = {"type": "connection_init"}, {"type": "connection_ack"}, {"type": "ka"}
CONNECT: Exchange = (INIT, [ACK, KEEP_ALIVE])
TYPENAME = "{ __typename }"
ENDLESS = f'subscription {{ taskResult(taskId: "{"f" * 32}") {{ state }} }}'
OPERATION_LIMIT = 3


def start(operation_id: Any = "1", query: Any = TYPENAME, **payload: Any) -> dict[str, Any]:
    return {"id": operation_id, "type": "start", "payload": {"query": query, **payload}}


def stop(operation_id: Any = "1") -> dict[str, Any]:
    return {"id": operation_id, "type": "stop"}


def complete(operation_id: str = "1") -> dict[str, Any]:
    return {"id": operation_id, "type": "complete"}


def single(data: Any, operation_id: str = "1") -> list[dict[str, Any]]:
    return [{"id": operation_id, "type": "data", "payload": {"data": data}}, complete(operation_id)]


def invalid(message: str) -> list[dict[str, Any]]:
    return [{"type": "connection_error", "payload": {"message": message}}]


QUERY: Exchange = (start(), single({"__typename": "Query"}))
STILL_OPEN: Exchange = ({"type": "odd"}, invalid("unexpected message type 'odd'"))


@pytest.fixture(scope="module")
def node_settings(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("sockets"),
        legacy_websocket=True,
        socket_operation_limit=OPERATION_LIMIT,
        log_level="WARNING",
    )


@pytest.fixture(scope="module")
async def url(node_settings: Settings) -> AsyncIterator[str]:
    async with api_node(node_settings) as url:
        yield url


def connected(url: str) -> Any:
    return dial(url, "graphql-ws")


EXCHANGES: dict[str, list[Exchange]] = {
    "connection_init has no payload": [CONNECT],
    "connection_init has null as its payload": [(INIT | {"payload": None}, CONNECT[1])],
    "connection_init has an object as its payload": [(INIT | {"payload": {"any": 1}}, CONNECT[1])],
    "start has a query": [CONNECT, QUERY],
    "start has a mutation": [CONNECT, (start(query="mutation { __typename }"), single({"__typename": "Mutation"}))],
    "start has a subscription": [CONNECT, (start(query=ENDLESS), [])],
    "start has an id that is in use": [CONNECT, (start(query=ENDLESS), []), QUERY],
    "start is malformed": [CONNECT, (start(""), invalid('expected "id" to be a string of 1 to 200 characters')), QUERY],
    "start has no query": [
        CONNECT, ({"id": "1", "type": "start"}, invalid('expected a payload with "query", a string'))],
    "stop ends a subscription": [CONNECT, (start(query=ENDLESS), []), (stop(), [complete()]), QUERY],
    "stop has an unknown id": [CONNECT, (stop("unknown"), []), QUERY, (stop(), [])],
    "a message is binary": [CONNECT, (b"{}", invalid("expected a text message"))],
    "a message is not JSON": [CONNECT, ("no json", invalid("expected JSON"))],
    "a message has no type": [CONNECT, ({}, invalid('expected a JSON object with "type", a string'))],
}  # fmt: skip


@pytest.mark.parametrize("rule", EXCHANGES)
async def test_the_server_responds_when(url: str, rule: str) -> None:
    async with connected(url) as socket:
        await exchange(socket, *EXCHANGES[rule], STILL_OPEN)


@pytest.mark.parametrize(
    ("before", "message", "code", "reason"),
    [
        ([CONNECT], {"type": "connection_terminate"}, 1000, ""),
        ([], start(), 4401, "Unauthorized"),
        ([], stop(), 4401, "Unauthorized"),
        ([], {"type": "odd"}, 4401, "Unauthorized"),
        ([CONNECT], INIT, 4429, "Too many initialisation requests"),
    ],
)
async def test_the_server_closes_the_socket_upon(
    url: str, before: list[Exchange], message: Any, code: int, reason: str
) -> None:
    async with connected(url) as socket:
        await exchange(socket, *before, (message, []))
        assert await close_of(socket) == (code, reason)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (INIT | {"payload": []}, 'expected "payload" to be an object or null'),
        (b"{}", "expected a text message"),
        ("no json", "expected JSON"),
        ({}, 'expected a JSON object with "type", a string'),
    ],
)
async def test_before_the_acknowledgement_the_server_closes_the_socket_upon_any_malformed_message(
    url: str, message: Any, reason: str
) -> None:
    async with connected(url) as socket:
        await exchange(socket, (message, invalid(reason)))
        assert await close_of(socket) == (4400, reason)


async def test_an_operation_that_is_not_executed_is_an_error_without_complete(url: str) -> None:
    async with connected(url) as socket:
        await exchange(socket, CONNECT, (start(query="{ nothing }"), []))
        message = await receive(socket)
        assert (message["id"], message["type"]) == ("1", "error")
        assert message["payload"]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        await exchange(socket, QUERY, STILL_OPEN)


async def test_operations_beyond_the_limit_are_errors_and_the_others_go_on(url: str) -> None:
    async with connected(url) as socket:
        await exchange(socket, CONNECT, *((start(f"open {n}", ENDLESS), []) for n in range(OPERATION_LIMIT)))
        await send(socket, start("one more"))
        message = await receive(socket)
        assert (message["id"], message["type"]) == ("one more", "error")
        assert message["payload"]["extensions"]["code"] == "TOO_MANY_SUBSCRIPTIONS"
        await exchange(socket, (stop("open 0"), [complete("open 0")]), QUERY, STILL_OPEN)


async def test_the_client_s_order_of_subprotocols_counts(url: str) -> None:
    for offered in (["graphql-ws", "graphql-transport-ws"], ["graphql-transport-ws", "graphql-ws"]):
        async with dial(url, *offered) as socket:
            assert socket.subprotocol == offered[0]


async def test_a_credential_that_is_not_good_is_a_connection_error_and_a_close(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(*_: Any) -> Any:
        raise Unauthenticated("the API key is unknown")

    monkeypatch.setattr(websocket_endpoint, "caller_of", nobody)
    async with connected(url) as socket:
        payload = {"message": "the API key is unknown", "code": "UNAUTHENTICATED"}
        await exchange(socket, (INIT, [{"type": "connection_error", "payload": payload}]))
        assert await close_of(socket) == (4403, "Forbidden")


async def test_a_caller_that_cannot_be_found_now_is_closed_with_1013(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unavailable(*_: Any) -> Any:
        raise StoreUnavailable("Redis is away")

    monkeypatch.setattr(websocket_endpoint, "caller_of", unavailable)
    async with connected(url) as socket:
        await send(socket, INIT)
        assert await close_of(socket) == (1013, "try again later")


async def test_an_idle_socket_gets_keep_alive_messages(
    node_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LegacyGraphQLWsSession, "keep_alive_seconds", 0.1)
    async with api_node(node_settings) as url, connected(url) as socket:
        await exchange(socket, (INIT, [ACK, *[KEEP_ALIVE] * 4]))


async def test_a_socket_without_connection_init_is_closed_with_4408(
    node_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_session, "INIT_SECONDS", 0.2)
    async with api_node(node_settings) as url, connected(url) as socket:
        assert await close_of(socket) == (4408, "Connection initialisation timeout")
