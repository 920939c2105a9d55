"""Sends one delivery: an HTTP request that follows no redirect and reaches no address that it may not."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import httpcore

from cluster.version import __version__
from cluster.webhooks.receiver_url import Network, is_allowed, parse_address
from cluster.webhooks.retry_schedule import Answer, parse_retry_after

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 20.0
"""For the whole of a try: name, connection, request and answer (the standard recommends 15 to 30)."""
MAX_READ_BYTES: Final = 65_536
"""An answer is read up to this length, so that the connection can be used again, and then dropped. It is not kept."""
MAX_CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 15.0


class NotReachable(OSError):
    """A name resolves to an address that webhooks must not reach."""


class Sender:
    """The connections to receivers.

    Args:
        networks: private networks that may be reached, also without TLS.
        tls: for the connections; default: the system's certificates.
    """

    def __init__(self, networks: Sequence[Network], tls: ssl.SSLContext | None = None) -> None:
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=tls,
                max_connections=MAX_CONNECTIONS,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=_GuardedNetwork(networks, secure=scheme == b"https"),
            )
            for scheme in (b"https", b"http")
        }

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Posts a body. Never raises for what a receiver or the network does."""
        target = httpcore.URL(url)
        common = {"Content-Type": "application/json", "User-Agent": f"dask-graphql/{__version__}"}
        all_headers = [*common.items(), *headers.items()]
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                self._pools[target.scheme].stream("POST", target, headers=all_headers, content=body) as response,
            ):
                read = 0
                async for part in response.aiter_stream():
                    if (read := read + len(part)) > MAX_READ_BYTES:
                        break
                found = {name.lower(): value for name, value in response.headers}
                wait = found.get(b"retry-after", b"").decode("latin-1")
                return Answer(response.status, f"HTTP {response.status}", parse_retry_after(wait, time.time()))
        except TimeoutError:
            return Answer(None, f"no answer within {TIMEOUT_SECONDS:g} s")
        except UnicodeError:
            return Answer(None, "the name cannot be resolved")  # a label of more than 63 characters, or none
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            return Answer(None, _in_words(error))

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


def _in_words(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        # What a receiver's name resolves to in here is nobody's business outside.
        if isinstance(cause, NotReachable):
            return str(cause)
        if isinstance(cause, socket.gaierror):
            return "the name cannot be resolved"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'error'}"
        cause = cause.__cause__ or cause.__context__
    return f"the connection failed: {type(error).__name__}"


class _GuardedNetwork(httpcore.AnyIOBackend):
    """Connects to addresses that are allowed, as they resolve at this moment."""

    def __init__(self, networks: Sequence[Network], *, secure: bool) -> None:
        self._networks = networks
        self._secure = secure

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As httpcore calls it.

        Raises:
            NotReachable: none of the host's addresses may be reached.
            OSError: none could be reached.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        allowed = [
            text
            for text in addresses
            if (address := parse_address(text)) and is_allowed(address, self._networks, secure=self._secure)
        ]
        if not allowed:
            logger.warning("a webhook is not sent to %s, which is %s (WEBHOOK_NETWORKS)", host, ", ".join(addresses))
            raise NotReachable("the name has no address that webhooks may reach: it must be public")
        failure: Exception | None = None
        for text in allowed[:4]:
            try:
                return await super().connect_tcp(text, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        assert failure is not None
        raise failure
