"""The transport of a client's connection: what is written in one turn of the event loop is sent together, and `close`
does not wait for the client for ever.

uvloop makes a system call for every write. The head and the body of a response are two writes, and so are a last result
on a WebSocket and its `complete`, of which many operations share one socket. Each call also wakes the client: on a busy
machine, writes that are not joined cost a fifth of a task's processor time in all processes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from graphql_api.transport.slow_reader import abort

FLUSH_BYTES: Final = 64 * 1024
"""Size at which joined writes are sent at once, so that the transport's flow control notices a slow reader."""
CLOSE_SECONDS: Final = 10.0
"""How long a closed connection may keep sending what was written before."""


class ClientTransport:
    """An asyncio.Transport that joins writes and, once closed, is aborted if its client has not read the rest after
    CLOSE_SECONDS: a client that does not read would hold the socket and its buffer for ever. Everything else is the
    wrapped transport's own.

    Args:
        what: the kind of connection, for the log.
    """

    # The methods are called for every message, so they are looked up once.
    __slots__ = (
        "_call_soon",
        "_parts",
        "_size",
        "_transport",
        "_what",
        "_write",
        "get_write_buffer_size",
        "is_closing",
    )

    def __init__(self, transport: asyncio.Transport, what: str) -> None:
        self._transport = transport
        self._what = what
        self._parts: list[bytes] = []
        self._size = 0
        self._call_soon = asyncio.get_running_loop().call_soon
        self._write = transport.write
        self.is_closing = transport.is_closing
        self.get_write_buffer_size = transport.get_write_buffer_size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Writes at the end of this turn of the event loop, or when FLUSH_BYTES wait."""
        if not self._parts:
            self._call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        parts = self._parts
        if not parts:
            return
        self._parts, self._size = [], 0
        # A response may be ready just after its client was given up, and uvloop raises RuntimeError then.
        if not self.is_closing():
            self._write(parts[0] if len(parts) == 1 else b"".join(parts))

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()
        if self.get_write_buffer_size():
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, abort, self._transport, f"a closed {self._what}")
