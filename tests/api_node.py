"""An api node in the test process: real sockets and a real Redis, but neither scheduler nor worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import uvicorn

from cluster.settings import Settings
from cluster.task_types.registry import Registry
from dask_graphql.dev_system import free_port
from graphql_api.app import create_app
from graphql_api.serve import server_options


@asynccontextmanager
async def api_node(
    settings: Settings, registry: Registry | None = None, *, port: int | None = None
) -> AsyncIterator[str]:
    """Serves an api node as `dask-graphql api` does, on a free port by default, and yields the URL of its
    `/graphql`."""
    settings = replace(settings, port=port or free_port())
    server = uvicorn.Server(uvicorn.Config(**server_options(settings, create_app(settings, registry))))
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        assert not serving.done(), "the node did not start"
        await asyncio.sleep(0.01)
    try:
        yield f"http://{settings.host}:{settings.port}/graphql"
    finally:
        server.should_exit = True
        await serving
