"""The caller of a plain HTTP request, and the status of a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import HTTPConnection

from cluster.errors import (
    FileNotFound,
    FileTooLarge,
    Forbidden,
    OperationNotAllowed,
    PublicError,
    QuotaExceeded,
    RateLimited,
    ResultUnreadable,
    ServiceUnavailable,
    TooManyConnections,
    Unauthenticated,
)
from cluster.store.actor import Actor
from graphql_api.auth.callers import Caller, address_caller_name, parse_address
from graphql_api.auth.confinement import Confinement
from graphql_api.auth.url_token import BY_URL, url_token_of
from graphql_api.request_path import path_of

CALLER: Final = "dask_graphql.caller"
"""The place of a request's caller in its ASGI scope, once it is known."""

_STATUS: dict[type[PublicError], int] = {
    Unauthenticated: 401,
    Forbidden: 403,
    FileNotFound: 404,
    ResultUnreadable: 404,
    FileTooLarge: 413,
    QuotaExceeded: 413,
    OperationNotAllowed: 400,
    RateLimited: 429,
    TooManyConnections: 429,
    ServiceUnavailable: 503,
}


async def caller_of(
    connection: HTTPConnection, credential: str | None = None, headers: Mapping[str, str] | None = None
) -> Caller:
    """The caller that makes a request or opens a WebSocket.

    Args:
        credential: from a WebSocket's connection_init; a header takes precedence, also over a token in the URL.
        headers: the connection's headers, if they were parsed already.

    Raises:
        Unauthenticated, ServiceUnavailable, StoreUnavailable: as `Authenticator.caller`.
    """
    headers = connection.headers if headers is None else headers
    shown = headers.get("authorization") or headers.get("x-api-key") or credential
    in_url = None if shown else url_token_of(connection.scope)
    caller: Caller = await connection.app.state.authenticator.caller(shown or in_url, address_of(connection))
    connection.scope[BY_URL] = in_url is not None
    if caller.confinement is not None and caller.confinement.path:
        _require_download(connection, caller.confinement)
    connection.scope[CALLER] = caller
    return caller


def _require_download(connection: HTTPConnection, confinement: Confinement) -> None:
    """Raises:
    Unauthenticated: the token is for another download.
    """
    scope = connection.scope
    if scope["type"] != "http" or not confinement.allows(scope["method"], path_of(scope)):
        raise Unauthenticated("the token is for one download, which is not this one")


def audit_refusal(connection: HTTPConnection, error: PublicError) -> None:
    """Counts the refusal of a request or a WebSocket and writes it to the audit log, if it is one of those that are
    audited, with the caller as far as it is known. (Refusals in a GraphQL response: `Context.audit_refusal`.)"""
    caller: Caller | None = connection.scope.get(CALLER)
    actor = Actor(address=address_of(connection)) if caller is None else caller.actor
    connection.app.state.node.audit.refused(actor, error)


def address_of(connection: HTTPConnection) -> str:
    """The client's address; uvicorn has resolved trusted proxies already. "unknown" if it is none, as on a Unix socket,
    or because a proxy has forwarded some text."""
    address = parse_address(connection.client.host) if connection.client else None
    return address or "unknown"


def address_name_of(connection: HTTPConnection) -> str:
    """The client's address as the name of a caller."""
    return address_caller_name(address_of(connection))


def status_of(error: PublicError) -> tuple[int, dict[str, str]]:
    """The HTTP status of a refusal and its headers."""
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if seconds := error.details.get("retryAfterSeconds"):
        headers["Retry-After"] = str(seconds)
    return _STATUS.get(type(error), 400), headers
