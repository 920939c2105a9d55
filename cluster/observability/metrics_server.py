"""The metrics port of a scheduler, a worker or a controller. An api node serves its metrics on the api's port.

Anyone who reaches the port can read the metrics; it listens on loopback unless METRICS_HOST says otherwise. It serves
one path, and the number, size and duration of requests are bounded.

It is not prometheus_client's `start_http_server`, which keeps a thread for each connection for as long as the client
likes (300 silent connections are 300 threads, for ever) and serves the metrics on every path.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from cluster.errors import SettingError
from cluster.observability.exposition import Exposition
from cluster.settings import Settings, variable_of

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
REQUEST_SECONDS: Final = 5.0
"""Limit for a request to arrive and its response to be sent."""
HEAD_BYTES: Final = 16_384
"""Largest head of a request."""
MAX_CONNECTIONS: Final = 20
"""Connections at a time; further ones are closed."""


@contextlib.asynccontextmanager
async def serve_metrics(settings: Settings, role: str) -> AsyncIterator[None]:
    """Serves `/metrics` of a node while the block runs; does nothing if METRICS_PORT is 0.

    Raises:
        SettingError: the port cannot be used.
    """
    if not settings.metrics_port:
        yield
        return
    exposition = Exposition(role)
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            if connections <= MAX_CONNECTIONS:
                async with asyncio.timeout(REQUEST_SECONDS):
                    writer.write(response(await reader.readuntil(b"\r\n\r\n"), exposition.text))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            connections -= 1
            writer.close()

    try:
        server = await asyncio.start_server(serve, settings.metrics_host, settings.metrics_port, limit=HEAD_BYTES)
    except OSError as error:
        raise SettingError(
            variable_of("metrics_port"), str(settings.metrics_port), f"a port that is free here: {error.strerror}"
        ) from error
    try:
        yield
    finally:
        server.close()


def response(head: bytes, text: Callable[[], bytes]) -> bytes:
    """Returns the whole HTTP response to a request's head."""
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    status, body = (b"200 OK", text()) if path == b"/metrics" else (b"404 Not Found", b"the metrics are at /metrics\n")
    if method not in (b"GET", b"HEAD"):
        status, body = b"405 Method Not Allowed", b"GET /metrics\n"
    lines = [
        b"HTTP/1.1 " + status,
        b"Content-Type: " + CONTENT_TYPE.encode(),
        b"Content-Length: %d" % len(body),
        b"Connection: close",
    ]
    return b"\r\n".join([*lines, b"", b"" if method == b"HEAD" else body])
