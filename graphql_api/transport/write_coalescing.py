"""Joins the writes of one turn of the event loop.

uvloop makes a system call for every write. A last result on a WebSocket is two writes (`next` and `complete`), and many
operations may share one socket: their system calls took a tenth of a busy api node's time. (HTTP gains nothing.)
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from graphql_api.transport.slow_reader import abort

FLUSH_BYTES: Final = 64 * 1024
"""Size at which the joined writes are sent at once, so that the transport's flow control notices a slow reader."""

CLOSE_SECONDS: Final = 10.0
"""How long a closed connection may keep sending what was written before."""


class WriteCoalescer:
    """An asyncio.Transport that joins writes; everything but `write` and `close` goes to the transport it wraps."""

    __slots__ = ("_parts", "_size", "_transport")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parts: list[bytes] | None = None
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._parts is None:
            self._parts = []
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > FLUSH_BYTES:
            self._flush()

    def close(self) -> None:
        """Closes when the client has read the rest, and after CLOSE_SECONDS at the latest: a client that does not read
        would hold the socket and its buffer for ever."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, abort, self._transport, "a closed WebSocket")

    def _flush(self) -> None:
        if self._parts is None:
            return
        parts, self._parts, self._size = self._parts, None, 0
        if not self._transport.is_closing():
            self._transport.write(b"".join(parts))
