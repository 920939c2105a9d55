"""What one connection receives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from distributed.comm.core import CommClosedError
from distributed.protocol.utils import host_array

from cluster.scheduling.transport.message_parser import Message, MessageParser

BUFFER_BYTES: Final = 8 * 2**10
"""Receive buffer of a connection. A piece of a message that is longer is received into memory of its own."""
MAX_UNREAD_BYTES: Final = 2**20
"""Messages that nobody has read yet; while there are more, nothing is received."""


class MessageProtocol(asyncio.BufferedProtocol):
    """Receives the messages of one connection. To be created in the event loop.

    Args:
        on_connected: called with the protocol once the connection is there, with TLS after its handshake.

    Attributes:
        transport: set once the connection is there.
        closed: nothing more is received or sent.
        lost: done once the transport has sent everything, or has given up.
    """

    def __init__(self, on_connected: Callable[[MessageProtocol], None] = lambda _: None) -> None:
        self._on_connected = on_connected
        self._parser = MessageParser(BUFFER_BYTES, host_array)
        self._unread: deque[Message] = deque()
        self._unread_bytes = 0
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.lost: asyncio.Future[None] = self.loop.create_future()
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._on_connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._parser.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        for message in self._parser.received(nbytes):
            self._unread.append(message)
            self._unread_bytes += message.length
        if self._unread:
            self._wake()
            if self._unread_bytes > MAX_UNREAD_BYTES and not self._paused:
                self._paused = True
                self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._error = self._error or exc
        self.lost.set_result(None)
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def read(self) -> list[memoryview]:
        """Returns the frames of the next message.

        Raises:
            CommClosedError: there will be none.
        """
        while not self._unread:
            if self.closed:
                raise CommClosedError(str(self._error or "the connection is closed")) from self._error
            self._reader = self.loop.create_future()
            await self._reader
        message = self._unread.popleft()
        self._unread_bytes -= message.length
        if self._paused and self._unread_bytes <= MAX_UNREAD_BYTES and not self.closed:
            self._paused = False
            self.transport.resume_reading()
        return message.frames

    def close(self, *, flush: bool) -> None:
        """Closes the connection; with `flush`, after what has been written. Nothing more is read."""
        if self.closed:
            return
        self.closed = True
        if flush:
            self.transport.close()
        else:
            self.transport.abort()
        self._unread.clear()
        self._wake()
