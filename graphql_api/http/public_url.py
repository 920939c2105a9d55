"""The URL under which a client reaches the API, which links in responses begin with."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from cluster.settings import Settings


def public_url(request: HTTPConnection) -> str:
    """The URL of the API for the client of a request or a WebSocket, such as `https://api.example.com/tasks`, without a
    slash at its end: PUBLIC_URL, or if that is not set, what the request itself and trusted proxies say.

    A client may write any name into its requests that ALLOWED_HOSTS does not exclude, so without PUBLIC_URL the result
    is only for that client: not for mails, webhooks, or anything that others read.
    """
    settings: Settings = request.app.state.node.settings
    if settings.public_url:
        return settings.public_url
    scope = request.scope
    scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
    # Starlette would first make an object of the headers.
    sent = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    host = sent or _address(scope.get("server"))
    return f"{scheme}://{host}{scope.get('root_path', '')}"


def _address(server: tuple[str, int | None] | None) -> str:
    """This node's end of a connection, for a client that sends no Host (HTTP/1.0)."""
    if server is None or server[1] is None:  # a Unix socket
        return "localhost"
    host, port = server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
