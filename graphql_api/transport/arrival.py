"""Bounds on what arrives before a node knows who sends it: the head of a request, and the time that heads, bodies and
WebSocket messages may take.

A server that waits for as long as a client likes can be used up by a few hundred half requests (the "Slowloris" attack,
CAPEC-469). The sizes are those of common proxies: nginx takes heads of 32 kB, AWS's load balancers of 64 kB.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Hashable, Sequence
from http import HTTPStatus
from typing import Final

from graphql_api.transport.response_headers import SAFE_HEADERS

HEAD_BYTES: Final = 32 * 1024
"""Size of a request's URL and headers together."""
URL_BYTES: Final = 16 * 1024
"""Size of a request's URL, which for a GET contains the document and its variables."""
HEADER_LIMIT: Final = 100
"""Number of a request's headers."""
PIPELINE_LIMIT: Final = 16
"""Requests that may wait on one connection for the response to an earlier one (RFC 9112, section 9.3.2)."""
HEAD_SECONDS: Final = 10.0
"""How long a head may take, from the connection or its first byte on; and the rest of a body that nobody reads."""
BODY_SECONDS: Final = 60.0
"""How long a body may take, unless BODY_BYTES_PER_SECOND of it arrive; and a WebSocket message."""
BODY_BYTES_PER_SECOND: Final = 64_000
"""A body that arrives at this rate may take longer."""
LINGER_SECONDS: Final = 1.0
"""How long a refused connection still takes what its client sends: closing it at once may cost the client the response
(RFC 9112, section 9.6)."""


class ArrivalRefused(Exception):
    """The client sends too much, too slowly, or what is not HTTP.

    Args:
        status: of the response.
        message: what was expected.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def response(self) -> bytes:
        """The whole response, after which the connection is closed. Its body has the form of a GraphQL response."""
        code = "TOO_MANY_CONNECTIONS" if self.status in (429, 503) else "BAD_REQUEST"
        body = json.dumps({"errors": [{"message": self.message, "extensions": {"code": code}}]}).encode()
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        )
        safe = b"".join(b"%s: %s\r\n" % item for item in SAFE_HEADERS.items())
        return b"%s%s\r\n%s" % (head.encode(), safe, body)


def check_head(url: bytes, headers: Sequence[tuple[bytes, bytes]], received_bytes: int) -> None:
    """Checks the size of a request's head.

    Args:
        received_bytes: all that was received for it, the head included; 0 if that is not known.

    Raises:
        ArrivalRefused: it is too large.
    """
    if len(url) > URL_BYTES:
        raise ArrivalRefused(414, f"a URL is at most {URL_BYTES} bytes long; send the operation by POST")
    if len(headers) > HEADER_LIMIT:
        raise ArrivalRefused(431, f"a request has at most {HEADER_LIMIT} headers")
    surely_small = 0 < received_bytes <= HEAD_BYTES
    if not surely_small and len(url) + sum(len(name) + len(value) for name, value in headers) > HEAD_BYTES:
        raise head_too_large()


def head_too_large() -> ArrivalRefused:
    return ArrivalRefused(431, f"the URL and the headers of a request are at most {HEAD_BYTES} bytes")


class ArrivalTimer:
    """Calls `on_late` if something does not arrive in time.

    Args:
        on_late: called in the event loop; nothing is watched then any more.
    """

    __slots__ = ("_handle", "_on_late", "_watched")

    def __init__(self, on_late: Callable[[], None]) -> None:
        self._on_late = on_late
        self._handle: asyncio.TimerHandle | None = None
        self._watched: Hashable = None

    def watch(self, what: Hashable, seconds: float) -> None:
        """Begins to wait `seconds` for `what`, unless that is watched already. None: waits for nothing."""
        if what == self._watched:
            return
        self.stop()
        if what is not None:
            self._watched = what
            self._handle = asyncio.get_running_loop().call_later(seconds, self._late)

    def stop(self) -> None:
        self._watched = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _late(self) -> None:
        self.stop()
        self._on_late()
