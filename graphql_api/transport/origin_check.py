"""Origins: pages of other sites may use this api only if ALLOWED_ORIGINS names their sites.

On every route and transport, a request with a foreign `Origin` is refused before anything else is done. CORS alone does
not prevent it: browsers send simple requests (a GET, an EventSource, a WebSocket) without a preflight request.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from cluster.settings import Settings

REQUEST_HEADERS: Final = (
    "authorization", "content-type", "content-encoding", "content-digest", "last-event-id", "range", "x-api-key",
    "graphql-require-preflight", "apollo-require-preflight", "traceparent", "tracestate",
)  # fmt: skip
"""The request headers that the API reads: allowed beside those of ALLOWED_HEADERS."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""A method that a route does not serve gets its 405 in a form that the page can read."""


class Origins:
    """Decides whether a request's origin may use this api."""

    def __init__(self, settings: Settings) -> None:
        self.allowed = frozenset(settings.allowed_origins)
        # Else each preflight request gets what it asks for: libraries for tracing and monitoring add headers of their
        # own to every request of a page, and what the API does not know it does not read.
        self._headers = ["*"] if "*" in settings.allowed_headers else [*REQUEST_HEADERS, *settings.allowed_headers]
        scheme, host, *_ = urlsplit(settings.public_url)
        self._own = f"{scheme}://{host}" if host else None

    def allows(self, origin: str | None, host: str, scheme: str) -> bool:
        """Whether a request comes from an allowed page, from one of our own, or from no page.

        Args:
            origin: its Origin header, if it has one.
            host: the host that the page used: the Host header, or what a trusted proxy says that it was.
            scheme: that of the request: http, https, ws or wss.
        """
        if origin is None or origin in self.allowed or "*" in self.allowed or origin == self._own:
            return True
        of_page, slashes, authority = origin.lower().partition("://")
        if not slashes or not host or authority != host.lower():
            return False
        # Anyone on the way can write a page that comes over plain HTTP, so it must not use what is served over HTTPS.
        # The other way round it is the same site, behind a proxy that ends TLS and is not in TRUSTED_PROXIES.
        return of_page == "https" or (of_page == "http" and scheme in ("http", "ws"))

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Adds the CORS headers for the allowed origins, if there are any."""
        if not self.allowed:
            return app
        return CORSMiddleware(
            app,
            allow_origins=sorted(self.allowed),
            allow_methods=METHODS,
            allow_headers=self._headers,
            # All: a page gets no response that is not meant for it (Fetch standard, "CORS-exposed header-name list").
            expose_headers=["*"],
        )
