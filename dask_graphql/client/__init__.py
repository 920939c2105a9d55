"""The Python client of the api: submits any task type, waits for results, follows events, downloads blobs.

    with Client("http://127.0.0.1:8000") as client:
        print(client.submit("fibonacci", n=90).result()["value"])

`AsyncClient` is the same for asyncio. Both use httpx and websockets instead of the library gql: gql takes twice as long
to import, its subscriptions end with their socket, and a client that reads all types from `taskTypes` needs no GraphQL
parser. See docs/python-client.md.
"""

from dask_graphql.client.async_client import AsyncClient
from dask_graphql.client.async_handle import AsyncHandle
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
from dask_graphql.client.submissions import SubmitOptions
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
