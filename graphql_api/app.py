"""The ASGI application of an api node: its routes, middleware and lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.api_node.node import make_node
from cluster.errors import PublicError, StoreUnavailable
from cluster.node_registry import load_node_registry
from cluster.observability import metrics, tracing
from cluster.observability.exposition import Exposition
from cluster.settings import Settings, check_public, load_settings
from cluster.system import gc_tuning
from cluster.system.cloudwatch_metrics import publish_metrics
from cluster.system.counts import Counts
from cluster.system.liveness import liveness_loop
from cluster.task_types.registry import Registry
from graphql_api.auth.authenticate import Authenticator
from graphql_api.auth.connections import ConnectionRegistry
from graphql_api.auth.http import audit_refusal, status_of
from graphql_api.auth.sign_in import SignIn
from graphql_api.errors import STORE_UNAVAILABLE
from graphql_api.execution.document_cache import DocumentCache
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.http import files
from graphql_api.http.array_downloads import download_array
from graphql_api.http.blob_downloads import download
from graphql_api.http.health import healthz, measure, readyz, show_metrics
from graphql_api.http.heartbeat import heartbeat_loop
from graphql_api.http.pages import page_routes
from graphql_api.http.request_metrics import MetricsMiddleware, TracingMiddleware
from graphql_api.http.table_downloads import Conversions, download_table
from graphql_api.processes.member import Member
from graphql_api.reloading import Reloading
from graphql_api.request_path import path_of
from graphql_api.schema.builder import Schema, make_schema
from graphql_api.transport.address_limits import AddressLimits
from graphql_api.transport.forwarded import ForwardedHeaders
from graphql_api.transport.http_endpoint import HttpEndpoint
from graphql_api.transport.request_guard import RequestGuard
from graphql_api.transport.websocket_endpoint import WebSocketEndpoint


def create_app(
    settings: Settings | None = None, registry: Registry | None = None, member: Member | None = None
) -> Starlette:
    """Makes the ASGI application of one api node.

    Args:
        settings: default: from the environment.
        registry: default: loaded from the settings' task modules.
        member: this process, if several share a port.

    Raises:
        SettingError, RegistryError: the node must not start.
    """
    settings = load_settings() if settings is None else settings
    check_public(settings)
    registry = load_node_registry(settings) if registry is None else registry
    persisted = PersistedOperations(settings)
    shared = member.counts if member is not None else None
    make_counts = shared.counts if shared is not None else lambda _: Counts()

    def make(registry: Registry) -> Schema:
        return make_schema(registry, DocumentCache(settings, persisted))

    schema = make(registry)
    graphql: ASGIApp = CompressionMiddleware(GraphQLRoute())
    if tracing.enabled():
        graphql = TracingMiddleware(graphql)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        node = make_node(settings, registry, shared)
        app.state.node, app.state.member = node, member
        app.state.exposition = Exposition("api")
        sockets = app.state.sockets = ConnectionRegistry(settings.sockets_per_client, make_counts)
        authenticator = app.state.authenticator = Authenticator(settings, node.store, sockets)

        def endpoints(schema: Schema) -> dict[str, Any]:
            return {
                "http": HttpEndpoint(schema, node, sockets, app.state.address_limits, persisted),
                "websocket": WebSocketEndpoint(schema, node, authenticator, sockets, persisted),
            }

        async def serve(schema: Schema) -> None:
            """Serves another schema: requests get it from now on, and sockets when they have connected again."""
            before: WebSocketEndpoint = app.state.graphql["websocket"]
            app.state.graphql = endpoints(schema)
            websockets: WebSocketEndpoint = app.state.graphql["websocket"]
            node.loops[:] = [loop for loop in node.loops if loop not in before.loops] + websockets.loops
            websockets.start()
            await before.close()
            await before.end_sessions()

        app.state.graphql = endpoints(schema)
        reloading = Reloading(node, make, serve, member)
        measured = partial(measure, app)
        if member is None:
            metrics.PROCESSES.labels("wanted").set(1)
            metrics.PROCESSES.labels("serving").set(1)
            alive = liveness_loop(settings, "api")
            publishing: AbstractAsyncContextManager[None] = publish_metrics(settings, "api", measure=measured)
        else:
            # The parent writes the liveness file and publishes the metrics.
            alive, publishing = heartbeat_loop(app, member, measured), nullcontext()
        node.loops.append(alive)
        node.loops += [*authenticator.loops, *app.state.graphql["websocket"].loops]
        node.broadcast_listeners.append(authenticator.on_broadcast)
        await node.start()
        authenticator.start()
        app.state.graphql["websocket"].start()
        if settings.reload_task_modules:
            reloading.start()
        gc_tuning.freeze_gc()
        alive.start()
        try:
            async with publishing:
                yield
        finally:
            await alive.close()
            await reloading.loop.close()
            await app.state.graphql["websocket"].close()
            await authenticator.close()
            await node.close()

    routes: list[BaseRoute] = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", show_metrics),
        Route("/blobs/{key:path}", download),
        Route("/tables/{key:path}", download_table),
        Route("/files", files.upload, methods=["POST"]),
        Route("/files/{id}", files.download),
        Route("/arrays/{key:path}", download_array),
        *page_routes(),
    ]
    address_limits = AddressLimits(settings, make_counts)
    app = Api(
        {"http": graphql, "websocket": GraphQLRoute()},
        lambda served: ForwardedHeaders(
            MetricsMiddleware(RequestGuard(served, settings)),
            settings,
            address_limits.is_proxy,
            {"graphql", *first_segments(routes)},
        ),
        routes=routes,
        lifespan=lifespan,
        exception_handlers={StoreUnavailable: store_unavailable, PublicError: public_error},
    )
    # `corrected_path` does it, without the host: a proxy may have changed it.
    app.router.redirect_slashes = False
    app.state.address_limits = address_limits
    app.state.sign_in = SignIn(settings)
    app.state.table_conversions = Conversions()
    return app


def corrected_path(scope: Scope) -> str:
    """The Location of a redirect, for a path with a slash too many or too few; else "".

    It is relative to the request's URL, and so right under every host and prefix (RFC 9110, section 10.2.2).
    """
    path = path_of(scope)
    if not path:
        location = f"{scope['root_path'].rpartition('/')[2]}/"
    elif path in ("/graphql/", "/healthz/", "/readyz/", "/metrics/"):
        location = f"..{path[:-1]}"
    else:
        return ""
    query = scope["query_string"].decode("latin-1")
    return f"{location}?{query}" if query else location


def first_segments(routes: Iterable[BaseRoute]) -> set[str]:
    """The first segments of the paths that are served: blobs, graphql, ..."""
    paths = (route.path for route in routes if isinstance(route, Route | Mount))
    return {segment for path in paths if (segment := path.split("/")[1])}


class Api(Starlette):
    """The application, which routes `/graphql` itself: Starlette's router and exception handlers, which `/graphql` does
    not need, cost a tenth of a mutation and some kilobytes per WebSocket.

    Args:
        graphql: serves `/graphql`, by the type of the scope.
        guarded: what every request passes first, on whatever route: makes it from the application that serves it.
        options: passed to Starlette.
    """

    def __init__(self, graphql: dict[str, ASGIApp], guarded: Callable[[ASGIApp], ASGIApp], **options: Any) -> None:
        super().__init__(**options)
        self._graphql = graphql
        self._guarded = guarded(self._route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in self._graphql:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self._guarded(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if path_of(scope) == "/graphql":
            await self._graphql[scope["type"]](scope, receive, send)
        elif scope["type"] == "http" and (location := corrected_path(scope)):
            await RedirectResponse(location)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class CompressionMiddleware:
    """Compresses large responses for clients that accept gzip. Not used for blobs, which are requested in ranges, nor
    for pages, which are small: their files are compressed at build time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._gzip = GZipMiddleware(app, minimum_size=1_400, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepts_gzip = streams_parts = opens_page = False
        for name, value in scope["headers"]:
            accepts_gzip |= name == b"accept-encoding" and b"gzip" in value
            # Starlette excludes event streams only; other streams it would hold back until a block is full.
            streams_parts |= name == b"accept" and b"subscriptionspec" in value.lower()
            # Of a page, a HEAD has no body to compress, and would differ from its GET.
            opens_page |= name == b"accept" and b"text/html" in value
        plain = not accepts_gzip or streams_parts or opens_page
        await (self._app if plain else self._gzip)(scope, receive, send)


class GraphQLRoute:
    """`/graphql` as an ASGI application. The lifespan creates the endpoint, which belongs to the running event loop."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["app"].state.graphql[scope["type"]](scope, receive, send)


async def store_unavailable(_: Request, error: Exception) -> Response:
    """The response to plain HTTP requests while Redis is unavailable. (GraphQL requests get a GraphQL error.)"""
    return JSONResponse({"error": STORE_UNAVAILABLE, "code": "SERVICE_UNAVAILABLE"}, 503, {"Retry-After": "2"})


async def public_error(request: Request, error: Exception) -> Response:
    """The response to plain HTTP requests that are refused."""
    assert isinstance(error, PublicError)
    audit_refusal(request, error)
    status, headers = status_of(error)
    return JSONResponse({"error": error.message, "code": error.code}, status, headers)
