"""Connections whose clients read slowly or not at all are ended, and cost little memory until then."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
import pytest

from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.lua_scripts import Call
from graphql_api.send_window import SendWindow
from graphql_api.transport import client_transport, graphql_transport_ws, slow_reader
from graphql_api.transport.graphql_transport_ws import GraphQLTransportWsSession
from graphql_api.transport.slow_reader import SlowReader
from tests.api_node import api_node
from tests.system import Socket, System

SUBSCRIBE = "subscription($id: ID!) { taskResult(taskId: $id) { state result { ... on FibonacciResult { value } } } }"
READ_BYTES = 1_000
"""Bytes that a slow client reads in a second."""


class FullTransport:
    """A transport whose buffer holds `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.aborted = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return self.size

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> None:
        return None

    def abort(self) -> None:
        self.aborted.set()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow clients are disconnected after a second."""
    monkeypatch.setattr(slow_reader, "SLOW_SECONDS", 1.0)
    monkeypatch.setattr(slow_reader, "SETTLE_SECONDS", 0.1)


async def test_a_connection_whose_client_reads_nothing_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_reader, "SLOW_SECONDS", 0.05)
    monkeypatch.setattr(slow_reader, "SETTLE_SECONDS", 0.01)
    transport: Any = FullTransport(500_000)
    SlowReader(transport, "a test's connection").pause()
    await asyncio.wait_for(transport.aborted.wait(), 5)


async def test_a_connection_whose_client_reads_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_reader, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(slow_reader, "SETTLE_SECONDS", 0.01)
    transport: Any = FullTransport(500_000)
    slow = SlowReader(transport, "a test's connection")
    slow.pause()
    for _ in range(10):
        await asyncio.sleep(0.05)
        transport.size -= 1_000
    assert not transport.aborted.is_set()
    slow.resume()
    await asyncio.sleep(0.3)
    assert not transport.aborted.is_set()


async def test_large_results_beyond_the_bound_are_read_in_turn_and_cancelled_ones_are_skipped() -> None:
    waiting = SendWindow(100)
    running = asyncio.Event()
    read: list[int] = []

    async def send(number: int) -> None:
        async def result() -> Any:
            read.append(number)
            return SimpleNamespace(result=bytes(60))

        async with waiting.result(result):
            await running.wait()

    async def settle() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    sends = [asyncio.create_task(send(number)) for number in range(6)]
    await settle()
    # One more than there is room for.
    assert read == [0, 1]
    sends[2].cancel()
    sends[3].cancel()
    await settle()
    assert read == [0, 1]
    sends[0].cancel()
    await settle()
    assert read == [0, 1, 4]
    running.set()
    await asyncio.gather(*sends, return_exceptions=True)
    assert read == [0, 1, 4, 5]


async def results(store: Store, count: int, size: int) -> list[str]:
    """Stores `count` finished tasks with results of `size` bytes in Redis."""
    result = json.dumps({"n": 1, "digits": size, "bit_length": 1, "sha256": "0", "text": "7" * size}).encode()
    task_ids = [uuid4().hex for _ in range(count)]
    calls = store.calls
    for task_id in task_ids:
        steps: list[Call[Any]] = [
            calls.submit(task_id, "fibonacci", "1", b'{"n":1}'),
            calls.start(task_id, 1, "w"),
            calls.finish(task_id, 1, result),
        ]
        await store.run_many(steps)
    return task_ids


def frame(message: dict[str, Any]) -> bytes:
    """A text frame as clients send it (RFC 6455, section 5.2), masked with zeros."""
    data = json.dumps(message).encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data))
    return b"\x81" + length + bytes(4) + data


@contextmanager
def raw(url: str, head: str) -> Iterator[socket.socket]:
    """A connection with a small receive buffer in the kernel, over which a request was sent."""
    parts = urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(10)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(head.replace("\n", "\r\n").encode())
        yield connection


@contextmanager
def raw_socket(url: str) -> Iterator[socket.socket]:
    """An acknowledged graphql-transport-ws socket, to be read byte by byte."""
    parts = urlsplit(url)
    head = (
        f"GET /graphql HTTP/1.1\nHost: {parts.netloc}\nConnection: Upgrade\nUpgrade: websocket\n"
        "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\n\n"
    )
    with raw(url, head) as connection:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(frame({"type": "connection_init"}))
        read_until(connection, b"connection_ack")
        yield connection


def read_until(connection: socket.socket, mark: bytes) -> None:
    seen = b""
    while mark not in seen:
        data = connection.recv(1_000)
        assert data, f"closed after {seen!r}"
        seen += data


def subscribe(connection: socket.socket, query: str, task_ids: list[str]) -> None:
    """Begins one operation for each id."""
    for number, task_id in enumerate(task_ids):
        payload = {"query": query, "variables": {"id": task_id}}
        connection.sendall(frame({"type": "subscribe", "id": str(number), "payload": payload}))


@asynccontextmanager
async def slow_socket(url: str, query: str, task_ids: list[str]) -> AsyncIterator[socket.socket]:
    """A raw WebSocket with one operation for each id."""

    def begin() -> Any:
        made = raw_socket(url)
        connection = made.__enter__()
        subscribe(connection, query, task_ids)
        return made, connection

    made, connection = await asyncio.to_thread(begin)
    try:
        yield connection
    finally:
        made.__exit__(None, None, None)


def read_slowly(connection: socket.socket, seconds: float) -> float:
    """Reads READ_BYTES a second until the server ends the connection; returns how long that took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if not connection.recv(READ_BYTES // 10):
                return time.monotonic() - began
        except TimeoutError:
            continue
        except ConnectionError:
            return time.monotonic() - began
        time.sleep(0.1)
    raise AssertionError(f"the connection was open after {seconds} s")


@asynccontextmanager
async def ready(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a node that is ready."""
    async with httpx.AsyncClient() as client:
        async with asyncio.timeout(20):
            while not await is_ready(client, url):
                await asyncio.sleep(0.02)
        yield client


async def is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url.replace("/graphql", "/readyz"))).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
async def test_a_slow_websocket_is_ended_and_does_not_delay_others(
    settings: Settings, store: Store, soon: None
) -> None:
    settings = replace(settings, socket_unsent_bytes=1_000_000)
    task_ids = await results(store, 100, 200_000)
    async with api_node(settings) as url, ready(url) as client:
        async with slow_socket(url, SUBSCRIBE, task_ids) as slow:
            ending = asyncio.create_task(asyncio.to_thread(read_slowly, slow, 30))
            longest = 0.0
            while not ending.done():
                asked = time.monotonic()
                query = {"query": "{ task(taskId: %s) { state } }" % json.dumps(task_ids[0])}  # noqa: UP031
                assert (await client.post(url, json=query)).json()["data"]["task"]["state"] == "SUCCEEDED"
                longest = max(longest, time.monotonic() - asked)
                await asyncio.sleep(0.02)
            assert await ending < 20
        assert longest < 2
        # A client that reads gets all of it.
        async with Socket.open(url) as good:
            good.share()
            found = await asyncio.gather(*(good.collect(SUBSCRIBE, {"id": task_id}) for task_id in task_ids))
        assert [len(items[0]["taskResult"]["result"]["value"]) for items in found] == [200_000] * 100


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["event stream", "answer"])
async def test_a_slow_http_connection_is_ended(settings: Settings, store: Store, soon: None, transport: str) -> None:
    # More than the kernel's buffers take, and less than ANSWER_BYTES.
    task_ids = await results(store, 16, 900_000)
    ids = json.dumps(task_ids)
    query, accept = (
        (f"subscription {{ taskResults(taskIds: {ids}) {{ result {{ ... on FibonacciResult {{ value }} }} }} }}",
         "text/event-stream")
        if transport == "event stream"
        else ("{ " + " ".join(
            f't{n}: task(taskId: "{task_id}") {{ result {{ ... on FibonacciResult {{ value }} }} }}'
            for n, task_id in enumerate(task_ids)) + " }", "application/json")
    )  # fmt: skip
    body = json.dumps({"query": query})
    async with api_node(settings) as url, ready(url):
        head = (
            f"POST /graphql HTTP/1.1\nHost: {urlsplit(url).netloc}\nContent-Type: application/json\n"
            f"Accept: {accept}\nContent-Length: {len(body)}\n\n"
        )
        with raw(url, head) as slow:
            slow.sendall(body.encode())
            assert await asyncio.to_thread(read_slowly, slow, 30) < 20


@pytest.mark.slow
async def test_a_websocket_that_ignores_a_ping_is_ended_even_if_its_close_frame_cannot_be_sent(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GraphQLTransportWsSession, "keep_alive_seconds", 0.3)
    monkeypatch.setattr(graphql_transport_ws, "CLOSE_SECONDS", 0.2)
    # Only the pings end it here.
    monkeypatch.setattr(slow_reader, "SLOW_SECONDS", 600.0)
    monkeypatch.setattr(client_transport, "CLOSE_SECONDS", 600.0)
    [task_id] = await results(store, 1, 30_000)
    async with api_node(settings) as url, ready(url), slow_socket(url, SUBSCRIBE, [task_id]) as silent:
        assert await asyncio.to_thread(read_slowly, silent, 20) < 10


@pytest.mark.slow
async def test_a_socket_for_which_far_too_much_waits_is_ended_at_once(settings: Settings, store: Store) -> None:
    """Results of queries do not wait their turn: the bound on the socket's unsent messages applies to them."""
    settings = replace(settings, socket_unsent_bytes=64_000)
    [task_id] = await results(store, 1, 300_000)
    query = SUBSCRIBE.replace("subscription", "query").replace("taskResult(", "task(")
    async with api_node(settings) as url, ready(url), slow_socket(url, query, [task_id] * 30) as slow:
        assert await asyncio.to_thread(read_slowly, slow, 15) < 10


@pytest.mark.slow
@pytest.mark.nightly
async def test_a_slow_client_costs_little_memory_and_none_once_it_is_ended(tmp_path: Any) -> None:
    """With the real limits, in an api process of its own: a client reads 1 kB/s of 200 MB of results."""
    system = System(tmp_path, min_workers=0, max_workers=1)
    system.redis.start()
    store = Store(system.settings)
    try:
        task_ids = await results(store, 250, 800_000)
        child = await system.start("api")
        process = psutil.Process(child.process.pid)
        async with ready(system.url):
            # Imports in the background must not count.
            before = 0
            while abs(process.memory_info().rss - before) > 1_000_000:
                before = process.memory_info().rss
                await asyncio.sleep(2)
            async with slow_socket(system.url, SUBSCRIBE, task_ids) as slow:
                ending = asyncio.create_task(asyncio.to_thread(read_slowly, slow, 60))
                most = before
                while not ending.done():
                    most = max(most, process.memory_info().rss)
                    await asyncio.sleep(0.1)
                assert await ending < 40
            await asyncio.sleep(1)
            left = process.memory_info().rss
            print(f"\nMB before {before / 1e6:.0f}, most {most / 1e6:.0f}, after {left / 1e6:.0f}")
            assert most - before < 120_000_000
            # The cache of serialised results keeps up to 16 MB.
            assert left - before < 60_000_000
    finally:
        await store.close()
        await system.__aexit__()
