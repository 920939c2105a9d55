"""GraphQL over HTTP, WebSocket and server-sent events: what the standards ask beyond Strawberry."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final

import orjson
from cross_web import HTTPException
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import NonJsonMessageReceived, WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.types import ExecutionResult
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

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS: Final = 12.0
"""A comment on an idle event stream, so that no proxy takes it for dead."""

BODY_LIMIT_BYTES: Final = 4_000_000
"""Largest request body; 1,000 inputs of a long task fit easily."""


class WebSocketAdapter(ASGIWebSocketAdapter):
    """Mends what Strawberry's reading of the two protocols leaves out."""

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        async for message in super().iter_json(ignore_parsing_errors=ignore_parsing_errors):
            if not isinstance(message, dict):
                # Closed with 4400, where Strawberry would let a TypeError end the socket.
                raise NonJsonMessageReceived
            # Clients send `payload: null` with connection_init, which the protocol allows and Strawberry refuses.
            if message.get("type") == "connection_init" and message.get("payload") is None:
                message.pop("payload", None)
            payload = message.get("payload")
            if message.get("type") in ("subscribe", "start") and isinstance(payload, dict):
                assert isinstance(self.view, GraphQLEndpoint)
                message["payload"] = self.view.persisted.resolve(payload)
            yield message


class TransportHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """graphql-transport-ws. Strawberry's own closes a socket with all its operations for one document that is wrong."""

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:
        return None


class GraphQLEndpoint(GraphQL[Context, None]):
    """`/graphql` in all its forms."""

    websocket_adapter_class = WebSocketAdapter
    graphql_transport_ws_handler_class = TransportHandler

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
            keep_alive=True,
            keep_alive_interval=KEEP_ALIVE_SECONDS,
        )
        self._node = node
        self._schema = schema
        self._authenticator = authenticator
        self._sockets = sockets
        self.persisted = persisted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await self._answer(Request(scope, bounded(receive)))
            await response(scope, receive, send)
            return
        with contextlib.ExitStack() as stack:
            socket = WebSocket(scope, receive, send)
            try:
                stack.enter_context(self._sockets.counted(f"address:{address_of(socket)}"))
            except TooManySubscriptions:
                # Closed before it is accepted: the handshake is answered with 403.
                await socket.close(1013)
                return
            scope["dask_graphql.stack"] = stack
            # Strawberry raises KeyError where a client vanishes at the moment its operation completes.
            with contextlib.suppress(KeyError):
                await super().__call__(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        """The answer to one HTTP request, by what it asks for."""
        accepted = request.headers.get("accept", "")
        length = request.headers.get("content-length", "0")
        try:
            if not length.isdecimal() or int(length) > BODY_LIMIT_BYTES:
                raise BodyTooLong
            if "text/event-stream" in accepted and request.method in ("POST", "GET"):
                request.state.caller = await caller_of(request)
                return await self._event_stream(request)
            if self._wants_page(request, accepted):
                return graphiql_page()
            request.state.caller = await caller_of(request)
            answer = await self.run(request)
            assert isinstance(answer, Response)
            return answer
        except BodyTooLong:
            return refusal(413, f"a request body is at most {BODY_LIMIT_BYTES} bytes")
        except PublicError as error:
            status, headers = status_of(error)
            return refusal(status, error.message, error.extensions, headers)
        except StoreUnavailable as error:
            logger.warning("%s", error)
            return refusal(503, STORE_AWAY, {"code": "SERVICE_UNAVAILABLE"}, {"Retry-After": "2"})
        except HTTPException as error:
            # What Strawberry refuses before it executes is told as JSON, as every other refusal.
            return refusal(error.status_code, error.reason)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        if isinstance(request, WebSocket):
            # Who it is comes with connection_init.
            return Context(self._node, self._schema.wrappers, socket=request)
        assert isinstance(response, Response)
        return Context(self._node, self._schema.wrappers, who=request.state.caller, response=response)

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
                stack.enter_context(self._sockets.counted(context.who.name))
            stack.enter_context(self._sockets.held(context.who, lambda: socket.close(4403, "the credential has ended")))
        except (StoreUnavailable, ServiceUnavailable, TooManySubscriptions) as error:
            logger.debug("a socket is put off: %s", error)
            await socket.close(1013, "try again later")
            raise WebSocketDisconnected from error
        except PublicError as error:
            raise ConnectionRejectionError({"message": error.message, **error.extensions}) from error
        return UNSET

    def should_render_graphql_ide(self, request: Any) -> bool:
        """Never: a page was answered before, and a GET may name its document by hash."""
        return False

    def _wants_page(self, request: Request, accepted: str) -> bool:
        """Whether a browser asks for the page and not for data."""
        return (
            self._node.settings.graphiql
            and request.method == "GET"
            and not {"query", "documentId", "extensions"} & set(request.query_params)
            and "text/html" in accepted
        )

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

    # Server-sent events: the distinct connections mode of graphql-sse ------------------------------------------------

    async def _event_stream(self, request: Request) -> Response:
        try:
            operation = await read_operation(request, self.persisted)
        except ValueError as error:
            return refusal(400, str(error))
        caller = request.state.caller
        context = Context(self._node, self._schema.wrappers, who=caller)
        results = self._schema.stream(
            operation["query"],
            variable_values=operation.get("variables"),
            operation_name=operation.get("operationName"),
            context_value=context,
            root_value=None,
        )
        return StreamingResponse(
            self._counted(sse_messages(results), caller.name),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    async def _counted(self, messages: AsyncIterator[bytes], who: str) -> AsyncIterator[bytes]:
        with self._sockets.counted(who):
            async for message in messages:
                yield message


class BodyTooLong(Exception):
    """A body without a Content-Length turned out longer than BODY_LIMIT_BYTES."""


def bounded(receive: Receive) -> Receive:
    """Counts a body as it comes, since a chunked one does not say its length."""
    received = 0

    async def counting() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > BODY_LIMIT_BYTES:
            raise BodyTooLong
        return message

    return counting


def parse_json(text: str | bytes) -> Any:
    """A JSON value with its integers whole: orjson would make a float of one beyond 64 bits, without a word.

    Raises:
        json.JSONDecodeError: the text is not JSON, or holds a number longer than Python reads (4,300 digits).
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from error


def refusal(
    status: int,
    message: str,
    extensions: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A well-formed answer to a request that is not executed."""
    error = {"message": message, "extensions": extensions or {"code": "BAD_REQUEST"}}
    return JSONResponse({"errors": [error]}, status, headers)


async def read_operation(request: Request, persisted: PersistedOperations) -> Mapping[str, Any]:
    """The operation of an HTTP request.

    Raises:
        ValueError: there is none that can be read; the message says what was expected.
    """
    try:
        if request.method == "GET":
            operation: Any = dict(request.query_params)
            for name in ("variables", "extensions"):
                if name in operation:
                    operation[name] = parse_json(operation[name])
        else:
            operation = parse_json(await request.body())
    except json.JSONDecodeError as error:
        raise ValueError(f"the request is not JSON: {error}") from None
    if isinstance(operation, dict):
        operation = persisted.resolve(operation)
    if not isinstance(operation, dict) or not isinstance(operation.get("query"), str):
        raise ValueError('expected a JSON object with "query", a text')
    if not isinstance(operation.get("variables") or {}, dict):
        raise ValueError('expected "variables" to be a JSON object')
    return operation


async def sse_messages(results: Any) -> AsyncIterator[bytes]:
    """The events of a stream: `next` with each result, a comment while it is idle, `complete` at the end."""
    source = await results
    iterator = aiter(source)
    coming: asyncio.Future[Any] | None = None
    try:
        yield b":\n\n"
        while True:
            coming = coming or asyncio.ensure_future(anext(iterator))
            done, _ = await asyncio.wait({coming}, timeout=KEEP_ALIVE_SECONDS)
            if not done:
                yield b":\n\n"
                continue
            try:
                result = coming.result()
            except StopAsyncIteration:
                break
            finally:
                coming = None
            yield b"event: next\ndata: " + orjson.dumps(payload(result)) + b"\n\n"
        yield b"event: complete\ndata:\n\n"
    finally:
        # The client may vanish at any moment: the subscription behind it must end.
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        with contextlib.suppress(AttributeError):
            await source.aclose()


def payload(result: ExecutionResult) -> dict[str, Any]:
    """An execution result as the protocols send it."""
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    return answer
