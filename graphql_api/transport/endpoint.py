"""`/graphql` in all its forms: one request or socket from its first byte to its answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError, MissingQueryError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET

from cluster.api_node.node import Node
from cluster.errors import PublicError, ServiceUnavailable, StoreUnavailable, TooManySubscriptions
from graphql_api.auth.authenticate import Authenticator, credential_in
from graphql_api.auth.connections import ConnectionRegistry, ConnectionSlot
from graphql_api.auth.http import address_of, caller_of, status_of
from graphql_api.context import Context
from graphql_api.errors import STORE_UNAVAILABLE
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.http.pages import graphiql_page
from graphql_api.schema.builder import Schema
from graphql_api.transport.json import json_bytes, parse_json
from graphql_api.transport.negotiation import GRAPHQL, media_type, prefers_events, takes_events, was_executed
from graphql_api.transport.origin_check import Origins, is_host
from graphql_api.transport.request_body import RequestRefused, body_reader, refusal
from graphql_api.transport.request_parameters import read_operation
from graphql_api.transport.server_sent_events import KEEP_ALIVE_SECONDS, event_stream, payload
from graphql_api.transport.websocket import LegacyHandler, Pings, TransportHandler, WebSocketAdapter

logger = logging.getLogger(__name__)

INIT_SECONDS: Final = 10.0
"""How long a WebSocket may be open without its connection_init; closed with 4408 then."""

VARY: Final = "Accept, Accept-Encoding"
"""What of a request the form of its answer follows."""
OPERATIONS: Final = {
    "GET": frozenset({OperationType.QUERY}),
    "POST": frozenset({OperationType.QUERY, OperationType.MUTATION}),
}
"""What a method takes; subscriptions have transports of their own."""


class GraphQLEndpoint(GraphQL[Context, None]):
    """The endpoint of one node. What Strawberry's own gives us is the life of a WebSocket."""

    websocket_adapter_class = WebSocketAdapter
    graphql_transport_ws_handler_class = TransportHandler
    graphql_ws_handler_class = LegacyHandler

    def __init__(
        self,
        schema: Schema,
        node: Node,
        authenticator: Authenticator,
        sockets: ConnectionRegistry,
        persisted: PersistedOperations,
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            max_subscriptions_per_connection=node.settings.socket_operation_limit,
            connection_init_wait_timeout=timedelta(seconds=INIT_SECONDS),
            keep_alive=True,
            keep_alive_interval=KEEP_ALIVE_SECONDS,
            # Every origin is looked at in `__call__`, on every transport alike.
            allowed_origins=("*",),
        )
        self._node = node
        self._schema = schema
        self._authenticator = authenticator
        self._sockets = sockets
        self._origins = Origins(node.settings)
        self.persisted = persisted
        self.pings = Pings()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await self._answer(scope, receive)
            await response(scope, receive, send)
        else:
            await self._serve_socket(WebSocket(scope, receive, send))

    # HTTP -------------------------------------------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        """The answer to one HTTP request, by what it asks for."""
        request = Request(scope)
        headers = first_headers(scope)
        try:
            if not is_host(headers.get("host", "")):
                raise RequestRefused(400, "the Host header is not a name or an address with an optional port")
            if not self._origins.allows(headers):
                raise RequestRefused(403, "pages of this origin may not use this api (ALLOWED_ORIGINS)")
            if request.method not in ("GET", "POST"):
                raise RequestRefused(405, "GraphQL takes GET and POST", {"Allow": "GET, POST"})
            request = Request(scope, body_reader(receive, headers))
            accepted = headers.get("accept", "")
            if self._wants_page(request, accepted):
                return graphiql_page()
            if request.method == "POST" and _bare(headers.get("content-type", "")) != "application/json":
                # Also what keeps foreign pages from posting without being asked about first (CSRF).
                raise RequestRefused(415, "POST takes Content-Type: application/json")
            caller = await caller_of(request, headers=headers)
            context = Context(self._node, self._schema.wrappers, known_caller=caller)
            operation = await read_operation(request, self.persisted)
            if not self._streams(accepted, operation):
                return await self._execute(request.method, accepted, context, operation)
            self._sockets.require_room(caller.name)
            return await event_stream(request, operation, self._schema, context, self._sockets)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to hear it
        except RequestRefused as error:
            return refusal(error.status, error.message, headers=error.headers)
        except PublicError as error:
            status, headers = status_of(error)
            return refusal(status, error.message, error.extensions, headers)
        except StoreUnavailable as error:
            logger.warning("%s", error)
            return refusal(503, STORE_UNAVAILABLE, {"code": "SERVICE_UNAVAILABLE"}, {"Retry-After": "2"})

    def _wants_page(self, request: Request, accepted: str) -> bool:
        """Whether a browser asks for the page and not for data."""
        return (
            self._node.settings.graphiql
            and request.method == "GET"
            and "text/html" in accepted
            and not {"query", "documentId", "extensions"} & set(request.query_params)
            and not prefers_events(accepted)
        )

    def _streams(self, accepted: str, operation: Mapping[str, Any]) -> bool:
        """Whether the answer is an event stream: the client likes that best, or takes it and subscribes."""
        if not takes_events(accepted):
            return False
        return prefers_events(accepted) or (
            self._schema.kind(operation["query"], operation.get("variables"), operation.get("operationName"))
            is OperationType.SUBSCRIPTION
        )

    async def _execute(self, method: str, accepted: str, context: Context, operation: Mapping[str, Any]) -> Response:
        """Executes one query or mutation; a GET may only query.

        Raises:
            RequestRefused: there is no operation, or one that this method does not take.
        """
        try:
            result = await self._schema.execute(
                operation["query"],
                variable_values=operation.get("variables"),
                context_value=context,
                operation_name=operation.get("operationName"),
                allowed_operation_types=OPERATIONS[method],
            )
        except InvalidOperationTypeError as error:
            if error.operation_type is OperationType.SUBSCRIPTION:
                raise RequestRefused(
                    400, "a subscription goes over a WebSocket, or with Accept: text/event-stream"
                ) from None
            raise RequestRefused(405, "GET takes queries; POST what changes something", {"Allow": "POST"}) from None
        except MissingQueryError:
            raise RequestRefused(400, 'expected a JSON object with "query", a text') from None
        answer = payload(result)
        chosen = media_type(accepted)
        executed = was_executed(answer)
        if not executed:
            # GraphQL, section 7.1: no data entry where nothing was executed.
            del answer["data"]
        status = 400 if chosen == GRAPHQL and not executed else 200
        headers = {"Content-Type": f"{chosen}; charset=utf-8", "Vary": VARY, **context.response_headers}
        return Response(json_bytes(answer), status, headers)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        """Of a WebSocket: who it is comes with connection_init."""
        assert isinstance(request, WebSocket)
        return Context(self._node, self._schema.wrappers, socket=request)

    async def get_root_value(self, request: Request | WebSocket) -> None:
        return None

    def decode_json(self, data: str | bytes) -> Any:
        return parse_json(data)

    def encode_json(self, data: object) -> str:
        return json_bytes(data).decode()

    # WebSockets -------------------------------------------------------------------------------------------------------

    async def _serve_socket(self, socket: WebSocket) -> None:
        address = f"address:{address_of(socket)}"
        headers = first_headers(socket.scope)
        allowed = is_host(headers.get("host", "")) and self._origins.allows(headers)
        if not allowed or self._sockets.is_full(address):
            # Closed before it is accepted: the handshake is answered with 403.
            await socket.close(1008)
            return
        with self._sockets.slot() as slot:
            slot.count(address)
            socket.scope["dask_graphql.slot"] = slot
            await self.run(socket)

    async def on_ws_connect(self, context: Context) -> Any:
        """Finds the caller of a WebSocket, once its connection_init came.

        Raises:
            ConnectionRejectionError: the credential is not good; the socket is closed with 4403.
        """
        socket = context.socket
        assert socket is not None
        try:
            context.known_caller = await caller_of(socket, credential_in(context.connection_params))
            slot: ConnectionSlot = socket.scope["dask_graphql.slot"]
            if self._authenticator.required:
                self._sockets.require_room(context.known_caller.name)
                slot.count(context.known_caller.name)
            slot.register(context.known_caller, lambda: socket.close(4403, "the credential has ended"))
        except (StoreUnavailable, ServiceUnavailable, TooManySubscriptions) as error:
            logger.debug("a socket is put off: %s", error)
            await socket.close(1013, "try again later")
            raise WebSocketDisconnected from error
        except PublicError as error:
            raise ConnectionRejectionError({"message": error.message, **error.extensions}) from error
        return UNSET


def first_headers(scope: Scope) -> dict[str, str]:
    """The headers of a request by name: Starlette searches the list for every name anew. Of several the first counts;
    `accept` is a list, which may come in several lines (RFC 9110, section 5.3)."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
    if len(headers) < len(scope["headers"]) and "accept" in headers:
        headers["accept"] = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
    return headers


def _bare(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
