"""A client that costs next to nothing: HTTP/1.1 and WebSocket on asyncio's transports.

A library's client would need a third of the processor time of the server that it measures, on the same two cores. This
one only understands what our servers send: bodies with a length, and frames that are whole messages.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

TEXT, PING, PONG = 1, 9, 10
"""Opcodes (RFC 6455, section 5.2)."""
DEFLATE: Final = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
PONG_MESSAGE: Final = {"type": "pong"}


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


class Http(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._response: asyncio.Future[bytes] | None = None
        self._data = b""

    @classmethod
    async def open(cls, url: str) -> Http:
        parts = urlsplit(url)
        _, made = await asyncio.get_running_loop().create_connection(cls, *_address(url))
        made._head = (
            f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._head = b""

    async def ask(self, method: bytes, path: bytes, body: bytes = b"") -> bytes:
        """The body of the response, whatever its status."""
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(b"%b %b%b%d\r\n\r\n%b" % (method, path, self._head, len(body), body))
        return await self._response

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) >= length:
            assert self._response is not None
            self._data = b""
            self._response.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(exc or ConnectionError("the server closed the connection"))

    @property
    def closed(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()


class HttpPool:
    """A pool of at most `max_connections` connections."""

    def __init__(self, url: str, max_connections: int) -> None:
        self._url = url
        self._path = (urlsplit(url).path or "/").encode()
        self._free: deque[Http] = deque()
        self._slots = asyncio.Semaphore(max_connections)

    async def post(self, body: bytes) -> bytes:
        """The response to a body that is posted to the url."""
        return await self.ask(b"POST", self._path, body)

    async def ask(self, method: bytes, path: bytes, body: bytes = b"") -> bytes:
        """The response to any request."""
        async with self._slots:
            connection = await self._connection()
            response = await connection.ask(method, path, body)
            self._free.append(connection)
            return response

    async def _connection(self) -> Http:
        while self._free:
            # Servers close connections that were idle for a while.
            if not (connection := self._free.popleft()).closed:
                return connection
        return await Http.open(self._url)

    def close(self) -> None:
        for connection in self._free:
            connection.close()


class Socket(asyncio.Protocol):
    """One graphql-transport-ws connection.

    Args:
        deflate: whether it offers permessage-deflate, as browsers do; but it cannot read compressed messages.
        on_message: called with the text of each message except pings; the first one acknowledges the connection.
        on_close: called when the connection is closed.
    """

    def __init__(
        self, netloc: str, on_message: Callable[[Socket, bytes], None], on_close: Callable[[], None], *, deflate: bool
    ) -> None:
        self._netloc = netloc
        self._deflate = deflate
        self._on_message = on_message
        self._on_close = on_close
        self._data = b""
        self._open = False

    @classmethod
    async def open(
        cls,
        url: str,
        on_message: Callable[[Socket, bytes], None],
        on_close: Callable[[], None],
        *,
        deflate: bool = False,
    ) -> Socket:
        parts = urlsplit(url)
        _, made = await asyncio.get_running_loop().create_connection(
            lambda: cls(parts.netloc, on_message, on_close, deflate=deflate), *_address(url)
        )
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: {self._netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: graphql-transport-ws\r\n{DEFLATE if self._deflate else ''}\r\n".encode()
        )

    def subscribe(self, operation: str, query: str, variables: dict[str, Any]) -> None:
        self.send({"id": operation, "type": "subscribe", "payload": {"query": query, "variables": variables}})

    def send(self, message: object) -> None:
        self._frame(TEXT, orjson.dumps(message))

    def _frame(self, opcode: int, body: bytes) -> None:
        size = len(body)
        # Client frames must be masked (RFC 6455, section 5.3); a mask of zeros leaves them unchanged.
        length = (
            bytes([0x80 | size]) if size < 126 else b"\xfe%b" % size.to_bytes(2, "big") if size < 65536
            else b"\xff%b" % size.to_bytes(8, "big")
        )  # fmt: skip
        self._transport.write(b"%b%b\0\0\0\0%b" % (bytes([0x80 | opcode]), length, body))

    def data_received(self, data: bytes) -> None:
        self._data = data = self._data + data if self._data else data
        if not self._open:
            head, found, self._data = data.partition(b"\r\n\r\n")
            if not found:
                self._data = data
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(head[:200].decode(errors="replace"))
            self._open = True
            self.send({"type": "connection_init"})
            data = self._data
        at = 0
        while (frame := _frame_at(data, at)) is not None:
            first, start, end = frame
            if first & 15 == PING:
                self._frame(PONG, data[start:end])
            elif first & 15 == TEXT:
                assert not first & 0x40, "cannot read compressed messages: use short results"
                self._receive(data[start:end])
            at = end
        self._data = data[at:]

    def _receive(self, body: bytes) -> None:
        if body == b'{"type":"ping"}':
            self.send(PONG_MESSAGE)
        else:
            self._on_message(self, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_close()

    def close(self) -> None:
        self._transport.close()


def _frame_at(data: bytes, at: int) -> tuple[int, int, int] | None:
    """The first byte of the frame at a position, and where its content starts and ends; None if it is incomplete."""
    if len(data) < at + 2:
        return None
    size, start = data[at + 1] & 127, at + 2
    if size > 125:
        start += 2 if size == 126 else 8
        if len(data) < start:
            return None
        size = int.from_bytes(data[at + 2 : start], "big")
    return (data[at], start, start + size) if len(data) >= start + size else None
