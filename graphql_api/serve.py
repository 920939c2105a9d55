"""One api process: the application served by uvicorn, on its own port or as one of several on one port."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from cluster.observability.logs import set_up_logging
from cluster.observability.tracing import set_up_tracing
from cluster.settings import Settings, variable_of
from cluster.settings.parsers import is_loopback
from graphql_api.app import create_app
from graphql_api.processes.member import Member
from graphql_api.transport.uvicorn_internals import HttpProtocol, MemberServer, WebSocketProtocol

logger = logging.getLogger(__name__)

STARTUP_FAILURE: Final = 3
"""The exit code of `uvicorn.run` if the application does not start."""
PER_SOCKET_MESSAGES: Final = ("connection open", "connection closed", '%s - "WebSocket')
"""Prefixes of uvicorn's log messages about a single WebSocket."""


def run_api(settings: Settings, member: Member | None = None) -> None:
    """Serves until SIGTERM or Ctrl-C, then gives requests `shutdown_seconds` to end and closes all connections.

    Args:
        member: this process, if several share a port.
    """
    set_up_logging(settings, "api")
    set_up_tracing("api")
    # uvicorn logs two lines per WebSocket, which would fill a busy node's disk.
    logging.getLogger("uvicorn.error").addFilter(lambda record: not str(record.msg).startswith(PER_SOCKET_MESSAGES))
    if settings.authentication == "none" and not settings.allowed_hosts and not is_loopback(settings.host):
        logger.warning(
            "without authentication any page can use this api by a name that its owner points to %s: set %s",
            settings.host,
            variable_of("allowed_hosts"),
        )
    app = create_app(settings, member=member)
    if member is None:
        uvicorn.run(**server_options(settings, app))
        return
    server = MemberServer(uvicorn.Config(**server_options(settings, app)), member)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def server_options(settings: Settings, app: ASGIApp) -> dict[str, Any]:
    """The arguments of uvicorn's `Config` for an api node."""
    return dict(
        app=app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level=settings.log_level.lower(),
        access_log=False,
        # `ForwardedHeaders` reads them. uvicorn would trust the proxies of its own variable FORWARDED_ALLOW_IPS.
        proxy_headers=False,
        # By default uvicorn waits for open sockets without limit.
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        timeout_keep_alive=settings.keep_alive_seconds,
        ws_max_size=4_000_000,
        # `KeepAlive` sends pings of its own, from one timer for all sockets.
        ws_ping_interval=None,
        http=HttpProtocol,
        ws=WebSocketProtocol,
    )
