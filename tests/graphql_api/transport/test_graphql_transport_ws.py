"""graphql-transport-ws, rule by rule of its PROTOCOL.md, over real sockets to a node in this process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.errors import StoreUnavailable
from cluster.settings import Settings, load_settings
from graphql_api.schema.builder import Schema
from graphql_api.transport import websocket_endpoint, websocket_session
from graphql_api.transport.graphql_transport_ws import GraphQLTransportWsSession
from tests.api_node import api_node
from tests.sockets import Exchange, close_of, dial, exchange, receive, send, the_open_connection
from tests.system import RedisServer

BAD_ID = 'expected "id" to be a string of 1 to 200 characters'
INIT, ACK = {"type": "connection_init"}, {"type": "connection_ack"}
PING, PONG = {"type": "ping"}, {"type": "pong"}
CONNECT: Exchange = (INIT, [ACK])
STILL_OPEN: Exchange = (PING, [PONG])
"""Nothing came before it that was not expected."""
TYPENAME = "{ __typename }"
ENDLESS = f'subscription {{ taskResult(taskId: "{"f" * 32}") {{ state }} }}'
OPERATION_LIMIT = 3


def subscribe(operation_id: Any = "1", query: Any = TYPENAME, **payload: Any) -> dict[str, Any]:
    return {"id": operation_id, "type": "subscribe", "payload": {"query": query, **payload}}


def complete(operation_id: Any = "1") -> dict[str, Any]:
    return {"id": operation_id, "type": "complete"}


def single(data: Any, operation_id: str = "1") -> list[dict[str, Any]]:
    """The messages of an operation with one result."""
    return [{"id": operation_id, "type": "next", "payload": {"data": data}}, complete(operation_id)]


QUERY: Exchange = (subscribe(), single({"__typename": "Query"}))


@pytest.fixture(scope="module")
def node_settings(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("sockets"),
        socket_operation_limit=OPERATION_LIMIT,
        log_level="WARNING",
    )


@pytest.fixture(scope="module")
async def url(node_settings: Settings) -> AsyncIterator[str]:
    async with api_node(node_settings) as url:
        yield url


def connected(url: str) -> Any:
    return dial(url, "graphql-transport-ws")


# Messages that the protocol has ---------------------------------------------------------------------------------------

EXCHANGES: dict[str, list[Exchange]] = {
    "ConnectionInit has no payload": [CONNECT],
    "ConnectionInit has null as its payload": [(INIT | {"payload": None}, [ACK])],
    "ConnectionInit has an object as its payload": [(INIT | {"payload": {"any": [1]}}, [ACK])],
    "a message has a member that the protocol does not have": [(INIT | {"more": 1}, [ACK])],
    "Ping comes before ConnectionInit": [(PING, [PONG]), CONNECT],
    "Ping comes after ConnectionAck": [CONNECT, (PING, [PONG])],
    "Ping has a payload": [(PING | {"payload": {"at": 5}}, [PONG | {"payload": {"at": 5}}])],
    "Ping has null as its payload": [(PING | {"payload": None}, [PONG])],
    "Pong comes unsolicited": [(PONG, []), CONNECT, (PONG | {"payload": {"at": 5}}, [])],
    "Subscribe has a query": [CONNECT, QUERY],
    "Subscribe has a mutation": [
        CONNECT,
        (
            subscribe(query="mutation { __typename }"), single({"__typename": "Mutation"})
        ),
    ],
    "Subscribe has a subscription": [CONNECT, (subscribe(query=ENDLESS), [])],
    "Subscribe has nulls": [
        CONNECT,
        (subscribe(operationName=None, variables=None, extensions=None), QUERY[1]),
    ],
    "Subscribe has all members": [
        CONNECT,
        (
            subscribe(
                query="query A { a: __typename } query B($yes: Boolean!) { b: __typename @include(if: $yes) }",
                operationName="B", variables={"yes": True}, extensions={"any": 1},
            ),
            single({"b": "Query"}),
        ),
    ],
    "an id is used again after Complete": [CONNECT, QUERY, QUERY],
    "an id is used again after the client's Complete": [
        CONNECT, (subscribe(query=ENDLESS), []), (complete(), []), QUERY],
    "an id is used again after Error": [CONNECT, (subscribe(documentId="sha256:0", query=""), [
        {"id": "1", "type": "error", "payload": [
            {"message": "no persisted operation has this documentId",
             "extensions": {"code": "PERSISTED_OPERATION_NOT_FOUND"}}]}]), QUERY],
    "an id is any string": [CONNECT, (subscribe("\ud800 \0"), single({"__typename": "Query"}, "\ud800 \0"))],
    "a query comes beside a subscription": [CONNECT, (subscribe("2", ENDLESS), []), QUERY],
    "Complete has an unknown id": [CONNECT, (complete("unknown"), []), (complete("unknown"), [])],
    "Complete comes after the server's": [CONNECT, QUERY, (complete(), [])],
    "Complete comes before ConnectionInit": [(complete(), []), CONNECT],
}  # fmt: skip


@pytest.mark.parametrize("rule", EXCHANGES)
async def test_the_server_responds_when(url: str, rule: str) -> None:
    async with connected(url) as socket:
        await exchange(socket, *EXCHANGES[rule], STILL_OPEN)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($n: Int!) { __typename @skip(if: $n) }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { taskResult(taskId: 5.5) { state } }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_an_operation_that_is_not_executed_is_an_error_without_complete(url: str, query: str, code: str) -> None:
    async with connected(url) as socket:
        await exchange(socket, CONNECT, (subscribe(query=query), []))
        message = await receive(socket)
        assert (message["id"], message["type"]) == ("1", "error")
        assert message["payload"][0]["extensions"]["code"] == code
        await exchange(socket, QUERY, STILL_OPEN)


async def test_an_error_of_a_resolver_is_part_of_the_result(url: str) -> None:
    async with connected(url) as socket:
        await exchange(socket, CONNECT, (subscribe(query="{ tasks(first: 101) { edges { cursor } } }"), []))
        message = await receive(socket)
        assert (message["type"], message["payload"]["errors"][0]["extensions"]["code"]) == ("next", "BAD_INPUT")
        assert await receive(socket) == complete()


async def test_operations_beyond_the_limit_are_errors_and_the_others_go_on(url: str) -> None:
    async with connected(url) as socket:
        await exchange(socket, CONNECT, *((subscribe(f"open {n}", ENDLESS), []) for n in range(OPERATION_LIMIT)))
        await exchange(socket, (subscribe("one more"), []))
        message = await receive(socket)
        assert (message["id"], message["type"]) == ("one more", "error")
        assert message["payload"][0]["extensions"]["code"] == "TOO_MANY_SUBSCRIPTIONS"
        await exchange(socket, (complete("open 0"), []), QUERY, STILL_OPEN)


# What closes the socket -----------------------------------------------------------------------------------------------

LONG = "\u00e9" * 500
CLOSES: dict[str, tuple[list[Exchange], Any, int, str]] = {
    "a binary message": ([CONNECT], b"{}", 4400, "expected a text message"),
    "a message that is not JSON": ([CONNECT], "no json", 4400, "expected JSON"),
    "a message that is no object": ([], "[]", 4400, 'expected a JSON object with "type", a string'),
    "a message without a type": ([], {}, 4400, 'expected a JSON object with "type", a string'),
    "a type that is no string": ([], {"type": None}, 4400, 'expected a JSON object with "type", a string'),
    "an unknown type": ([CONNECT], {"type": "start", "id": "1"}, 4400, "unexpected message type 'start'"),
    "ConnectionAck from the client": ([CONNECT], ACK, 4400, "unexpected message type 'connection_ack'"),
    "Next from the client": ([CONNECT], single({})[0], 4400, "unexpected message type 'next'"),
    "Error from the client": (
        [CONNECT], {"id": "1", "type": "error", "payload": []}, 4400, "unexpected message type 'error'"),
    "a reason that is too long": (
        [], {"type": LONG}, 4400, f"unexpected message type '{LONG}"[:123].encode()[:123].decode(errors="ignore")),
    "ConnectionInit with a list": ([], INIT | {"payload": []}, 4400, 'expected "payload" to be an object or null'),
    "Ping with a string": ([], PING | {"payload": "x"}, 4400, 'expected "payload" to be an object or null'),
    "Pong with a number": ([], PONG | {"payload": 0}, 4400, 'expected "payload" to be an object or null'),
    "Subscribe without an id": (
        [CONNECT], {"type": "subscribe", "payload": {"query": TYPENAME}}, 4400,
        BAD_ID),
    "Subscribe with an empty id": ([CONNECT], subscribe(""), 4400, BAD_ID),
    "Subscribe with a long id": ([CONNECT], subscribe("1" * 201), 4400, BAD_ID),
    "Subscribe with a number as its id": ([CONNECT], subscribe(1), 4400, BAD_ID),
    "Subscribe without a payload": (
        [CONNECT], {"type": "subscribe", "id": "1"}, 4400, 'expected a payload with "query", a string'),
    "Subscribe with a list as its payload": (
        [CONNECT], subscribe() | {"payload": []}, 4400, 'expected "payload" to be an object or null'),
    "Subscribe with a query that is no string": (
        [CONNECT], subscribe(query=5), 4400, 'expected a payload with "query", a string'),
    "Subscribe with a number as operationName": (
        [CONNECT], subscribe(operationName=0), 4400, 'expected "operationName" to be a string or null'),
    "Subscribe with a list as variables": (
        [CONNECT], subscribe(variables=[]), 4400, 'expected "variables" to be an object or null'),
    "Subscribe with a string as extensions": (
        [CONNECT], subscribe(extensions="x"), 4400, 'expected "extensions" to be an object or null'),
    "Subscribe that is malformed, before ConnectionAck": (
        [], subscribe(""), 4400, BAD_ID),
    "Complete without an id": ([CONNECT], {"type": "complete"}, 4400, BAD_ID),
    "Subscribe before ConnectionAck": ([], subscribe(), 4401, "Unauthorized"),
    "a second ConnectionInit": ([CONNECT], INIT, 4429, "Too many initialisation requests"),
    "an id that a subscription has": (
        [CONNECT, (subscribe(query=ENDLESS), [])], subscribe(), 4409, "Subscriber for 1 already exists"),
}  # fmt: skip


@pytest.mark.parametrize("fault", CLOSES)
async def test_the_server_closes_the_socket_upon(url: str, fault: str) -> None:
    before, message, code, reason = CLOSES[fault]
    async with connected(url) as socket:
        await exchange(socket, *before, (message, []))
        assert await close_of(socket) == (code, reason)


async def test_what_comes_after_the_message_that_closes_a_socket_is_ignored(url: str) -> None:
    async with connected(url) as socket:
        await send(socket, "no json", INIT, subscribe(), PING)
        assert await close_of(socket) == (4400, "expected JSON")


async def test_an_id_in_use_closes_the_socket_whatever_the_kind_of_operation(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def never(*_: Any, **__: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Schema, "stream", never)
    async with connected(url) as socket:
        await exchange(socket, CONNECT, (subscribe(), []))
        await begun.wait()
        await send(socket, subscribe())
        assert await close_of(socket) == (4409, "Subscriber for 1 already exists")


# The handshake --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "offered", [["graphql-transport-ws"], ["graphql-ws", "graphql-transport-ws"], ["x", "graphql-transport-ws"]]
)
async def test_a_client_that_offers_the_subprotocol_gets_it(url: str, offered: list[str]) -> None:
    async with dial(url, *offered) as socket:
        assert socket.subprotocol == "graphql-transport-ws"
        await exchange(socket, CONNECT)


@pytest.mark.parametrize("offered", [[], ["mqtt"]])
async def test_a_client_that_does_not_offer_it_is_closed_with_4406(url: str, offered: list[str]) -> None:
    async with dial(url, *offered) as socket:
        assert await close_of(socket) == (4406, "Subprotocol not acceptable")


async def test_the_legacy_subprotocol_is_off_unless_it_is_switched_on(url: str) -> None:
    async with dial(url, "graphql-ws") as socket:
        assert await close_of(socket) == (4406, "graphql-ws is off here (LEGACY_WEBSOCKET); use graphql-transport-ws")


# Time -----------------------------------------------------------------------------------------------------------------


async def test_a_socket_without_connection_init_is_closed_with_4408(
    node_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_session, "INIT_SECONDS", 0.3)
    async with api_node(node_settings) as url, connected(url) as late, connected(url) as punctual:
        await exchange(punctual, CONNECT)
        # Other messages do not extend the time.
        await exchange(late, (PING, [PONG]))
        assert await close_of(late) == (4408, "Connection initialisation timeout")
        await exchange(punctual, QUERY, STILL_OPEN)


async def test_a_client_is_pinged_and_closed_with_4499_if_it_does_not_respond(
    node_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GraphQLTransportWsSession, "keep_alive_seconds", 0.2)
    async with api_node(node_settings) as url, connected(url) as silent, connected(url) as alive, connected(url) as new:
        await exchange(silent, CONNECT)
        await exchange(alive, CONNECT)
        for message in (PONG, complete("unknown"), PONG):
            assert await receive(alive) == PING
            await send(alive, message)
        assert await receive(silent) == PING
        assert await close_of(silent) == (4499, "no pong")
        assert await receive(alive) == PING
        # No ping comes before the acknowledgement.
        await exchange(new, CONNECT)


async def test_a_client_that_is_blocked_is_not_pinged_and_not_closed_for_it(
    node_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GraphQLTransportWsSession, "keep_alive_seconds", 0.1)
    async with api_node(node_settings) as url, connected(url) as socket:
        await exchange(socket, CONNECT)
        connection = the_open_connection()
        connection.pause_writing()
        await asyncio.sleep(0.35)
        connection.resume_writing()
        assert await receive(socket) == PING


async def test_a_node_that_stops_closes_its_sockets_with_1012(node_settings: Settings) -> None:
    async with api_node(node_settings) as url:
        socket = await connected(url)
        await exchange(socket, CONNECT, (subscribe(query=ENDLESS), []), STILL_OPEN)
    assert (await close_of(socket))[0] == 1012


# Credentials that end -------------------------------------------------------------------------------------------------


async def test_a_socket_whose_credential_ends_is_closed_with_4403(node_settings: Settings) -> None:
    async with api_node(node_settings) as url, connected(url) as socket:
        await exchange(socket, CONNECT, (subscribe(query=ENDLESS), []))
        await the_open_connection().config.app.state.sockets.end(lambda _: True)  # type: ignore[union-attr]
        assert await close_of(socket) == (4403, "the credential has ended")


async def test_a_socket_that_does_not_read_cannot_delay_the_end_of_its_credential(node_settings: Settings) -> None:
    async with api_node(node_settings) as url, connected(url) as socket:
        await exchange(socket, CONNECT)
        connection = the_open_connection()
        connection.pause_writing()
        async with asyncio.timeout(5):
            await connection.config.app.state.sockets.end(lambda _: True)  # type: ignore[union-attr]
            await socket.wait_closed()
        assert socket.close_code == 1006


# Failures of ours -----------------------------------------------------------------------------------------------------


async def test_a_caller_that_cannot_be_found_now_is_closed_with_1013(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unavailable(*_: Any) -> Any:
        raise StoreUnavailable("Redis is away")

    monkeypatch.setattr(websocket_endpoint, "caller_of", unavailable)
    async with connected(url) as socket:
        await send(socket, INIT)
        assert await close_of(socket) == (1013, "try again later")


@pytest.mark.parametrize("kind", [ValueError, TimeoutError])
async def test_an_internal_error_closes_the_socket_with_4500_and_is_logged(
    url: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> Any:
        raise kind("a fault of ours")

    monkeypatch.setattr(websocket_endpoint, "caller_of", broken)
    async with connected(url) as socket:
        await send(socket, INIT)
        assert await close_of(socket) == (4500, "Internal server error")
    assert "a fault of ours" in caplog.text


async def test_an_internal_error_of_an_operation_ends_that_operation_only(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(url) as socket:
        await exchange(socket, CONNECT, (subscribe("2", ENDLESS), []), STILL_OPEN)

        async def broken(*_: Any, **__: Any) -> Any:
            raise ValueError("a fault of ours")

        with monkeypatch.context() as patch:
            patch.setattr(Schema, "stream", broken)
            await send(socket, subscribe())
            message = await receive(socket)
        assert (message["id"], message["type"]) == ("1", "error")
        assert message["payload"][0]["extensions"]["code"] == "INTERNAL"
        assert "a fault of ours" not in message["payload"][0]["message"]
        await exchange(socket, QUERY, STILL_OPEN)
    assert "a fault of ours" in caplog.text
