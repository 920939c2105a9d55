"""`/graphql` in all its forms: one request or socket from its first byte to its answer."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta
from typing import Any, Final

import orjson
from cross_web import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError, MissingQueryError
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData, process_result
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET

from cluster.errors import PublicError, ServiceUnavailable, StoreUnavailable, TooManySubscriptions
from cluster.node import Node
from graphql_api.auth.authenticate import Authenticator, credential_in
from graphql_api.auth.http import address_of, caller_of, status_of
from graphql_api.auth.sockets import Sockets
from graphql_api.context import Context
from graphql_api.errors import STORE_AWAY
from graphql_api.pages import graphiql_page
from graphql_api.persisted import PersistedOperations
from graphql_api.schema import Schema
from graphql_api.transport.bodies import RequestRefused, body_reader, refusal
from graphql_api.transport.events import KEEP_ALIVE_SECONDS, event_stream
from graphql_api.transport.json import parse_json
from graphql_api.transport.negotiation import GRAPHQL, media_type, was_executed
from graphql_api.transport.origins import Origins
from graphql_api.transport.websocket import LegacyHandler, Pings, TransportHandler, WebSocketAdapter

logger = logging.getLogger(__name__)

INIT_SECONDS: Final = 10.0
"""How long a WebSocket may be open without its connection_init; closed with 4408 then."""


class GraphQLEndpoint(GraphQL[Context, None]):
    """The endpoint of one node."""

    websocket_adapter_class = WebSocketAdapter
    graphql_transport_ws_handler_class = TransportHandler
    graphql_ws_handler_class = LegacyHandler

    def __init__(
        self,
        schema: Schema,
        node: Node,
        authenticator: Authenticator,
        sockets: Sockets,
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
        try:
            if not self._origins.allows(request.headers):
                raise RequestRefused(403, "pages of this origin may not use this api (ALLOWED_ORIGINS)")
            if request.method not in ("GET", "POST"):
                raise RequestRefused(405, "GraphQL takes GET and POST", {"Allow": "GET, POST"})
            request = Request(scope, body_reader(receive, request.headers))
            accepted = request.headers.get("accept", "")
            streams = "text/event-stream" in accepted
            if not streams and self._wants_page(request, accepted):
                return graphiql_page()
            if request.method == "POST" and _content_type(request) != "application/json":
                # Also what keeps foreign pages from posting without being asked about first (CSRF).
                raise RequestRefused(415, "POST takes Content-Type: application/json")
            request.state.caller = caller = await caller_of(request)
            if not streams:
                answer = await self.run(request)
                chosen = media_type(accepted)
                answer.headers["Content-Type"] = f"{chosen}; charset=utf-8"
                answer.headers["Vary"] = "Accept"
                answer.status_code = 400 if chosen == GRAPHQL and not request.state.executed else 200
                return answer
            self._sockets.check(caller.name)
            context = Context(self._node, self._schema.wrappers, who=caller)
            return await event_stream(request, self._schema, context, self._sockets, self.persisted)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to hear it
        except RequestRefused as error:
            return refusal(error.status, error.message, headers=error.headers)
        except PublicError as error:
            status, headers = status_of(error)
            return refusal(status, error.message, error.extensions, headers)
        except StoreUnavailable as error:
            logger.warning("%s", error)
            return refusal(503, STORE_AWAY, {"code": "SERVICE_UNAVAILABLE"}, {"Retry-After": "2"})
        except HTTPException as error:
            # What Strawberry refuses before it executes is told as JSON, as every other refusal.
            return refusal(error.status_code, error.reason)

    def _wants_page(self, request: Request, accepted: str) -> bool:
        """Whether a browser asks for the page and not for data."""
        return (
            self._node.settings.graphiql
            and request.method == "GET"
            and not {"query", "documentId", "extensions"} & set(request.query_params)
            and "text/html" in accepted
        )

    def should_render_graphql_ide(self, request: Any) -> bool:
        """Never: a page was answered before, and a GET may name its document by hash."""
        return False

    async def execute_single(
        self,
        request: Request,
        request_adapter: Any,
        sub_response: Response,
        context: Context,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Executes one operation; a GET may only query.

        Raises:
            RequestRefused: there is no operation, or one that this method does not take.
        """
        try:
            return await self.schema.execute(
                request_data.query,
                root_value=root_value,
                variable_values=request_data.variables,
                context_value=context,
                operation_name=request_data.operation_name,
                allowed_operation_types=OperationType.from_http(request.method),  # type: ignore[arg-type]
                operation_extensions=request_data.extensions,
            )
        except CannotGetOperationTypeError as error:
            raise RequestRefused(400, error.as_http_error_reason()) from None
        except InvalidOperationTypeError as error:
            if error.operation_type is OperationType.SUBSCRIPTION:
                raise RequestRefused(
                    400, "a subscription goes over a WebSocket, or with Accept: text/event-stream"
                ) from None
            raise RequestRefused(405, "GET takes queries; POST what changes something", {"Allow": "POST"}) from None
        except MissingQueryError:
            raise RequestRefused(400, 'expected a JSON object with "query", a text') from None

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        answer = process_result(result)
        request.state.executed = was_executed(answer)
        if not request.state.executed:
            answer.pop("data", None)
        return answer

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        if isinstance(request, WebSocket):
            # Who it is comes with connection_init.
            return Context(self._node, self._schema.wrappers, socket=request)
        assert isinstance(response, Response)
        return Context(self._node, self._schema.wrappers, who=request.state.caller, response=response)

    async def get_root_value(self, request: Request | WebSocket) -> None:
        return None

    def decode_json(self, data: str | bytes) -> Any:
        return parse_json(data)

    def parse_json(self, data: str | bytes) -> Any:
        operation = super().parse_json(data)
        return self.persisted.resolve(operation) if isinstance(operation, dict) else operation

    def parse_query_params(self, params: Any) -> Any:
        return self.persisted.resolve(super().parse_query_params(params))

    def encode_json(self, data: object) -> str:
        return orjson.dumps(data).decode()

    # WebSockets -------------------------------------------------------------------------------------------------------

    async def _serve_socket(self, socket: WebSocket) -> None:
        address = f"address:{address_of(socket)}"
        if not self._origins.allows(socket.headers) or self._sockets.full(address):
            # Closed before it is accepted: the handshake is answered with 403.
            await socket.close(1008)
            return
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._sockets.counted(address))
            socket.scope["dask_graphql.stack"] = stack
            # Strawberry raises KeyError where a client vanishes at the moment its operation completes.
            with contextlib.suppress(KeyError):
                await self.run(socket)

    async def on_ws_connect(self, context: Context) -> Any:
        """Finds the caller of a WebSocket, once its connection_init came.

        Raises:
            ConnectionRejectionError: the credential is not good; the socket is closed with 4403.
        """
        socket = context.socket
        assert socket is not None
        try:
            context.who = await caller_of(socket, credential_in(context.connection_params))
            stack: contextlib.ExitStack = socket.scope["dask_graphql.stack"]
            if self._authenticator.required:
                self._sockets.check(context.who.name)
                stack.enter_context(self._sockets.counted(context.who.name))
            stack.enter_context(self._sockets.held(context.who, lambda: socket.close(4403, "the credential has ended")))
        except (StoreUnavailable, ServiceUnavailable, TooManySubscriptions) as error:
            logger.debug("a socket is put off: %s", error)
            await socket.close(1013, "try again later")
            raise WebSocketDisconnected from error
        except PublicError as error:
            raise ConnectionRejectionError({"message": error.message, **error.extensions}) from error
        return UNSET


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
