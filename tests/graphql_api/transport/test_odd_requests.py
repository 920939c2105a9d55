"""Unusual headers, bodies and documents: each gets a response, and none causes an internal error."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import shutil
import uuid
import zlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.settings import load_settings
from graphql_api.http.blob_downloads import asked_range
from graphql_api.transport.negotiation import EVENTS, GRAPHQL, JSON, prefers_events, streamed_type
from graphql_api.transport.request_body import BODY_LIMIT_BYTES
from tests import outside
from tests.api_node import api_node
from tests.system import RedisServer, Socket

TYPES = json.dumps({"query": "{ taskTypes { name } }"}).encode()
TWO = "mutation M { submitFibonacci(n: 7411) { taskId } } query B { __typename }"
URQL = f"{GRAPHQL}, application/graphql+json, {JSON}, {EVENTS}, multipart/mixed"


@pytest.fixture(scope="module")
async def url(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    settings = load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("edge"),
        log_level="WARNING",
    )
    async with api_node(settings) as url:
        yield url


async def post(url: str, body: dict[str, Any] | bytes, *headers: tuple[str, str]) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx.AsyncClient() as client:
        client.headers.pop("accept")
        return await client.post(url, content=content, headers=[("content-type", JSON), *headers])


async def send_raw(url: str, *parts: bytes, answers: int = 1) -> bytes:
    """Sends raw parts with a short pause between them; returns the bytes of `answers` responses."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)
        received = b""
        for _ in range(answers):
            head = await reader.readuntil(b"\r\n\r\n")
            received += head
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
            length = lengths[0].partition(b":")[2] if lengths else b"0"
            received += await reader.readexactly(int(length))
        return received
    finally:
        writer.close()


async def final_task(url: str, n: int) -> str:
    """The id of a task that has ended without a worker: it was cancelled."""
    submitted = await post(url, {"query": f"mutation {{ submitFibonacci(n: {n}) {{ taskId }} }}"})
    task_id: str = submitted.json()["data"]["submitFibonacci"]["taskId"]
    cancelled = await post(url, {"query": f'mutation {{ cancelTask(taskId: "{task_id}") {{ state }} }}'})
    assert cancelled.json()["data"]["cancelTask"]["state"] == "CANCELLED"
    return task_id


# Which operation ------------------------------------------------------------------------------------------------------


async def test_a_document_with_several_operations_needs_an_operation_name(url: str) -> None:
    old = await post(url, {"query": TWO})
    new = await post(url, {"query": TWO}, ("accept", GRAPHQL))
    streamed = await post(url, {"query": TWO}, ("accept", EVENTS))
    assert (old.status_code, new.status_code, streamed.status_code) == (200, 400, 200)
    for answer in (old, new):
        assert "data" not in answer.json()
        assert answer.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        assert "operation name" in answer.json()["errors"][0]["message"]
    assert "operation name" in streamed.text
    async with Socket.open(url) as socket:
        await socket.send({"id": "1", "type": "subscribe", "payload": {"query": TWO}})
        assert json.loads(await socket.connection.recv())["type"] == "error"
    listed = await post(url, {"query": "{ tasks(first: 100) { edges { node { input } } } }"})
    assert '"n":7411' not in listed.text
    named = await post(url, {"query": TWO, "operationName": "B"})
    assert named.json() == {"data": {"__typename": "Query"}}


async def test_an_unknown_operation_is_a_request_error_on_every_transport(url: str) -> None:
    asked = {"query": TWO, "operationName": "C"}
    assert (await post(url, asked)).status_code == 200
    assert (await post(url, asked, ("accept", GRAPHQL))).status_code == 400
    assert "Unknown operation named" in (await post(url, asked, ("accept", EVENTS))).text
    only = await post(url, {"query": "fragment F on Query { __typename }"})
    assert "Must provide an operation" in only.text


async def test_an_empty_parameter_counts_as_absent(url: str) -> None:
    one = "query A { __typename }"
    async with httpx.AsyncClient() as client:
        got = await client.get(url, params={"query": one, "variables": "", "operationName": "", "extensions": ""})
    posted = await post(url, {"query": one, "operationName": ""})
    assert got.json() == posted.json() == {"data": {"__typename": "Query"}}
    async with Socket.open(url) as socket:
        await socket.send({"id": "1", "type": "subscribe", "payload": {"query": one, "operationName": ""}})
        assert json.loads(await socket.connection.recv())["payload"] == {"data": {"__typename": "Query"}}


# What the answer is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "takes", "prefers"),
    [
        ("", False, False),
        ("*/*", False, False),
        (EVENTS, True, True),
        ("Text/Event-Stream", True, True),
        (f"{JSON};q=1, {EVENTS};q=0", False, False),
        (f"{EVENTS};Q=0", False, False),
        (f"{EVENTS}, {JSON}", True, True),
        (f"{JSON}, {EVENTS}", True, False),
        (f"{JSON};q=0.9, {EVENTS}", True, True),
        (f"{EVENTS};q=0.5, */*;q=0.1", True, True),
        (f"{EVENTS};q=0.5, */*", True, False),
        (URQL, True, False),
        ("text/html, text/*;q=0.5", False, True),
        (f"x{EVENTS}", False, False),
    ],
)
def test_an_event_stream_is_chosen_by_the_accept_header(accept: str, takes: bool, prefers: bool) -> None:
    assert (streamed_type(accept) == EVENTS, prefers_events(accept)) == (takes, prefers)


async def test_a_query_is_streamed_only_if_the_client_prefers_a_stream(url: str) -> None:
    for headers, kind in (
        ([("accept", f"{JSON};q=1, {EVENTS};q=0")], JSON),
        ([("accept", URQL)], GRAPHQL),
        ([("accept", "TEXT/EVENT-STREAM")], EVENTS),
        ([("accept", "text/html;q=0.1"), ("accept", EVENTS)], EVENTS),
        ([("accept", f"{EVENTS};q=0.2"), ("accept", GRAPHQL)], GRAPHQL),
    ):
        answer = await post(url, TYPES, *headers)
        assert answer.headers["content-type"].partition(";")[0] == kind, headers


async def test_a_subscription_is_streamed_if_the_client_accepts_streams(url: str) -> None:
    task_id = await final_task(url, 7421)
    asked = {"query": f'subscription {{ taskResult(taskId: "{task_id}") {{ state }} }}'}
    for accept in (URQL, f"{EVENTS};q=0.1, {JSON}", EVENTS):
        answer = await post(url, asked, ("accept", accept))
        assert answer.headers["content-type"].startswith(EVENTS)
        assert "CANCELLED" in answer.text
    for accept in ("*/*", f"{JSON}, {EVENTS};q=0"):
        refused = await post(url, asked, ("accept", accept))
        assert refused.status_code == 400
        assert "text/event-stream" in refused.text


async def test_an_event_source_that_received_the_last_event_gets_a_204(url: str) -> None:
    task_id = await final_task(url, 7431)
    for query in (
        f'subscription {{ taskEvents(taskId: "{task_id}") {{ seq kind }} }}',
        f'subscription {{ taskResult(taskId: "{task_id}") {{ seq }} }}',
    ):
        async with httpx.AsyncClient(headers={"accept": EVENTS}) as client:
            first = await client.get(url, params={"query": query})
            last = [line for line in first.text.splitlines() if line.startswith("id: ")][-1].removeprefix("id: ")
            over = await client.get(url, params={"query": query}, headers={"last-event-id": last})
            assert (over.status_code, over.content) == (204, b"")
            # A number that the record has not reached is of one that has expired: what there is now is new.
            for other in ("0", "999"):
                again = await client.get(url, params={"query": query}, headers={"last-event-id": other})
                assert (again.status_code, again.text) == (200, first.text)


async def test_an_event_source_of_an_open_task_gets_no_204(url: str) -> None:
    submitted = await post(url, {"query": "mutation { submitFibonacci(n: 7432) { taskId task { seq } } }"})
    told = submitted.json()["data"]["submitFibonacci"]
    query = f'subscription {{ taskEvents(taskId: "{told["taskId"]}") {{ kind }} }}'
    headers = {"accept": EVENTS, "last-event-id": str(told["task"]["seq"])}
    async with (
        httpx.AsyncClient(headers=headers) as client,
        client.stream("GET", url, params={"query": query}) as answer,
    ):
        assert answer.status_code == 200
        await post(url, {"query": f'mutation {{ cancelTask(taskId: "{told["taskId"]}") {{ state }} }}'})
        text = "".join([part async for part in answer.aiter_text()])
    assert text.count("event: next") == 1
    assert "CANCELLED" in text


@pytest.mark.parametrize("odd", [10**30, -(2**64), "\ud800", {"deep": ["\udfff"]}], ids=repr)
async def test_a_legal_variable_never_prevents_the_result(url: str, odd: Any) -> None:
    task_id = await final_task(url, 7441)
    query = "subscription($id: ID!, $more: JSON) { taskResult(taskId: $id) { state } }"
    unused = "subscription($id: ID!) { taskResult(taskId: $id) { state } }"
    async with Socket.open(url) as socket:
        for number, document in enumerate((unused, unused)):
            payload = {"query": document, "variables": {"id": task_id, "more": odd}}
            await socket.send({"id": str(number), "type": "subscribe", "payload": payload})
            message = json.loads(await socket.connection.recv())
            assert message.get("payload") == {"data": {"taskResult": {"state": "CANCELLED"}}}, query
            assert json.loads(await socket.connection.recv())["type"] == "complete"


async def test_an_error_message_can_repeat_any_part_of_a_request(url: str) -> None:
    for body in (
        {"query": "query($n: Int!) { __typename }", "variables": {"n": "\ud800"}},
        {"query": "query($n: Int!) { __typename }", "variables": {"n": 10**30}},
        {"query": "query($n: Int!) { __typename }", "variables": {"n": 10**4000}},
        {"query": "mutation { submitFibonacci(n: " + "9" * 5000 + ") { taskId } }"},
        {"query": "{ __typename }", "operationName": "\ud800"},
    ):
        for accept in (JSON, EVENTS):
            answer = await post(url, body, ("accept", accept))
            assert answer.status_code == 200, answer.text
            assert '"errors"' in answer.text
            assert "INTERNAL" not in answer.text
    async with Socket.open(url) as socket:
        await socket.send({"id": "\ud800", "type": "subscribe", "payload": {"query": "{ __typename }"}})
        assert json.loads(await socket.connection.recv())["id"] == "\ud800"


# Bodies ---------------------------------------------------------------------------------------------------------------


async def test_a_compressed_body_may_have_several_members(url: str) -> None:
    for cut in (1, 10, len(TYPES)):
        packed = gzip.compress(TYPES[:cut]) + gzip.compress(TYPES[cut:])
        answer = await post(url, packed, ("content-encoding", "gzip"))
        assert answer.json()["data"]["taskTypes"]
    for broken in (gzip.compress(TYPES) + b"more", gzip.compress(TYPES) + gzip.compress(b" ")[:-3]):
        assert (await post(url, broken, ("content-encoding", "gzip"))).status_code == 400
    assert (await post(url, zlib.compress(TYPES) * 2, ("content-encoding", "deflate"))).status_code == 400


async def test_empty_members_count_with_their_compressed_size(url: str) -> None:
    empty = gzip.compress(b"")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT_BYTES // len(empty) // 1_000 + 2):
            yield empty * 1_000

    async with httpx.AsyncClient() as client:
        answer = await client.post(url, content=endless(), headers={"content-type": JSON, "content-encoding": "gzip"})
    assert answer.status_code == 413


def offer(*extra: bytes, body: bytes = TYPES) -> bytes:
    """The headers of a POST that offers an upgrade, as Java's HttpClient and `curl --http2` send them."""
    head = [
        b"POST /graphql HTTP/1.1", b"Host: 127.0.0.1", b"Content-Type: application/json",
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
        *(extra or [b"Content-Length: %d" % len(body)]),
    ]  # fmt: skip
    return b"\r\n".join(head) + b"\r\n\r\n"


async def test_the_body_of_a_request_that_offers_an_upgrade_is_read(url: str) -> None:
    whole = offer() + TYPES
    chunked = offer(b"Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(TYPES), TYPES)
    spread = offer(b"Connection: keep-alive", b"Content-Length: %d" % len(TYPES)) + TYPES
    for request in (whole, chunked, spread):
        for parts in ([request], [request[:40], request[40:]], [request[:-20], request[-20:]]):
            assert b'"fibonacci"' in await send_raw(url, *parts)
    # One connection goes on, whether the next request comes behind this one or later.
    assert (await send_raw(url, whole + whole, whole, answers=3)).count(b'"fibonacci"') == 3
    assert b"100 Continue" in await send_raw(url, offer(b"Expect: 100-continue", b"Content-Length: %d" % len(TYPES)))
    assert b"400 Bad Request" in await send_raw(url, b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
    assert b"400 Bad Request" in await send_raw(url, offer(b"Content-Length: x"))


async def test_curl_may_offer_an_upgrade_to_http_2(url: str) -> None:
    if shutil.which("curl") is None:
        outside.missing("curl is not on PATH")
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--http2", "-H", "Content-Type: application/json", "-d", TYPES.decode(), url,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert b'"fibonacci"' in out


# Heads ----------------------------------------------------------------------------------------------------------------

ODD = ("[", "a]b", "[x]", "[::1", "a:b", "a:99999999", "a@b", "a b", "//", "http://a", "\u00e9", "[::1]:x", "]")


@pytest.mark.parametrize("host", ODD)
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/", "/readyz", "/blobs/x", "/static/x", "/nothing"])
async def test_an_odd_host_never_causes_an_internal_error(url: str, host: str, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n".encode("latin-1")
    status = int((await send_raw(url, request)).split()[1])
    assert status < 500
    if path == "/graphql":
        assert status in (400, 403, 421)


@pytest.mark.parametrize(
    ("name", "value"),
    [("Host", host) for host in ODD] + [("Origin", origin) for origin in (
        "http://[", "https://[x]", "http://", "[", "http://a]b", "://", "file://", "http://a:b:c", "null", "\u00e9")],
)  # fmt: skip
async def test_an_odd_host_or_origin_is_refused_over_http_and_as_a_websocket(url: str, name: str, value: str) -> None:
    host = "" if name == "Host" else f"Host: {urlsplit(url).netloc}\r\n"
    head = f"{host}{name}: {value}\r\nContent-Type: application/json\r\nContent-Length: {len(TYPES)}\r\n\r\n"
    answer = await send_raw(url, b"POST /graphql HTTP/1.1\r\n" + head.encode("latin-1") + TYPES)
    assert int(answer.split()[1]) in (400, 403, 421)
    assert re.search(rb'"code":"(BAD_REQUEST|FOREIGN_HOST|FOREIGN_ORIGIN)"|Invalid', answer)
    shake = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
    handshake = await send_raw(url, f"GET /graphql HTTP/1.1\r\n{host}{name}: {value}\r\n{shake}".encode("latin-1"))
    assert int(handshake.split()[1]) in (400, 403, 421)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", None),
        ("bytes=0-", (0, 99)),
        ("bytes=0-0", (0, 0)),
        ("Bytes=5-9", (5, 9)),
        ("bytes= 5-9 ", (5, 9)),
        ("bytes=90-1000", (90, 99)),
        ("bytes=-10", (90, 99)),
        ("bytes=-1000", (0, 99)),
        ("bytes=0-" + "9" * 5_000, (0, 99)),
        ("bytes=-" + "9" * 5_000, (0, 99)),
        ("bytes=-0", (100, -1)),
        ("bytes=100-", (100, 99)),
        ("bytes=" + "9" * 5_000 + "-", (10**18 - 1, 99)),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("bytes=a-b", None),
        ("bytes=\u0661-\u0662", None),
        ("lines=0-1", None),
    ],
)
def test_a_range_is_read_as_the_standard_says(asked: str, found: tuple[int, int] | None) -> None:
    assert asked_range({"range": asked}, 100) == found
    assert asked_range({"range": asked, "if-range": '"x"'}, 100) is None


NUMBERS = st.just("") | st.integers(0, 10**30).map(str)


@given(NUMBERS, NUMBERS, st.integers(0, 10**6))
def test_any_range_is_within_the_blob_or_unsatisfiable(start: str, end: str, size_bytes: int) -> None:
    found = asked_range({"range": f"bytes={start}-{end}"}, size_bytes)
    if found is not None and found[0] <= found[1]:
        assert 0 <= found[0] <= found[1] < size_bytes


async def test_a_page_that_is_too_long_names_the_argument_and_its_limit(url: str) -> None:
    answer = await post(url, {"query": "{ tasks(first: 101) { edges { cursor } } }"})
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_INPUT", "argument": "first", "limit": 100}
