"""A client of the api, for programs: submit any task type, wait for results, follow events, download blobs.

    with Client("http://127.0.0.1:8000") as client:
        print(client.submit("fibonacci", n=90).result()["value"])

`AsyncClient` is the same for asyncio. Both stand on httpx and websockets rather than on the library gql: gql's import
takes twice as long, its subscriptions end with their socket, and a client that learns all types from `taskTypes` has no
use for a GraphQL parser. docs/python-client.md has the whole story.
"""

from dask_graphql.client.async_client import AsyncClient, AsyncHandle, SubmitOptions
from dask_graphql.client.codec import Blob
from dask_graphql.client.errors import (
    ApiUnavailable,
    BadArguments,
    ClientError,
    IdMismatch,
    IdUnknown,
    Refused,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
    UnknownTaskType,
)
from dask_graphql.client.events import Event
from dask_graphql.client.network import BadProxy
from dask_graphql.client.sync_client import Client, Handle
from dask_graphql.client.task_types import TaskType

__all__ = [
    "ApiUnavailable",
    "AsyncClient",
    "AsyncHandle",
    "BadArguments",
    "BadProxy",
    "Blob",
    "Client",
    "ClientError",
    "Event",
    "Handle",
    "IdMismatch",
    "IdUnknown",
    "Refused",
    "ResultTimeout",
    "SubmitOptions",
    "TaskCancelled",
    "TaskFailed",
    "TaskType",
    "UnknownTaskType",
]
