"""The first thing that every request of every route meets: is it for this api, and may a page of its origin use it?

And the last thing that every response meets: the headers that keep browsers from making more of it than it is.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import ForeignHost, ForeignOrigin, PublicError
from cluster.settings import Settings, variable_of
from graphql_api.auth.http import audit_refusal
from graphql_api.auth.url_token import BY_URL, hide_url_token
from graphql_api.request_path import path_of
from graphql_api.transport.forwarded import BAD_PREFIX, PROXY_HOST
from graphql_api.transport.host_check import MAX_HOST_CHARACTERS, HostCheck, Hosts
from graphql_api.transport.origin_check import Origins
from graphql_api.transport.request_body import refusal
from graphql_api.transport.response_headers import SAFE_HEADERS

EMBEDDABLE: Final = (b"cross-origin-resource-policy", b"cross-origin")
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
        hide_url_token(scope)
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
                if scope.get(BY_URL):
                    # Whoever has the URL may read it: a page of another site that has been given it, too.
                    headers.append(EMBEDDABLE)
                    present.add(EMBEDDABLE[0])
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
        # Both the name that the client used and the one that a trusted proxy used: a proxy may pass on an
        # X-Forwarded-Host that a client has written.
        for name in dict.fromkeys((host, scope.get(PROXY_HOST, host))):
            checked = self._hosts.check(name, server[0] if server else "")
            if checked is HostCheck.MALFORMED:
                return _response(scope, 400, "the Host header must be a name or an address, with an optional port")
            if checked is HostCheck.FOREIGN:
                return _refused(scope, 421, foreign_host(name))
        if BAD_PREFIX in scope:
            return _response(scope, 400, "X-Forwarded-Prefix must be a path such as /tasks")
        if not self._origins.allows(origin, host, scope["scheme"]):
            return _refused(scope, 403, foreign_origin(origin or "", host, scope["scheme"]))
        return None


def foreign_host(host: str) -> ForeignHost:
    return ForeignHost(
        f"this API is not served under the name {host!r}: add it to {variable_of('allowed_hosts')}, or set "
        f"{variable_of('public_url')}"
    )


def foreign_origin(origin: str, host: str, scheme: str) -> ForeignOrigin:
    served = f"{'https' if scheme in ('https', 'wss') else 'http'}://{host}"
    return ForeignOrigin(
        f"pages of the origin {origin[:MAX_HOST_CHARACTERS]!r} may not use this API, which is {served!r} for this "
        f"request: add the origin to {variable_of('allowed_origins')}; or, if a proxy serves both under one name, let "
        f"it pass on the Host header, or set {variable_of('public_url')}"
    )


def _refused(scope: Scope, status: int, error: PublicError) -> Response:
    audit_refusal(HTTPConnection(scope), error)
    return _response(scope, status, error.message, error.code)


def _response(scope: Scope, status: int, message: str, code: str = "BAD_REQUEST") -> Response:
    if path_of(scope) == "/graphql":
        return refusal(status, message, {"code": code})
    return JSONResponse({"error": message, "code": code}, status)
