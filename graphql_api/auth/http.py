"""The caller of a plain HTTP request, and the status of a refusal."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import HTTPConnection

from cluster.errors import Forbidden, OperationNotAllowed, PublicError, RateLimited, ServiceUnavailable, Unauthenticated
from graphql_api.auth.callers import Caller

_STATUS: dict[type[PublicError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    OperationNotAllowed: 400,
    RateLimited: 429,
    ServiceUnavailable: 503,
}


async def caller_of(
    connection: HTTPConnection, credential: str | None = None, headers: Mapping[str, str] | None = None
) -> Caller:
    """Who makes a request, or opens a WebSocket.

    Args:
        credential: what a WebSocket's connection_init brought; a header wins.
        headers: those of the connection, where the caller has read them already.

    Raises:
        Unauthenticated, ServiceUnavailable, StoreUnavailable: as `Authenticator.caller`.
    """
    headers = connection.headers if headers is None else headers
    shown = headers.get("authorization") or headers.get("x-api-key") or credential
    caller: Caller = await connection.app.state.authenticator.caller(shown, address_of(connection))
    return caller


def address_of(connection: HTTPConnection) -> str:
    """Where a request comes from; uvicorn has looked behind the proxies that are trusted."""
    return connection.client.host if connection.client else "unknown"


def status_of(error: PublicError) -> tuple[int, dict[str, str]]:
    """The HTTP status of a refusal, and the headers that belong to it."""
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if seconds := error.details.get("retryAfterSeconds"):
        headers["Retry-After"] = str(seconds)
    return _STATUS.get(type(error), 400), headers
