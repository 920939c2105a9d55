"""A node's own port for its metrics: the scheduler's, a worker's, the controller's. An api node shows them on its port.

Whoever reaches the port may read; it listens on loopback unless a setting says otherwise, and knows one path.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from cluster.errors import SettingError
from cluster.observability.metrics import Exposition
from cluster.settings import Settings, variable_of

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
READ_SECONDS: Final = 5.0
"""How long a request may take to arrive, and its answer to leave."""
HEAD_BYTES: Final = 16_384
READERS: Final = 20
"""Most connections at once; further ones are closed."""


@contextlib.asynccontextmanager
async def serve_metrics(settings: Settings, role: str) -> AsyncIterator[None]:
    """Serves `/metrics` of a node while the block runs; nothing where METRICS_PORT is 0.

    Raises:
        SettingError: the port cannot be used.
    """
    if not settings.metrics_port:
        yield
        return
    exposition = Exposition(role)
    readers = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal readers
        readers += 1
        try:
            if readers <= READERS:
                async with asyncio.timeout(READ_SECONDS):
                    writer.write(answer(await reader.readuntil(b"\r\n\r\n"), exposition.text))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            readers -= 1
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


def answer(head: bytes, text: Callable[[], bytes]) -> bytes:
    """The whole HTTP answer to a request's head."""
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
