"""One operation whose results are streamed in an HTTP response, in one of the formats of `stream_formats`.

The id of an event of `taskEvents` or `taskResult` is the record's `seq`, so a browser's EventSource resumes by
`Last-Event-ID` where it was. An EventSource also reconnects after the end of a stream, for ever, unless it gets a 204
(HTML, section 9.2): it gets one if it has received the final event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from graphql_api.auth.connections import ConnectionSlot
from graphql_api.context import Context
from graphql_api.schema.builder import Schema
from graphql_api.transport.stream_formats import StreamFormat

RESUME_SECONDS: Final = 0.5
"""How long a resumed stream waits, before its response begins, for its first item or its end: one read of Redis."""

STREAMED_OPERATIONS: Final = {
    "GET": frozenset({OperationType.QUERY, OperationType.SUBSCRIPTION}),
    "POST": frozenset({OperationType.QUERY, OperationType.MUTATION, OperationType.SUBSCRIPTION}),
}
"""The kinds of operation that each method may stream."""


async def operation_stream(
    request: Request,
    operation: Mapping[str, Any],
    schema: Schema,
    context: Context,
    slot: ConnectionSlot,
    stream_format: StreamFormat,
) -> Response:
    """Executes one operation and streams its results; responds with 204 if the client has received the last one.

    Args:
        slot: taken for this stream before anything was executed, so that streams that are opened at once are counted
            too. Released when the stream ends.
    """
    try:
        response = await _respond(request, operation, schema, context, slot, stream_format)
    except BaseException:
        slot.release()
        raise
    if not isinstance(response, OperationStream):
        slot.release()
    return response


async def _respond(
    request: Request,
    operation: Mapping[str, Any],
    schema: Schema,
    context: Context,
    slot: ConnectionSlot,
    stream_format: StreamFormat,
) -> Response:
    last = request.headers.get("last-event-id", "")
    context.last_event_id = int(last) if last.isdecimal() and len(last) < 16 else None
    results = StreamedResults(
        await schema.stream(
            operation["query"],
            variable_values=operation.get("variables"),
            operation_name=operation.get("operationName"),
            context_value=context,
            root_value=None,
            # Browsers send a GET of any page without a preflight request: it must not change anything.
            allowed_operation_types=STREAMED_OPERATIONS[request.method],
        )
    )
    if context.last_event_id is not None and await results.end_within(RESUME_SECONDS):
        return Response(status_code=204)
    return OperationStream(results, context, slot, stream_format)


class StreamedResults:
    """The results of one operation. A wait for the next one may time out and be resumed without losing it."""

    def __init__(self, results: AsyncIterator[ExecutionResult]) -> None:
        self._results = results
        self._pending: asyncio.Future[ExecutionResult] | None = None

    async def end_within(self, seconds: float) -> bool:
        """Whether the operation ends within `seconds` without any result. A result that comes is kept for `take`."""
        try:
            pending = await self._wait(seconds)
        except BaseException:
            await self.close()
            raise
        return pending.done() and isinstance(pending.exception(), StopAsyncIteration)

    async def take(self, seconds: float, *others: asyncio.Future[Any]) -> ExecutionResult | None:
        """The next result, or None if none came within `seconds` or one of `others` was done first.

        Raises:
            StopAsyncIteration: there are no more results.
        """
        pending = await self._wait(seconds, *others)
        if not pending.done():
            return None
        self._pending = None
        return pending.result()

    async def _wait(self, seconds: float, *others: asyncio.Future[Any]) -> asyncio.Future[ExecutionResult]:
        pending = self._pending = self._pending or asyncio.ensure_future(anext(self._results))
        await asyncio.wait({pending, *others}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return pending

    async def close(self) -> None:
        """Ends the operation."""
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)
        if isinstance(self._results, AsyncGenerator):
            await self._results.aclose()


class OperationStream(StreamingResponse):
    """A streamed response that counts as one of its caller's connections, and ends with the caller's credential.

    Args:
        slot: released when the stream ends.
    """

    def __init__(
        self, results: StreamedResults, context: Context, slot: ConnectionSlot, stream_format: StreamFormat
    ) -> None:
        self._format = stream_format
        self._body = self._messages_until_revoked(context, slot)
        self._slot = slot
        super().__init__(
            self._body,
            headers={
                "Content-Type": stream_format.content_type,
                "Vary": "Accept, Authorization, X-API-Key",
                "X-Accel-Buffering": "no",
            },
        )
        self._results = results

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # The client may disconnect at any moment: the operation must end then too.
            self._slot.release()
            await self._body.aclose()
            await self._results.close()

    async def _messages_until_revoked(self, context: Context, slot: ConnectionSlot) -> AsyncGenerator[bytes, None]:
        ended = asyncio.Event()

        async def end() -> None:
            ended.set()

        ending = asyncio.ensure_future(ended.wait())
        try:
            slot.register(context.caller, end)
            async for message in self._messages(context, ending):
                yield message
        finally:
            ending.cancel()

    async def _messages(self, context: Context, ending: asyncio.Future[Any]) -> AsyncIterator[bytes]:
        """The results, and signs of life while there are none."""
        yield self._format.beginning
        while not ending.done():
            try:
                result = await self._results.take(self._format.idle_seconds, ending)
            except StopAsyncIteration:
                break
            if result is None:
                yield self._format.idle
            else:
                yield self._format.item(result, context.event_id)
        yield self._format.revoked if ending.done() else self._format.end
