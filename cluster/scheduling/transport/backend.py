"""Listens for connections, and connects."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from typing import Any, Final

import dask.config
from distributed.comm import tcp
from distributed.comm.addressing import parse_host_port, unparse_host_port
from distributed.comm.core import CommClosedError, FatalCommClosedError
from distributed.comm.registry import backends
from tornado.netutil import bind_sockets

from cluster.scheduling.transport.comm import AsyncioComm
from cluster.scheduling.transport.protocol import MessageProtocol

logger = logging.getLogger(__name__)

BIND_ATTEMPTS: Final = 5
"""An ephemeral port that is free on one address may be in use on another."""
TLS_CLOSE_SECONDS: Final = 5.0
"""How long the end of a TLS connection waits for the peer's reply."""


def _tls_arguments(context: ssl.SSLContext | None) -> dict[str, Any]:
    return {"ssl": context, "ssl_shutdown_timeout": TLS_CLOSE_SECONDS} if context else {}


def _address(prefix: str, socket_address: tuple[Any, ...]) -> str:
    return prefix + str(unparse_host_port(*socket_address[:2]))


class _Connector(tcp.BaseTCPConnector):  # type: ignore[misc]
    async def connect(self, address: str, deserialize: bool = True, **connection_args: Any) -> AsyncioComm:
        """Returns a connection.

        Raises:
            FatalCommClosedError: the peers do not accept each other's certificates.
            OSError: nobody listens there.
        """
        self._check_encryption(address, connection_args)
        host, port = parse_host_port(address)
        arguments = _tls_arguments(tcp._expect_tls_context(connection_args) if self.encrypted else None)
        if self.encrypted and (name := connection_args.get("server_hostname")):
            arguments["server_hostname"] = name
        try:
            transport, protocol = await asyncio.get_running_loop().create_connection(
                MessageProtocol, host, port, **arguments
            )
        except ssl.SSLError as error:
            raise FatalCommClosedError(f"no TLS connection to {self.prefix}{address}: {error}") from error
        local = _address(self.prefix, transport.get_extra_info("sockname"))
        return AsyncioComm(protocol, local, self.prefix + address, deserialize=deserialize)


class _TCPConnector(_Connector):
    prefix = "tcp://"
    encrypted = False


class _TLSConnector(_Connector):
    prefix = "tls://"
    encrypted = True


class _Listener(tcp.BaseTCPListener):  # type: ignore[misc]
    """Attributes of Dask's own are used: `ip`, `port`, `prefix`, `encrypted`, `deserialize`, `allow_offload`,
    `comm_handler`, `bound_address`, and `tcp_server`, which is None until it listens."""

    _context: ssl.SSLContext | None = None
    tcp_server: list[asyncio.Server] | None

    def _get_server_args(self, **connection_args: Any) -> dict[str, Any]:
        self._context = tcp._expect_tls_context(connection_args) if self.encrypted else None
        return {}

    async def start(self) -> None:
        backlog = int(dask.config.get("distributed.comm.socket-backlog"))
        for attempt in range(BIND_ATTEMPTS):
            try:
                sockets = bind_sockets(self.port, address=self.ip, backlog=backlog)
                break
            except OSError as error:
                if self.port != 0 or error.errno != errno.EADDRINUSE or attempt == BIND_ATTEMPTS - 1:
                    raise
        addresses = sorted((each.family, each.getsockname()) for each in sockets)
        self._connections: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self.tcp_server = [
            await loop.create_server(
                lambda: MessageProtocol(self._on_connected), sock=each, backlog=backlog, **_tls_arguments(self._context)
            )
            for each in sockets
        ]
        # IPv4 before IPv6, as AF_INET is the smaller number.
        self.bound_address = addresses[0][1]

    def stop(self) -> None:
        servers, self.tcp_server = self.tcp_server, None
        for server in servers or ():
            server.close()

    def _on_connected(self, protocol: MessageProtocol) -> None:
        task = asyncio.ensure_future(self._serve(protocol))
        self._connections.add(task)
        task.add_done_callback(self._on_served)

    async def _serve(self, protocol: MessageProtocol) -> None:
        transport = protocol.transport
        local, peer = (_address(self.prefix, transport.get_extra_info(end)) for end in ("sockname", "peername"))
        comm = AsyncioComm(protocol, local, peer, deserialize=self.deserialize)
        comm.allow_offload = self.allow_offload
        if self.tcp_server is None:
            # It has stopped meanwhile, and nobody would end the peer's wait for the first message.
            comm.abort()
            return
        try:
            await self.on_connection(comm)
        except CommClosedError:
            logger.info("the connection from %s was closed before the first message", peer)
            return
        await self.comm_handler(comm)

    def _on_served(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a connection has ended with an error", exc_info=error)


class _TCPListener(_Listener):
    prefix = "tcp://"
    encrypted = False


class _TLSListener(_Listener):
    prefix = "tls://"
    encrypted = True


class _TCPBackend(tcp.BaseTCPBackend):  # type: ignore[misc]
    _connector_class, _listener_class = _TCPConnector, _TCPListener


class _TLSBackend(tcp.BaseTCPBackend):  # type: ignore[misc]
    _connector_class, _listener_class = _TLSConnector, _TLSListener


def use_asyncio_transports() -> None:
    """Makes every connection that Dask opens from now on in this process one of asyncio's."""
    backends.update(tcp=_TCPBackend(), tls=_TLSBackend())
