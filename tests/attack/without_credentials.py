"""Attacks by callers who show no credential: they need none, because their requests are never complete, or come before
the credential is looked at. Nobody here reads a response, unless the attack needs it."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.attack.node import Node

ENDED: Final = ("05", "06")
"""TCP's states FIN_WAIT2 and TIME_WAIT in Linux's `/proc/net/tcp`: the node has closed the connection, and has
sent everything; the client has not closed it, or just has."""
QUERY: Final = json.dumps({"query": "{ __schema { types { name fields { name description } } } }"}).encode()
BOMB: Final = b'{"query": "{ a }", "variables": {"x": [' + b",".join([b"{}"] * 1_300_000) + b"]}}"
SUBPROTOCOLS: Final = ("graphql-transport-ws", "graphql-ws")


class Attacker:
    """The connections of one attack, and the bytes that it has sent."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.sockets: list[socket.socket] = []
        self.sent = 0
        self._began = time.monotonic()
        self._dripping: list[asyncio.Task[None]] = []

    async def connect(self, count: int, *, small_window: bool = False) -> list[socket.socket]:
        loop, opened = asyncio.get_running_loop(), []
        for _ in range(count):
            connection = socket.socket()
            connection.setblocking(False)
            if small_window:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            await loop.sock_connect(connection, (self.node.host, self.node.port))
            opened.append(connection)
        self.sockets += opened
        return opened

    async def send(self, connection: socket.socket, data: bytes) -> bool:
        """Returns False if the node no longer takes anything."""
        for start in range(0, len(data), 65_536):
            part = data[start : start + 65_536]
            try:
                await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(connection, part), 2)
            except (OSError, TimeoutError):
                return False
            self.sent += len(part)
        return True

    async def read(self, connection: socket.socket) -> bytes:
        with suppress(OSError, TimeoutError):
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 65_536), 30)
        return b""

    def drip(self, connections: list[socket.socket]) -> None:
        """Goes on to send a byte a second, or as often as the node's times are shorter."""

        async def go_on() -> None:
            while True:
                await asyncio.sleep(1 / self.node.speed)
                for connection in connections:
                    with suppress(OSError):
                        self.sent += connection.send(b"x")

        self._dripping.append(asyncio.create_task(go_on()))

    async def open_sockets(self, count: int, subprotocol: str, *, acknowledged: bool = False, small_window: bool = False
                           ) -> list[socket.socket]:  # fmt: skip
        connections = await self.connect(count, small_window=small_window)
        head = (
            "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
        )
        for connection in connections:
            await self.send(connection, head.encode())
        for connection in connections:
            await self.read(connection)
            if acknowledged:
                await self.send(connection, frame(b'{"type":"connection_init"}'))
                await self.read(connection)
        return connections

    @property
    def open(self) -> int:
        """The connections for which the node, or its kernel, still holds anything. (A client that reads nothing does
        not learn that its connection has ended.)"""
        local, ours = self.node.port, {connection.getsockname()[1] for connection in self.sockets}
        count = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            ends, state = line.split()[1:3], line.split()[3]
            ports = [int(end.rpartition(":")[2], 16) for end in ends]
            count += ports[0] == local and ports[1] in ours and state not in ENDED
        return count

    async def until_ended(self, seconds: float) -> float | None:
        """How long after the attack began all connections had ended; None if some are open after `seconds`."""
        while self.open:
            if time.monotonic() - self._began > seconds:
                return None
            await asyncio.sleep(0.1)
        return time.monotonic() - self._began

    def close(self) -> None:
        for task in self._dripping:
            task.cancel()
        for connection in self.sockets:
            connection.close()


def frame(data: bytes, *, packed: bool = False, opcode: int = 1) -> bytes:
    """A frame as clients send it (RFC 6455, section 5.2), masked with zeros."""
    if packed:
        stream = zlib.compressobj(9, zlib.DEFLATED, -12)
        data = (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    first = 0x80 | (0x40 if packed else 0) | opcode
    if len(data) < 126:
        return bytes([first, 0x80 | len(data)]) + bytes(4) + data
    if len(data) < 65_536:
        return bytes([first, 0xFE]) + struct.pack("!H", len(data)) + bytes(4) + data
    return bytes([first, 0xFF]) + struct.pack("!Q", len(data)) + bytes(4) + data


def post(length: int, coding: str = "identity") -> bytes:
    return (
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


# The attacks; `scale` is 1 for the short form ----------------------------------------------------------------------


async def silent_connections(attacker: Attacker, scale: int) -> None:
    await attacker.connect(100 * scale)


async def slow_heads(attacker: Attacker, scale: int) -> None:
    connections = await attacker.connect(60 * scale)
    for connection in connections:
        await attacker.send(connection, b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    attacker.drip(connections)


async def big_heads(attacker: Attacker, scale: int) -> None:
    for connection in await attacker.connect(2 * scale):
        await attacker.send(connection, b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"x" * 10_000_000)


async def big_urls(attacker: Attacker, scale: int) -> None:
    for connection in await attacker.connect(2 * scale):
        await attacker.send(connection, b"GET /" + b"x" * 10_000_000)


async def many_headers(attacker: Attacker, scale: int) -> None:
    for connection in await attacker.connect(2 * scale):
        await attacker.send(connection, b"GET /graphql HTTP/1.1\r\n" + b"a:b\r\n" * 1_000_000)


async def slow_bodies(attacker: Attacker, scale: int) -> None:
    connections = await attacker.connect(40 * scale)
    for connection in connections:
        await attacker.send(connection, post(1_000_000) + b" " * 300_000)
    attacker.drip(connections)


async def pipelined_requests(attacker: Attacker, scale: int) -> None:
    for connection in await attacker.connect(2 * scale):
        await attacker.send(connection, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20_000)


async def gzip_bombs(attacker: Attacker, scale: int) -> None:
    packed = gzip.compress(BOMB, 9)
    connections = await attacker.connect(4)

    async def throw(connection: socket.socket) -> None:
        for _ in range(3 * scale):
            if await attacker.send(connection, post(len(packed), "gzip") + packed):
                await attacker.read(connection)

    await asyncio.gather(*map(throw, connections))


async def plain_bombs(attacker: Attacker, scale: int) -> None:
    for connection in await attacker.connect(2 * scale):
        if await attacker.send(connection, post(len(BOMB)) + BOMB):
            await attacker.read(connection)


async def silent_sockets(attacker: Attacker, scale: int) -> None:
    for subprotocol in SUBPROTOCOLS:
        await attacker.open_sockets(30 * scale, subprotocol)


async def floods_before_init(attacker: Attacker, scale: int) -> None:
    message = frame(b'{"type":"odd","x":[' + b",".join([b"{}"] * 1_300_000) + b"]}", packed=True)
    for subprotocol in SUBPROTOCOLS:
        for connection in await attacker.open_sockets(1, subprotocol):
            await attacker.send(connection, message * 34 * scale)


async def half_messages(attacker: Attacker, scale: int) -> None:
    half = frame(b" " * 3_900_000)[:1_900_000]
    for subprotocol in SUBPROTOCOLS:
        for acknowledged in (False, True):
            for connection in await attacker.open_sockets(5 * scale, subprotocol, acknowledged=acknowledged):
                await attacker.send(connection, half)


async def pings_without_reading(attacker: Attacker, scale: int) -> None:
    for subprotocol in SUBPROTOCOLS:
        for connection in await attacker.open_sockets(1, subprotocol, acknowledged=True, small_window=True):
            await attacker.send(connection, frame(b"x" * 100, opcode=9) * 20_000 * scale)


async def unread_answers(attacker: Attacker, scale: int) -> None:
    for connection in await attacker.connect(5 * scale, small_window=True):
        await attacker.send(connection, (post(len(QUERY)) + QUERY) * 15)
    for subprotocol, kind in zip(SUBPROTOCOLS, ("subscribe", "start"), strict=True):
        for connection in await attacker.open_sockets(2 * scale, subprotocol, acknowledged=True, small_window=True):
            for number in range(100):
                payload = json.loads(QUERY)
                await attacker.send(
                    connection, frame(json.dumps({"type": kind, "id": str(number), "payload": payload}).encode())
                )


ATTACKS: Final[tuple[Callable[[Attacker, int], Awaitable[None]], ...]] = (
    silent_connections, slow_heads, big_heads, big_urls, many_headers, slow_bodies, pipelined_requests, gzip_bombs,
    plain_bombs, silent_sockets, floods_before_init, half_messages, pings_without_reading, unread_answers,
)  # fmt: skip
