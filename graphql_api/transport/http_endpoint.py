"""GraphQL over HTTP on `/graphql`: one request from its headers to its response, which may be an event stream."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from cluster.api_node.node import Node
from cluster.errors import PublicError, StoreUnavailable
from graphql_api.auth.connections import ConnectionRegistry
from graphql_api.auth.http import address_name_of, audit_refusal, caller_of, status_of
from graphql_api.context import Context
from graphql_api.errors import STORE_UNAVAILABLE
from graphql_api.execution.document_limits import Limits
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.http.pages import graphiql_page
from graphql_api.http.public_url import public_url
from graphql_api.schema.builder import Schema
from graphql_api.transport.address_limits import AddressLimits, UnfinishedMessage
from graphql_api.transport.json import json_bytes, result_payload
from graphql_api.transport.multipart_request import require_preflight
from graphql_api.transport.negotiation import (
    EVENTS,
    GRAPHQL,
    JSON,
    MULTIPART,
    media_type,
    prefers_events,
    streamed_type,
    was_executed,
)
from graphql_api.transport.operation_stream import operation_stream
from graphql_api.transport.request_body import RequestRefused, body_reader, refusal
from graphql_api.transport.request_headers import first_headers, without_parameters
from graphql_api.transport.request_parameters import read_form, read_operation
from graphql_api.transport.stream_formats import FORMATS, StreamFormat

logger = logging.getLogger(__name__)

VARY: Final = "Accept, Accept-Encoding, Authorization, X-API-Key"
"""The request headers that determine the response: its format, and what the caller may see."""
_VARY: Final = (b"vary", VARY.encode())
CONTENT_TYPES: Final = {name: f"{name}; charset=utf-8".encode() for name in (JSON, GRAPHQL)}
OPERATIONS: Final = {
    "GET": frozenset({OperationType.QUERY}),
    "HEAD": frozenset({OperationType.QUERY}),
    "POST": frozenset({OperationType.QUERY, OperationType.MUTATION}),
}
"""The kinds of operation that each method executes; subscriptions go over a WebSocket or an event stream."""

GET_ONLY_READS: Final = "GET executes only operations that read; send a mutation, or a run<Name>, by POST"


class PlainResponse:
    """The response with the result of an operation, at a third of the cost of Starlette's.

    Args:
        content_type: its value.
        headers: additional ones.
    """

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, status: int, content_type: bytes, headers: Mapping[str, str], body: bytes) -> None:
        self._status = status
        self._body = body
        self._headers = [(b"content-type", content_type), _VARY]
        self._headers += [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
        self._headers.append((b"content-length", b"%d" % len(body)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


class HttpEndpoint:
    """Responds to the HTTP requests of one node."""

    def __init__(
        self,
        schema: Schema,
        node: Node,
        connections: ConnectionRegistry,
        addresses: AddressLimits,
        persisted: PersistedOperations,
    ) -> None:
        self._schema = schema
        self._node = node
        self._connections = connections
        self._addresses = addresses
        self._max_values = Limits.of(node.settings).json_values
        self._persisted = persisted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(scope, receive)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        headers = first_headers(scope)
        client = scope.get("client")
        unfinished = UnfinishedMessage(self._addresses, client[0] if client else "unknown")
        request = Request(scope)
        try:
            if request.method not in ("GET", "HEAD", "POST"):
                raise RequestRefused(405, "GraphQL accepts GET, HEAD and POST", {"Allow": "GET, HEAD, POST"})
            body = body_reader(receive, headers, unfinished)
            accepted = headers.get("accept", "")
            if self._wants_page(request, accepted):
                return graphiql_page(await request.app.state.sign_in.origins())
            posted = without_parameters(headers.get("content-type", ""))
            is_form = request.method == "POST" and posted == "multipart/form-data"
            if is_form:
                require_preflight(headers)
            elif request.method == "POST" and posted != "application/json":
                # This also forces browsers to send a preflight request before a page of another site can post (CSRF).
                raise RequestRefused(415, "POST needs Content-Type: application/json")
            caller = await caller_of(request, headers=headers)
            schema = self._schema
            context = Context(
                self._node, schema.wrappers, schema.json_writers, known_caller=caller, public_url=public_url(request)
            )
            context.task_tokens = request.app.state.authenticator.task_tokens
            context.authorize_operation()
            if is_form:
                operation = await read_form(Request(scope, body), self._persisted, self._max_values, self._node, caller)
            else:
                operation = await read_operation(request, body, self._persisted, self._max_values)
            unfinished.release()
            stream_format = None if request.method == "HEAD" else self._stream_format(accepted, operation)
            if stream_format is None:
                context.client_gone = partial(_disconnected, receive)
                return await self._execute(request.method, accepted, context, operation)
            if request.method == "GET" and self._schema.changes_something(
                operation["query"], operation.get("variables"), operation.get("operationName")
            ):
                # Not an error in the stream: an EventSource would connect again for ever.
                raise RequestRefused(405, GET_ONLY_READS, {"Allow": "POST"})
            slot = self._connections.take_slot(caller.name, address_name_of(request))
            return await operation_stream(request, operation, self._schema, context, slot, stream_format)
        except ClientDisconnect:
            return Response(status_code=400)  # the client is gone
        except RequestRefused as error:
            return refusal(error.status, error.message, headers=error.headers)
        except PublicError as error:
            audit_refusal(request, error)
            status, headers = status_of(error)
            return refusal(status, error.message, error.extensions, headers)
        except StoreUnavailable as error:
            logger.warning("%s", error)
            return refusal(503, STORE_UNAVAILABLE, {"code": "SERVICE_UNAVAILABLE"}, {"Retry-After": "2"})
        finally:
            unfinished.release()

    def _wants_page(self, request: Request, accepted: str) -> bool:
        """Whether this is a browser that opens GraphiQL, not a request for data."""
        return (
            self._node.settings.graphiql
            and request.method in ("GET", "HEAD")
            and "text/html" in accepted
            and not {"query", "documentId", "extensions"} & set(request.query_params)
            and not prefers_events(accepted)
        )

    def _stream_format(self, accepted: str, operation: Mapping[str, Any]) -> StreamFormat | None:
        """How to stream the results: as events if the client prefers that, and a subscription in any way it accepts."""
        stream_type = streamed_type(accepted)
        if stream_type is None:
            return None
        if prefers_events(accepted):
            return FORMATS[EVENTS]
        kind = self._schema.kind(operation["query"], operation.get("variables"), operation.get("operationName"))
        return FORMATS[stream_type] if kind is OperationType.SUBSCRIPTION else None

    async def _execute(self, method: str, accepted: str, context: Context, operation: Mapping[str, Any]) -> ASGIApp:
        """Executes one query or mutation; a GET may only query, and so may a HEAD, whose response the server sends
        without the body (RFC 9110, section 9.3.2).

        Raises:
            RequestRefused: there is no operation, or its kind is not allowed with this method.
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
                    400, f"subscribe over a WebSocket, or with Accept: {EVENTS} or {MULTIPART}"
                ) from None
            raise RequestRefused(405, GET_ONLY_READS, {"Allow": "POST"}) from None
        except MissingQueryError:
            raise RequestRefused(400, 'expected a JSON object with "query", a string') from None
        body = result_payload(result)
        chosen = media_type(accepted)
        executed = was_executed(body)
        if not executed:
            # GraphQL, section 7.1: no data entry if nothing was executed.
            del body["data"]
        status = 400 if chosen == GRAPHQL and not executed else 200
        return PlainResponse(status, CONTENT_TYPES[chosen], context.response_headers, json_bytes(body))


async def _disconnected(receive: Receive) -> None:
    """Waits until the client of a request whose body was read has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
