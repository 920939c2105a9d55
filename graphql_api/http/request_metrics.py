"""Metrics and traces of an api node's requests."""

from __future__ import annotations

import time
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.observability import metrics, tracing
from graphql_api.request_path import path_of

ROUTES: Final = ("/graphql", "/blobs", "/files", "/tables", "/arrays", "/static", "/metrics", "/healthz", "/readyz")


class MetricsMiddleware:
    """Counts and times HTTP requests; a streaming response is timed up to its start."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, route = time.perf_counter(), route_of(path_of(scope))
        status = 0

        async def measured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                metrics.labelled(metrics.HTTP_SECONDS, route).observe(time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, measured)
        finally:
            # Without a status an internal error occurred, whose response is sent further out.
            metrics.labelled(metrics.HTTP_REQUESTS, route, status or 500).inc()


class TracingMiddleware:
    """Records each GraphQL request over HTTP as a span, which continues the trace of its `traceparent` header.

    Operations on a WebSocket have no span: their traces begin with the submission.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or path_of(scope) != "/graphql":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        parent = Headers(scope=scope).get("traceparent", "")
        named = {"http__request__method": method, "url__path": "/graphql"}
        with tracing.span(f"{method} /graphql", "SERVER", parent, **named) as span:

            async def traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_outcome(http__response__status_code=message["status"])
                await send(message)

            await self._app(scope, receive, traced)


def route_of(path: str) -> str:
    """The route of a path as a metric label: one of a few names, as clients may send any path."""
    first = "/" + path.lstrip("/").partition("/")[0]
    return "/" if path in ("", "/") else first if first in ROUTES else "other"
