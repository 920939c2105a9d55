"""The first thing that every request of every route meets: is it for this api, and may a page of its origin use it?

And the last thing that every response meets: the headers that keep browsers from making more of it than it is.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import ForeignHost, ForeignOrigin, PublicError
from cluster.settings import Settings
from graphql_api.auth.http import audit_refusal
from graphql_api.transport.host_check import HostCheck, Hosts
from graphql_api.transport.origin_check import Origins
from graphql_api.transport.request_body import refusal
from graphql_api.transport.response_headers import SAFE_HEADERS

POLICY_VIOLATION: Final = 1008
"""Close code of a refused WebSocket; as it was not accepted yet, its client gets a 403."""


class RequestGuard:
    """Refuses requests for other hosts (421) and of foreign origins (403), and completes the headers of all responses.

    A response that sets one of the headers itself keeps it. (What is refused before a request is complete never comes
    here; it gets them in `ArrivalRefused.response`.)

    Args:
        app: serves what is not refused.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._hosts = Hosts(settings)
        self._origins = Origins(settings)
        self._app = self._origins.middleware(app)
        self._headers = dict(SAFE_HEADERS)
        if "*" in self._origins.allowed:
            # Does not concern what pages of allowed origins fetch, which CORS decides.
            self._headers[b"cross-origin-resource-policy"] = b"cross-origin"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refusal(scope)
        if scope["type"] == "websocket":
            if refused is not None:
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})
                return
            await self._app(scope, receive, send)
            return

        async def send_completed(message: Message) -> None:
            # A 304 has no content: a browser would replace headers of the stored response with these (RFC 9111, 3.2).
            if message["type"] == "http.response.start" and message["status"] != 304:
                headers = message["headers"]
                present = {name for name, _ in headers}
                headers.extend(item for item in self._headers.items() if item[0] not in present)
            await send(message)

        await (refused or self._app)(scope, receive, send_completed)

    def _refusal(self, scope: Scope) -> Response | None:
        """The response to a request that is not served."""
        host, origin = "", None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
        server = scope.get("server")
        checked = self._hosts.check(host, server[0] if server else "")
        if checked is HostCheck.MALFORMED:
            return _response(scope, 400, "the Host header must be a name or an address, with an optional port")
        if checked is HostCheck.FOREIGN:
            return _refused(scope, 421, ForeignHost("this API is not served under this name (ALLOWED_HOSTS)"))
        if not self._origins.allows(origin, host, scope["scheme"]):
            return _refused(scope, 403, ForeignOrigin("pages of this origin may not use this API (ALLOWED_ORIGINS)"))
        return None


def _refused(scope: Scope, status: int, error: PublicError) -> Response:
    audit_refusal(HTTPConnection(scope), error)
    return _response(scope, status, error.message, error.code)


def _response(scope: Scope, status: int, message: str, code: str = "BAD_REQUEST") -> Response:
    if scope["path"] == "/graphql":
        return refusal(status, message, {"code": code})
    return JSONResponse({"error": message, "code": code}, status)
