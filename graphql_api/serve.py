"""One api process: uvicorn around the application."""

from __future__ import annotations

import logging
from typing import Final

import uvicorn

from cluster.logs import set_up_logging
from cluster.settings import Settings
from cluster.tracing import set_up_tracing
from graphql_api.app import create_app
from graphql_api.transport.protocol import SocketProtocol

KEEP_ALIVE_SECONDS: Final = 75
"""How long an idle HTTP connection stays open: longer than a load balancer keeps it (60 s at AWS), which would else
send a request into a connection that is just being closed."""
PER_SOCKET: Final = ("connection open", "connection closed", '%s - "WebSocket')
"""How uvicorn's messages begin that tell of one WebSocket."""


def run_api(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C, then lets requests end for `shutdown_seconds` and closes what is open."""
    set_up_logging(settings, "api")
    set_up_tracing("api")
    # uvicorn tells two lines of every WebSocket, which would fill a disk for a busy node.
    logging.getLogger("uvicorn.error").addFilter(lambda record: not str(record.msg).startswith(PER_SOCKET))
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level=settings.log_level.lower(),
        access_log=False,
        forwarded_allow_ips=settings.trusted_proxies,
        # uvicorn waits for open sockets without limit unless told.
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ws_max_size=4_000_000,
        ws=SocketProtocol,
    )
