"""Ends connections whose clients hardly read: they would hold their buffers for as long as the client likes."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from contextlib import suppress
from typing import Final

from cluster.observability import metrics

logger = logging.getLogger(__name__)

SLOW_SECONDS: Final = 25.0
"""Period over which a client's reading speed is measured."""
SLOW_BYTES_PER_SECOND: Final = 4_096
"""A client that reads more slowly than this is disconnected."""
STALLED_SECONDS: Final = 30.0
"""How long the kernel tries to send what a client's window has no room for, or what it does not acknowledge."""
SETTLE_SECONDS: Final = 0.5
"""Delay between a full buffer and the first measurement: the rest of a long message may follow."""
SOCKET_BUFFER_FACTOR: Final = 8
"""The bound on all unsent messages of a WebSocket, as a multiple of SOCKET_UNSENT_BYTES, the bound on results."""

_NO_LINGER: Final = struct.pack("ii", 1, 0)


class SlowReader:
    """Watches one connection while its write buffer is full, and ends it if its client does not read.

    Args:
        what: the kind of connection, for the log.
    """

    __slots__ = ("_size", "_timer", "_transport", "_what")

    def __init__(self, transport: asyncio.Transport, what: str) -> None:
        self._transport = transport
        self._what = what
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def pause(self) -> None:
        """Starts watching: the transport's buffer is full."""
        self.resume()
        self._timer = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._measure)

    def resume(self) -> None:
        """Stops watching: the buffer has room again, or the connection is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self) -> None:
        self._size = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._judge)

    def _judge(self) -> None:
        taken = self._size - self._transport.get_write_buffer_size()
        if taken >= SLOW_SECONDS * SLOW_BYTES_PER_SECOND:
            self._measure()
            return
        self._timer = None
        abort(self._transport, f"{self._what} whose client read {max(0, taken)} bytes in {SLOW_SECONDS:g} s")


def bound_stalled_writes(transport: asyncio.BaseTransport) -> None:
    """Lets the kernel end a connection whose client takes nothing for STALLED_SECONDS (RFC 5482).

    The kernel buffers some megabytes for each connection, also for a closed one, and tries for a quarter of an hour to
    send them; `SlowReader` sees only what does not fit there. Linux has this option.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with suppress(OSError):  # not TCP
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(STALLED_SECONDS * 1_000))


def abort(transport: asyncio.Transport, what: str) -> None:
    """Ends a connection at once: closing it would wait for the client to read.

    Args:
        what: the connection and the reason, for the log.
    """
    if transport.is_closing() and not transport.get_write_buffer_size():
        return
    metrics.SLOW_READERS.inc()
    if (connection := transport.get_extra_info("socket")) is not None:
        # Otherwise the kernel would try for hours to send its buffer of up to some megabytes.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    logger.info("aborted %s; %d bytes were not read", what, transport.get_write_buffer_size())
    transport.abort()
