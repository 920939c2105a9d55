"""The application: its routes and its life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from cluster import collector, tracing
from cluster.errors import PublicError, StoreUnavailable
from cluster.metrics import Exposition
from cluster.node import make_node
from cluster.registry import Registry, load_registry
from cluster.settings import Settings, check_public, load_settings
from graphql_api.auth.authenticate import Authenticator
from graphql_api.auth.http import status_of
from graphql_api.auth.keys import CHANGED
from graphql_api.auth.sockets import Sockets
from graphql_api.blobs import download
from graphql_api.documents import Documents
from graphql_api.errors import STORE_AWAY
from graphql_api.measure import Measured, Traced
from graphql_api.pages import page_routes
from graphql_api.persisted import PersistedOperations
from graphql_api.probes import healthz, readyz, show_metrics
from graphql_api.schema import make_schema
from graphql_api.transport.endpoint import GraphQLEndpoint
from graphql_api.transport.origins import Origins


def create_app(settings: Settings | None = None, registry: Registry | None = None) -> Starlette:
    """The ASGI application of one api node.

    Raises:
        SettingError, RegistryError: the node must not start.
    """
    settings = load_settings() if settings is None else settings
    check_public(settings)
    registry = load_registry(settings.task_modules) if registry is None else registry
    persisted = PersistedOperations(settings)
    schema = make_schema(registry, Documents(settings, persisted))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        node = make_node(settings, registry)
        app.state.node = node
        app.state.exposition = Exposition("api")
        sockets = app.state.sockets = Sockets(settings.sockets_per_client)
        authenticator = app.state.authenticator = Authenticator(settings, node.store, sockets)
        endpoint = app.state.graphql = GraphQLEndpoint(schema, node, authenticator, sockets, persisted)
        node.listeners.append(lambda word: authenticator.keys.changed() if word == CHANGED else None)
        await node.start()
        authenticator.start()
        endpoint.pings.start()
        collector.settle()
        try:
            yield
        finally:
            await endpoint.pings.close()
            await authenticator.close()
            await node.close()

    # Not around blobs, of which clients ask for ranges, nor around pages, which lie packed.
    packed = Origins(settings).middleware(GZipMiddleware(GraphQLRoute(), minimum_size=1_400, compresslevel=4))
    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", show_metrics),
            Route("/blobs/{key:path}", download),
            Route("/graphql", packed),
            WebSocketRoute("/graphql", GraphQLRoute()),
            *page_routes(),
        ],
        middleware=[Middleware(Measured), *([Middleware(Traced)] if tracing.on() else [])],
        lifespan=lifespan,
        exception_handlers={StoreUnavailable: store_away, PublicError: refused},
    )


class GraphQLRoute:
    """`/graphql`, as an ASGI application that the lifespan fills in: its parts belong to the running event loop."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["app"].state.graphql(scope, receive, send)


async def store_away(_: Request, error: Exception) -> Response:
    """What a plain HTTP request is told while Redis is away; GraphQL has words of its own."""
    return JSONResponse({"error": STORE_AWAY, "code": "SERVICE_UNAVAILABLE"}, 503, {"Retry-After": "2"})


async def refused(_: Request, error: Exception) -> Response:
    """What a plain HTTP request is told that is refused."""
    assert isinstance(error, PublicError)
    status, headers = status_of(error)
    return JSONResponse({"error": error.message, "code": error.code}, status, headers)
