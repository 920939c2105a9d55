"""A transport that sends what is written in one turn of the event loop together.

uvloop makes a system call of every write. A last result on a WebSocket is two of them (`next` and `complete`), and many
operations may share one socket: a tenth of a busy api node's time. (A response to a lone request gains nothing by it.)
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from graphql_api.backlog import end

FULL: Final = 64 * 1024
"""Bytes that are sent at once: beyond them a slow reader is to be felt, by the flow control of the transport."""

CLOSE_SECONDS: Final = 10.0
"""How long a closed connection may go on sending what was written before."""


class WriteCoalescer:
    """What uvicorn's protocol uses of an asyncio.Transport; all but writing and closing is the transport's own."""

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
        if self._size > FULL:
            self._flush()

    def close(self) -> None:
        """Closes when the client has taken what is left, and in CLOSE_SECONDS at the latest: one that does not read
        would keep its socket and our memory for ever."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, end, self._transport, "a closed WebSocket")

    def _flush(self) -> None:
        if self._parts is None:
            return
        parts, self._parts, self._size = self._parts, None, 0
        if not self._transport.is_closing():
            self._transport.write(b"".join(parts))
