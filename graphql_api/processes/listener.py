"""The one listening socket of several api processes: the parent accepts, and hands each connection to a process.

A connection that waits for `accept` belongs to no process, so none is lost when a process ends; and one that hangs or
starts gets none.
"""

from __future__ import annotations

import array
import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from cluster.errors import SettingError
from cluster.settings import variable_of

logger = logging.getLogger(__name__)

BACKLOG: Final = 2_048
"""Connections that wait for `accept`, at most; as uvicorn's."""
ACCEPTED_AT_ONCE: Final = 64
"""Connections that are accepted before the parent looks at its processes again."""
RETRY_SECONDS: Final = 0.02
"""Pause while no process can take a connection."""
NO_FILES_SECONDS: Final = 1.0
"""Pause when the parent cannot open any more files; as asyncio's."""

FAMILIES: Final = {b"4": socket.AF_INET, b"6": socket.AF_INET6}
"""What is sent with each connection, so that the process need not ask for it."""
_BYTE_OF: Final = {family: byte for byte, family in FAMILIES.items()}


def bind(host: str, port: int) -> list[socket.socket]:
    """Binds a socket to each address of the host; they do not listen yet.

    Raises:
        SettingError: the address cannot be used.
    """
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            if family not in _BYTE_OF:
                continue
            listener = socket.socket(family, kind, protocol)
            bound.append(listener)
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # An address of IPv4 has a socket of its own.
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except OSError as error:
        for listener in bound:
            listener.close()
        raise SettingError(
            variable_of("port"), str(port), f"a port that is free on {host} ({error.strerror or error})"
        ) from error
    return bound


class Listener:
    """Accepts connections and hands them over.

    Args:
        sockets: from `bind`; closed by `close`.
        choose: returns the channel of the process that gets the next connection, or None if there is none now.
        on_handed: called with that channel when it has been sent.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        choose: Callable[[], socket.socket | None],
        on_handed: Callable[[socket.socket], None],
    ) -> None:
        self._sockets = sockets
        self._choose = choose
        self._on_handed = on_handed
        self._waiting: tuple[socket.socket, socket.AddressFamily] | None = None
        self._retry: asyncio.TimerHandle | None = None

    def listen(self) -> None:
        """Begins to accept connections. Until then they are refused by the kernel."""
        for listener in self._sockets:
            listener.listen(BACKLOG)
        self._resume()

    def close(self) -> None:
        """Accepts no more connections."""
        self._pause()
        for listener in self._sockets:
            listener.close()
        self._sockets = []
        if self._waiting is not None:
            self._waiting[0].close()
            self._waiting = None

    def _resume(self) -> None:
        self._retry = None
        if self._waiting is not None and not self._hand_over(*self._waiting):
            self._try_later(RETRY_SECONDS)
            return
        self._waiting = None
        for listener in self._sockets:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _pause(self) -> None:
        for listener in self._sockets:
            asyncio.get_running_loop().remove_reader(listener)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _try_later(self, seconds: float) -> None:
        self._pause()
        self._retry = asyncio.get_running_loop().call_later(seconds, self._resume)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("connections cannot be accepted, trying again in %g s: %s", NO_FILES_SECONDS, error)
                self._try_later(NO_FILES_SECONDS)
                return
            family = socket.AddressFamily(listener.family)
            if not self._hand_over(connection, family):
                # The further ones wait where no process that ends can lose them.
                self._waiting = (connection, family)
                self._try_later(RETRY_SECONDS)
                return

    def _hand_over(self, connection: socket.socket, family: socket.AddressFamily) -> bool:
        """Returns whether a process was sent the connection, which is then closed here."""
        channel = self._choose()
        if channel is None:
            return False
        fds = array.array("i", [connection.fileno()])
        try:
            channel.sendmsg([_BYTE_OF[family]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        except OSError as error:
            # The process has just ended, or has not taken hundreds of others yet.
            logger.debug("a connection could not be handed over, and waits: %s", error)
            return False
        self._on_handed(channel)
        connection.close()
        return True
