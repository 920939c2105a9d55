"""A transport whose `close` does not wait for its client for ever."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from graphql_api.transport.slow_reader import abort

CLOSE_SECONDS: Final = 10.0
"""How long a closed connection may keep sending what was written before."""


class BoundedCloseTransport:
    """An asyncio.Transport that, once closed, is aborted if its client has not read the rest after CLOSE_SECONDS: a
    client that does not read would hold the socket and its buffer for ever. Everything but `write` and `close` is the
    wrapped transport's own.

    Args:
        what: the kind of connection, for the log.
    """

    # These are called for every message, so they are looked up once.
    __slots__ = ("_transport", "_what", "_write", "get_write_buffer_size", "is_closing")

    def __init__(self, transport: asyncio.Transport, what: str) -> None:
        self._transport = transport
        self._what = what
        self._write = transport.write
        self.is_closing = transport.is_closing
        self.get_write_buffer_size = transport.get_write_buffer_size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Writes, unless the connection is closed: a response may be ready just after its client was given up, and
        uvloop raises RuntimeError then."""
        if not self.is_closing():
            self._write(data)

    def close(self) -> None:
        self._transport.close()
        if self.get_write_buffer_size():
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, abort, self._transport, f"a closed {self._what}")
