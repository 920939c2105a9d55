"""A client of the api, for programs: submit any task type, wait for results, follow events, download blobs.

    with Client("http://127.0.0.1:8000") as client:
        print(client.submit("fibonacci", n=90).result()["value"])

`AsyncClient` is the same for asyncio. Both stand on httpx and websockets rather than on the library gql: gql's import
takes twice as long, its subscriptions end with their socket, and a client that learns all types from `taskTypes` has no
use for a GraphQL parser. docs/python-client.md has the whole story.
"""

from graphql_api.client.aio import AsyncClient, AsyncHandle, SubmitOptions
from graphql_api.client.client import Client, Handle
from graphql_api.client.discovery import TaskType
from graphql_api.client.errors import (
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
from graphql_api.client.events import Event
from graphql_api.client.network import BadProxy
from graphql_api.client.values import Blob

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
