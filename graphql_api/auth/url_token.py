"""Task tokens in URLs, for what can send no header: an EventSource, a picture, a link to a download.

A URL gets into logs, histories and Referer headers (RFC 6750, section 2.3), so only short-lived tokens with little
power may be there. Nothing behind the first middleware sees them: they are moved from the query string to the scope.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from starlette.types import Scope

from cluster.errors import Unauthenticated
from graphql_api.auth.confinement import DOWNLOADS
from graphql_api.auth.task_tokens import PREFIX
from graphql_api.request_path import path_of

PARAMETER: Final = "token"
URL_TOKEN: Final = "dask_graphql.url_token"  # noqa: S105 - the name of a place
"""The place of a request's token in its ASGI scope."""

BY_URL: Final = "dask_graphql.by_url"
"""In the ASGI scope of a request that was authenticated by a token in its URL."""


def hide_url_token(scope: Scope) -> None:
    """Moves `?token=` out of the query string, before anything can log it."""
    query: bytes = scope.get("query_string", b"")
    if b"token=" not in query:
        return
    name = PARAMETER.encode() + b"="
    parts = query.split(b"&")
    found = [part for part in parts if part.startswith(name)]
    if found:
        scope["query_string"] = b"&".join(part for part in parts if not part.startswith(name))
        scope[URL_TOKEN] = unquote(found[0].removeprefix(name).decode("latin-1"))


def url_token_of(scope: Scope) -> str | None:
    """The token in a request's URL, which must be one that may be there.

    Raises:
        Unauthenticated: it is another credential, or the request is neither an event stream nor a download.
    """
    text: str | None = scope.get(URL_TOKEN)
    if text is None:
        return None
    if not text.startswith(PREFIX):
        raise Unauthenticated("only a task token may be in a URL; send other credentials in a header")
    if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
        path = path_of(scope)
        streams = any(name == b"accept" and b"text/event-stream" in value for name, value in scope["headers"])
        if path.startswith(DOWNLOADS) or (path == "/graphql" and streams):
            return text
    raise Unauthenticated("?token= is for downloads and for an EventSource; send the token in a header otherwise")
