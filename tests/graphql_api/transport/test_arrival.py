"""What arrives before a node knows its sender is bounded in size, number and time, and ends by itself.

`make attack` measures what such clients cost; here each bound has its response.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import time
import uuid
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from cluster.settings import Settings, load_settings
from graphql_api.transport import address_limits, uvicorn_internals
from graphql_api.transport.address_limits import AddressLimits, UnfinishedMessage
from graphql_api.transport.arrival import HEAD_BYTES, HEADER_LIMIT, URL_BYTES
from graphql_api.transport.json import has_more_values
from graphql_api.transport.response_headers import SAFE_HEADERS
from graphql_api.transport.uvicorn_internals import BEFORE_ACK_BYTES
from graphql_api.transport.websockets_internals import FIRST_MESSAGE_BYTES
from tests.api_node import api_node
from tests.sockets import dial, exchange, receive, send
from tests.system import RedisServer
from tests.thoroughness import examples

BODY = json.dumps({"query": "{ __typename }"}).encode()
HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
)
INIT = {"type": "connection_init"}


def bounded(settings: Settings) -> Settings:
    """No proxy is trusted, so that this machine's address is bounded as any other."""
    return replace(settings, trusted_proxies="", legacy_websocket=True)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return bounded(settings)


@pytest.fixture(scope="module")
async def url(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    settings = load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("arrival"),
        log_level="WARNING",
    )
    async with api_node(bounded(settings)) as url:
        yield url


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """All times are a fraction of a second."""
    monkeypatch.setattr(uvicorn_internals, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(uvicorn_internals, "BODY_SECONDS", 0.3)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()


async def response_to(url: str, *parts: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the body of the only response to what is sent, after which the server closes the connection. It
    has the headers of every response, though no application has seen the request."""
    async with connected(url) as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        lines = [line.lower() for line in head.split(b"\r\n")]
        assert all(lines.count(b"%s: %s" % (name, value.lower())) == 1 for name, value in SAFE_HEADERS.items())
        return int(head.split()[1]), json.loads(body)["errors"][0]


def frame(data: bytes, *, packed: bool = False, last: bool = True, opcode: int = 1) -> bytes:
    """A frame as clients send it (RFC 6455, section 5.2), masked with zeros."""
    if packed:
        stream = zlib.compressobj(9, zlib.DEFLATED, -12)
        data = (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    first = (0x80 if last else 0) | (0x40 if packed else 0) | opcode
    if len(data) < 126:
        return bytes([first, 0x80 | len(data)]) + bytes(4) + data
    if len(data) < 65_536:
        return bytes([first, 0xFE]) + struct.pack("!H", len(data)) + bytes(4) + data
    return bytes([first, 0xFF]) + struct.pack("!Q", len(data)) + bytes(4) + data


@asynccontextmanager
async def raw_socket(
    url: str, subprotocol: str, *, acknowledged: bool = False
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with connected(url) as (reader, writer):
        writer.write(HANDSHAKE.format(subprotocol=subprotocol).encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        if acknowledged:
            writer.write(frame(json.dumps(INIT).encode()))
            await reader.readuntil(b'connection_ack"}')
        yield reader, writer


async def close_code(reader: asyncio.StreamReader) -> int:
    """The code of the close frame with which the server ends the connection."""
    await reader.readuntil(b"\x88")
    (code,) = struct.unpack("!xH", await reader.readexactly(3))
    return int(code)


# Heads ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * HEAD_BYTES + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10 * HEAD_BYTES, 431),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"x: y\r\n" * HEADER_LIMIT + b"\r\n", 431),
        (b"GET /" + b"x" * URL_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /" + b"x" * 10 * HEAD_BYTES, 431),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 3 * HEAD_BYTES,
            405,
        ),
        (b"GET /graphql?" + b"x" * 9_000 + HANDSHAKE.format(subprotocol="graphql-ws").encode()[12:], 400),
        (b"nonsense\r\n\r\n", 400),
    ],
    ids=["large", "large and unfinished", "many headers", "URL", "endless URL", "trailers", "handshake", "no HTTP"],
)
async def test_a_head_beyond_the_bounds_is_refused_with_its_status(
    url: str, head: bytes, status: int, quick: None
) -> None:
    if status == 405:
        # The response comes before the trailers do; what follows it is not kept, and the connection ends.
        async with connected(url) as (reader, writer):
            writer.write(head)
            assert b" 405 " in await reader.readline()
            await reader.read()
        return
    found, error = await response_to(url, head)
    assert (found, error["extensions"]) == (status, {"code": "BAD_REQUEST"})


async def test_heads_within_the_bounds_are_served(url: str) -> None:
    async with httpx.AsyncClient() as client:
        headers = {f"x-{number}": "y" * 300 for number in range(HEADER_LIMIT - 10)}
        assert (await client.get(url, params={"query": "{ __typename }"}, headers=headers)).status_code == 200
        query = "{ __typename }" + " " * 10_000
        assert (await client.get(url, params={"query": query.replace(" ", "\n")})).status_code in (200, 414)


@pytest.mark.parametrize(
    "sent",
    [[b""], [b"\r\n"], [b"GET /healthz HTTP/1.1\r\nHost:"],
     [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n"]],
    ids=["nothing", "an empty line", "half a head", "an empty line after a request"],
)  # fmt: skip
async def test_a_connection_that_sends_no_request_ends_by_itself(
    settings: Settings, quick: None, sent: list[bytes]
) -> None:
    async with api_node(settings) as url, connected(url) as (reader, writer):
        writer.write(sent[0])
        if sent[1:]:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent[1])
        received = await reader.read()
        assert received.startswith(b"HTTP/1.1 408 ") if sent[0].endswith(b"Host:") else b" 408 " not in received


async def test_a_head_that_comes_byte_by_byte_ends_by_itself(settings: Settings, quick: None) -> None:
    async with api_node(settings) as url, connected(url) as (reader, writer):
        response = asyncio.ensure_future(reader.read())
        began = time.monotonic()
        for byte in b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 1_000:
            writer.write(bytes([byte]))
            await asyncio.wait([response], timeout=0.02)
            if response.done():
                break
        assert (await response).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "path", ["/", "/graphql", "/graphql/", "/healthz", "/metrics", "/blobs/x", "/static/favicon.svg"]
)
async def test_a_malformed_head_is_never_a_fault_of_the_node(url: str, path: str) -> None:
    for line in ("Host: [", "Host: a b", "Host: \xff", "Origin: http://[", "Range: bytes=0-" + "9" * 5_000, "X: \x00"):
        async with connected(url) as (reader, writer):
            writer.write(f"GET {path} HTTP/1.1\r\n{line}\r\nConnection: close\r\n\r\n".encode("latin-1"))
            assert int((await reader.readline()).split()[1]) < 500


HUGE: list[Any] = [2**31, 2**63, -(2**70), 10**400]
ABSURD: dict[str, list[Any]] = {
    "subscription($x: ID!) { taskResult(taskId: $x) { state } }": HUGE,
    "subscription($x: [ID!]!) { taskResults(taskIds: $x) { state } }": [[value] for value in HUGE],
    'subscription($x: Int) { taskEvents(taskId: "a", afterSeq: $x) { seq } }': HUGE,
    "query($x: ID!) { task(taskId: $x) { state } }": HUGE,
    "query($x: Int) { tasks(first: $x) { edges { cursor } } }": HUGE,
    "mutation($x: Int!) { submitFibonacci(n: $x) { taskId } }": HUGE,
}


@pytest.mark.parametrize("query", ABSURD)
async def test_a_number_beyond_64_bits_is_refused_with_a_code(url: str, query: str) -> None:
    async with httpx.AsyncClient() as client, dial(url, "graphql-transport-ws") as socket:
        await exchange(socket, (INIT, [{"type": "connection_ack"}]))
        for number, value in enumerate(ABSURD[query]):
            operation = {"query": query, "variables": {"x": value}}
            stream = await client.post(url, json=operation, headers={"Accept": "text/event-stream"})
            await send(socket, {"type": "subscribe", "id": str(number), "payload": operation})
            while (message := await receive(socket))["type"] == "complete":
                pass
            for shown in (stream.text, json.dumps(message)):
                assert "code" in shown
                assert "INTERNAL" not in shown


# Bodies ---------------------------------------------------------------------------------------------------------------


def post(length: int, *, path: str = "/graphql", coding: str = "identity") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


async def test_a_body_that_does_not_come_ends_by_itself(settings: Settings, quick: None) -> None:
    async with api_node(settings) as url, connected(url) as (reader, writer):
        writer.write(post(1_000) + b"{")
        assert b"did not arrive" not in await reader.read()


async def test_the_rest_of_a_body_that_nobody_reads_ends_by_itself(settings: Settings, quick: None) -> None:
    async with api_node(settings) as url, connected(url) as (reader, writer):
        writer.write(post(10**9, path="/healthz"))
        assert b" 405 " in await reader.readline()
        while not reader.at_eof():
            writer.write(b"x" * 100)
            await asyncio.wait([asyncio.ensure_future(reader.read(1_000))], timeout=0.05)


async def test_a_body_may_take_longer_if_it_arrives_fast_enough(
    settings: Settings, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn_internals, "BODY_BYTES_PER_SECOND", 100)
    async with api_node(settings) as url, connected(url) as (reader, writer):
        writer.write(post(len(BODY) + 2_000))
        for _ in range(10):
            writer.write(b" " * 200)
            await asyncio.sleep(0.05)
        writer.write(BODY)
        assert b" 200 " in await reader.readline()


async def test_unfinished_bodies_of_an_address_are_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_limits, "UNFINISHED_BYTES_PER_ADDRESS", 1_000_000)
    async with api_node(settings) as url, connected(url) as one, connected(url) as other:
        for _, writer in (one, other):
            writer.write(post(2_000_000) + b" " * 600_000)
        responses = [asyncio.ensure_future(reader.readline()) for reader, _ in (one, other)]
        done, _ = await asyncio.wait(responses, return_when=asyncio.FIRST_COMPLETED)
        assert [b" 429 " in response.result() for response in done] == [True]
        assert len(done) == 1


async def test_a_body_unpacks_to_a_hundred_times_its_size(url: str) -> None:
    async with httpx.AsyncClient() as client:
        for padding, status in ((50_000, 200), (3_000_000, 413)):
            packed = gzip.compress(BODY + b" " * padding)
            response = await client.post(
                url, content=packed, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
            )
            assert response.status_code == status, response.text
            if status == 413:
                assert "100 times" in response.text


async def test_json_with_too_many_values_is_refused_before_it_is_parsed(url: str) -> None:
    async with httpx.AsyncClient() as client:
        body = b'{"query": "{ __typename }", "variables": {"x": [' + b",".join([b"{}"] * 1_000_000) + b"]}}"
        response = await client.post(url, content=body, headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (400, "DOCUMENT_TOO_LARGE")
        # A text is one value, whatever is in it.
        body = json.dumps({"query": "{ __typename }", "variables": {"x": '[{,\\"' * 300_000}}).encode()
        response = await client.post(url, content=body, headers={"Content-Type": "application/json"})
        assert response.json() == {"data": {"__typename": "Query"}}


VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a,[]{}"\\:'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet=',[{"\\'), inner),
)


@settings_of_hypothesis(max_examples=examples(100))
@given(VALUES, st.integers(1, 50))
def test_the_values_of_json_are_counted_without_parsing_it(value: Any, limit: int) -> None:
    def count(item: Any) -> int:
        if isinstance(item, dict):
            return 1 + sum(map(count, item.values()))
        return 1 + sum(map(count, item)) if isinstance(item, list) else 1

    text = json.dumps(value)
    values = count(value)
    if values <= limit:
        assert not has_more_values(text, 2 * limit)
    # A comma or an opening bracket at least belongs to each value but the first and the empty ones.
    if has_more_values(text, limit):
        assert has_more_values(text.encode(), limit)
    elif len(text) > 2 * limit:
        assert values <= 2 * limit + 1


# WebSockets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subprotocol", ["graphql-transport-ws", "graphql-ws"])
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b" " * (FIRST_MESSAGE_BYTES + 1)), 1009),
        (frame(b" " * 10 * FIRST_MESSAGE_BYTES, packed=True), 1009),
        (frame(b" " * FIRST_MESSAGE_BYTES, last=False) + frame(b" ", last=False, opcode=0), 1009),
        (frame(b" " * 4_000_000)[: FIRST_MESSAGE_BYTES + 20], 1009),
        (frame(b"", opcode=9) * (BEFORE_ACK_BYTES // 6 + 1), 1009),
        (frame(b"[]"), 4400),
        (frame(b'{"type": "odd"}'), None),
    ],
    ids=["large", "bomb", "large in parts", "half", "pings", "no object", "unknown type"],
)
async def test_before_the_acknowledgement_a_socket_is_closed_at_the_first(
    url: str, subprotocol: str, sent: bytes, code: int | None
) -> None:
    async with raw_socket(url, subprotocol) as (reader, writer):
        writer.write(sent)
        assert await close_code(reader) == (code or (4401 if subprotocol == "graphql-ws" else 4400))


@pytest.mark.parametrize("subprotocol", ["graphql-transport-ws", "graphql-ws"])
async def test_after_the_acknowledgement_large_messages_are_read_in_slices(url: str, subprotocol: str) -> None:
    kind = "subscribe" if subprotocol == "graphql-transport-ws" else "start"
    operation = {"type": kind, "id": "1", "payload": {"query": "{ __typename }", "variables": {"x": "y" * 100_000}}}
    async with raw_socket(url, subprotocol, acknowledged=True) as (reader, writer):
        writer.write(frame(json.dumps(operation).encode()) * 3)
        for _ in range(3):
            await reader.readuntil(b"__typename")
        await reader.readuntil(b"complete")


async def test_a_message_unpacks_to_a_hundred_times_its_size_also_in_parts(url: str) -> None:
    stream = zlib.compressobj(9, zlib.DEFLATED, -12)
    parts = [stream.compress(b" " * 200_000) + stream.flush(zlib.Z_SYNC_FLUSH) for _ in range(10)]
    frames = [bytes([0x41, 0xFE]) + struct.pack("!H", len(parts[0])) + bytes(4) + parts[0]]
    frames += [bytes([0x00, 0xFE]) + struct.pack("!H", len(part)) + bytes(4) + part for part in parts[1:]]
    async with raw_socket(url, "graphql-transport-ws", acknowledged=True) as (reader, writer):
        writer.write(b"".join(frames))
        assert await close_code(reader) == 1009


@pytest.mark.parametrize("acknowledged", [True, False])
async def test_half_a_message_ends_by_itself(settings: Settings, quick: None, acknowledged: bool) -> None:
    async with (
        api_node(settings) as url,
        raw_socket(url, "graphql-transport-ws", acknowledged=acknowledged) as (reader, writer),
    ):
        writer.write(frame(b" " * 10_000)[:5_000])
        assert await close_code(reader) == 1008


async def test_unfinished_messages_of_an_address_are_bounded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_limits, "UNFINISHED_BYTES_PER_ADDRESS", 100_000)
    async with (
        api_node(settings) as url,
        raw_socket(url, "graphql-transport-ws", acknowledged=True) as one,
        raw_socket(url, "graphql-transport-ws", acknowledged=True) as other,
    ):
        for _, writer in (one, other):
            writer.write(frame(b" " * 1_000_000)[:60_000])
        closes = [asyncio.ensure_future(close_code(reader)) for reader, _ in (one, other)]
        done, _ = await asyncio.wait(closes, return_when=asyncio.FIRST_COMPLETED)
        assert [close.result() for close in done] == [1013]


async def test_others_are_served_while_a_socket_sends_without_a_pause(url: str) -> None:
    flood = frame(b'{"type":"ping"}') * 500
    async with raw_socket(url, "graphql-transport-ws", acknowledged=True) as (reader, writer):
        reading = asyncio.ensure_future(reader.readexactly(500 * (2 + len(b'{"type":"pong"}'))))
        writer.write(flood)
        async with httpx.AsyncClient() as client:
            longest = 0.0
            while not reading.done():
                began = time.monotonic()
                await client.get(url.replace("/graphql", "/healthz"))
                longest = max(longest, time.monotonic() - began)
        assert (await reading).count(b"pong") == 500
        assert longest < 2


# Connections ----------------------------------------------------------------------------------------------------------


async def test_connections_of_an_address_are_bounded_and_given_back(settings: Settings) -> None:
    settings = replace(settings, connections_per_address=3)
    async with api_node(settings) as url:
        async with connected(url), connected(url), dial(url, "graphql-transport-ws") as socket:
            await exchange(socket, (INIT, [{"type": "connection_ack"}]))
            status, error = await response_to(url, b"")
            assert (status, error["extensions"]["code"]) == (429, "TOO_MANY_CONNECTIONS")
        async with httpx.AsyncClient() as client:
            async with asyncio.timeout(10):
                while (await client.get(url.replace("/graphql", "/healthz"))).status_code != 200:
                    await asyncio.sleep(0.01)


async def test_event_streams_that_are_opened_at_once_are_bounded_by_address_and_given_back(settings: Settings) -> None:
    settings = replace(settings, sockets_per_client=3)
    subscription = {"query": f'subscription {{ taskResult(taskId: "{"f" * 32}") {{ state }} }}'}
    async with api_node(settings) as url, httpx.AsyncClient(timeout=10) as client:

        async def opened(until: asyncio.Event) -> int:
            async with client.stream(
                "POST", url, json=subscription, headers={"Accept": "text/event-stream"}
            ) as response:
                statuses.append(response.status_code)
                if len(statuses) == 12:
                    until.set()
                await until.wait()
                return response.status_code

        for _ in range(2):
            statuses: list[int] = []
            streams = [asyncio.create_task(opened(all_opened)) for all_opened in [asyncio.Event()] for _ in range(12)]
            assert sorted(await asyncio.gather(*streams)) == [200] * 3 + [400] * 9
            # The node notices that the streams are closed.
            async with asyncio.timeout(10):
                while (
                    "dask_graphql_sockets_open 0.0" not in (await client.get(url.replace("/graphql", "/metrics"))).text
                ):
                    await asyncio.sleep(0.02)


def limits(settings: Settings, **changes: Any) -> AddressLimits:
    return AddressLimits(replace(settings, **changes))


def test_a_proxy_is_not_bounded_but_counted_in_all(settings: Settings) -> None:
    many = limits(settings, connections_per_address=1, trusted_proxies="10.0.0.0/8,::1")
    assert [many.connect(host) for host in ("10.1.2.3", "10.1.2.3", "::1", "::1", "1.1.1.1", "1.1.1.1")] == [
        True, True, True, True, True, False,
    ]  # fmt: skip
    assert many.connections == 5
    assert limits(settings, trusted_proxies="*").is_proxy("1.1.1.1")


def test_an_address_of_ipv6_counts_as_its_network(settings: Settings) -> None:
    many = limits(settings, connections_per_address=1)
    hosts = ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::7", "2001:db8:1:3::7", "::ffff:1.2.3.4", "1.2.3.4")
    assert [many.connect(host) for host in hosts] == [True, False, True, True, False]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 10**7))))
def test_unfinished_messages_are_given_back(steps: list[tuple[int, int, int]]) -> None:
    many = AddressLimits(Settings())
    messages = [UnfinishedMessage(many, f"10.0.0.{number % 2}") for number in range(4)]
    for number, kind, size in steps:
        if kind:
            messages[number].grow_to(size)
        else:
            messages[number].release()
    for message in messages:
        message.release()
    assert [many._unfinished[name] for name in ("", "10.0.0.0", "10.0.0.1")] == [0, 0, 0]
