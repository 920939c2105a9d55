"""Origins: pages of other sites may use this api only if ALLOWED_ORIGINS names their sites.

On every transport, a request with a foreign `Origin` is refused before anything else is done. CORS alone does not
prevent it: browsers send simple requests (a GET, an EventSource, a WebSocket) without a preflight request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from cluster.settings import Settings

REQUEST_HEADERS: Final = (
    "authorization", "content-type", "content-encoding", "last-event-id", "range", "x-api-key",
    "apollographql-client-name", "apollographql-client-version",
)  # fmt: skip
RESPONSE_HEADERS: Final = ("retry-after", "content-range", "accept-ranges")
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\<>^`{|}\"]*)(?::[0-9]{0,5})?")
"""A host and an optional port (RFC 9110, section 7.2). Checks only what is needed to tell the two apart."""


def is_host(host: str) -> bool:
    """Whether a Host header is well-formed; an empty one is."""
    return _HOST.fullmatch(host) is not None


class Origins:
    """Decides whether a request's origin may use this api."""

    def __init__(self, settings: Settings) -> None:
        self.allowed = frozenset(settings.allowed_origins)
        # DNS rebinding: a foreign page whose domain resolves to this machine looks like one of ours. On loopback
        # without authentication, only loopback's own names are accepted.
        self._loopback_only = settings.host in LOOPBACK and settings.authentication == "none"

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from an allowed page, from one of our own, or from no page; False too if its Host
        header is malformed."""
        host = headers.get("host", "").lower()
        origin = headers.get("origin")
        if not is_host(host):
            return False
        if origin is not None:
            if origin in self.allowed or "*" in self.allowed:
                return True
            scheme, slashes, authority = origin.lower().partition("://")
            if scheme not in ("http", "https") or not slashes or not host or authority != host:
                return False
        return not self._loopback_only or (_name(host) or "localhost") in LOOPBACK

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Adds the CORS headers for the allowed origins, if there are any."""
        if not self.allowed:
            return app
        return CORSMiddleware(
            app,
            allow_origins=sorted(self.allowed),
            allow_methods=["GET", "POST"],
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
        )


def _name(host: str) -> str:
    """A well-formed Host header without its port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
