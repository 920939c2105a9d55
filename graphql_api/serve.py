"""One api process: uvicorn around the application."""

from __future__ import annotations

import logging
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from cluster.observability.logs import set_up_logging
from cluster.observability.tracing import set_up_tracing
from cluster.settings import Settings
from graphql_api.app import create_app
from graphql_api.transport.uvicorn_http import HttpProtocol
from graphql_api.transport.uvicorn_websocket import SocketProtocol

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
    uvicorn.run(**server_options(settings, create_app(settings)))


def server_options(settings: Settings, app: ASGIApp) -> dict[str, Any]:
    """How uvicorn serves an api node: the arguments of its `Config`."""
    return dict(
        app=app,
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
        http=HttpProtocol,
        ws=SocketProtocol,
    )
