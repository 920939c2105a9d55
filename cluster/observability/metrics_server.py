"""A node's own port for its metrics: the scheduler's, a worker's, the controller's. An api node shows them on its port.

Whoever reaches the port may read; it listens on loopback unless a setting says otherwise, and knows one path.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

from cluster.errors import SettingError
from cluster.settings import Settings, variable_of

SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which the two processes of a worker node count together; prometheus_client reads it at import."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
READ_SECONDS: Final = 5.0
"""How long a request may take to arrive, and its answer to leave."""
HEAD_BYTES: Final = 16_384
READERS: Final = 20
"""Most connections at once; further ones are closed."""


@contextlib.contextmanager
def shared_counts(settings: Settings) -> Iterator[None]:
    """For a worker node that shows metrics: its nanny and its worker process count in one folder, so that a worker
    process that dies takes no count with it. To be entered before cluster.observability.metrics is imported."""
    if not settings.metrics_port:
        yield
        return
    scratch = Path(settings.data_dir).absolute() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="metrics-", dir=scratch, ignore_cleanup_errors=True) as folder:
        os.environ[SHARED] = folder
        yield


@contextlib.asynccontextmanager
async def metrics_port(settings: Settings, role: str) -> AsyncIterator[None]:
    """Serves `/metrics` of a node while the block runs; nothing where METRICS_PORT is 0.

    Raises:
        SettingError: the port cannot be used.
    """
    if not settings.metrics_port:
        yield
        return
    from cluster.observability.metrics import Exposition

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
