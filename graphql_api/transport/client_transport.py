"""The transport of a client's connection: what is written in one turn of the event loop is sent together, and `close`
does not wait for the client for ever.

uvloop makes a system call for every write. The head and the body of a response are two writes, and so are a last result
on a WebSocket and its `complete`, of which many operations share one socket. Each call also wakes the client: on a busy
machine, writes that are not joined cost a fifth of a task's processor time in all processes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from weakref import WeakKeyDictionary

from graphql_api.transport.slow_reader import abort

FLUSH_BYTES: Final = 64 * 1024
"""Size at which joined writes are sent at once, so that the transport's flow control notices a slow reader."""
CLOSE_SECONDS: Final = 10.0
"""How long a closed connection may keep sending what was written before."""


class LoopTurn:
    """The transports that have something to send at the end of the event loop's turn. One callback serves all: one
    result may be written to thousands of sockets in a turn."""

    def __init__(self) -> None:
        self._written: list[ClientTransport] = []

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> LoopTurn:
        """That of an event loop."""
        turn = _TURNS.get(loop)
        if turn is None:
            turn = _TURNS[loop] = cls()
        return turn

    def flush_at_end(self, transport: ClientTransport) -> None:
        """Calls `flush` of a transport at the end of this turn."""
        if not self._written:
            asyncio.get_running_loop().call_soon(self._flush_all)
        self._written.append(transport)

    def _flush_all(self) -> None:
        written, self._written = self._written[::-1], []
        try:
            while written:
                written.pop().flush()
        finally:
            # If one failed, the others follow in the next turn.
            for transport in reversed(written):
                self.flush_at_end(transport)


_TURNS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, LoopTurn]] = WeakKeyDictionary()


class ClientTransport:
    """An asyncio.Transport that joins writes and, once closed, is aborted if its client has not read the rest after
    CLOSE_SECONDS: a client that does not read would hold the socket and its buffer for ever. Everything else is the
    wrapped transport's own.

    Args:
        what: the kind of connection, for the log.
    """

    __slots__ = ("_parts", "_size", "_transport", "_turn", "_what")

    def __init__(self, transport: asyncio.Transport, what: str) -> None:
        self._transport = transport
        self._what = what
        self._parts: list[bytes] = []
        self._size = 0
        self._turn = LoopTurn.of(asyncio.get_running_loop())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    # Called for every message, so they are not left to `__getattr__`.

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Writes at the end of this turn of the event loop, or when FLUSH_BYTES wait."""
        if not self._parts:
            self._turn.flush_at_end(self)
        self._parts.append(data)
        self._size += len(data)
        if self._size > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Sends what was written in this turn."""
        parts = self._parts
        if not parts:
            return
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._size = 0
        # A response may be ready just after its client was given up, and uvloop raises RuntimeError then.
        if not self._transport.is_closing():
            self._transport.write(data)

    def write_eof(self) -> None:
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        self.flush()
        self._transport.close()
        if self.get_write_buffer_size():
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, abort, self._transport, f"a closed {self._what}")
