"""Origins: pages of other sites may use this api only where they are named in ALLOWED_ORIGINS.

A request with a foreign `Origin` is refused before anything else is done, on every transport: what is simple for a
browser to send (a GET, an EventSource, a WebSocket) is not asked for beforehand by CORS.
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
ANSWER_HEADERS: Final = ("retry-after", "content-range", "accept-ranges")
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\<>^`{|}\"]*)(?::[0-9]{0,5})?")
"""A host and a port as a Host header has them (RFC 9110, section 7.2): no more than tells the host from the rest."""


def is_host(host: str) -> bool:
    """Whether a Host header is well-formed; an empty one is."""
    return _HOST.fullmatch(host) is not None


class Origins:
    """Whose pages may use this api."""

    def __init__(self, settings: Settings) -> None:
        self.allowed = frozenset(settings.allowed_origins)
        # A name that somebody else's DNS lets point to this machine would make a foreign page one of ours (DNS
        # rebinding): on loopback, where nobody is asked who they are, only its own names are taken.
        self._loopback_only = settings.host in LOOPBACK and settings.authentication == "none"

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from no page, from one of our own, or from one that is allowed. False too where the
        Host header is none."""
        host = headers.get("host", "").lower()
        origin = headers.get("origin")
        if not is_host(host):
            return False
        if origin is not None:
            if origin in self.allowed or "*" in self.allowed:
                return True
            scheme, slashes, place = origin.lower().partition("://")
            if scheme not in ("http", "https") or not slashes or not host or place != host:
                return False
        return not self._loopback_only or (_name(host) or "localhost") in LOOPBACK

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Tells browsers which pages are allowed (CORS), if any of other sites are."""
        if not self.allowed:
            return app
        return CORSMiddleware(
            app,
            allow_origins=sorted(self.allowed),
            allow_methods=["GET", "POST"],
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
        )


def _name(host: str) -> str:
    """The host of a well-formed Host header, without its port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
