"""Server-sent events: the distinct connections mode of graphql-sse (github.com/enisdenjo/graphql-sse, PROTOCOL.md).

An item of `taskEvents` or `taskResult` has the record's `seq` as its id, so a browser's EventSource goes on where it
was by `Last-Event-ID`. An EventSource also asks again after the end of a stream, for ever, unless it is told 204 (HTML,
section 9.2): so it is, where it has seen the final event.
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

from graphql_api.auth.connections import ConnectionRegistry
from graphql_api.context import Context
from graphql_api.schema.builder import Schema
from graphql_api.transport.json import json_bytes, result_payload

KEEP_ALIVE_SECONDS: Final = 12.0
"""A comment on an idle event stream, so that no proxy takes it for dead."""

SEEN_SECONDS: Final = 0.5
"""How long a client that has seen events waits for the first further one, or for word that there is none, before its
stream begins: one look at Redis."""

STREAMED: Final = {
    "GET": frozenset({OperationType.QUERY, OperationType.SUBSCRIPTION}),
    "POST": frozenset({OperationType.QUERY, OperationType.MUTATION, OperationType.SUBSCRIPTION}),
}
"""What a method takes as an event stream."""


async def event_stream(
    request: Request, operation: Mapping[str, Any], schema: Schema, context: Context, sockets: ConnectionRegistry
) -> Response:
    """Executes one operation and streams its results; 204 where the client has seen the last one."""
    last = request.headers.get("last-event-id", "")
    context.last_event_id = int(last) if last.isdecimal() and len(last) < 16 else None
    results = StreamedResults(
        await schema.stream(
            operation["query"],
            variable_values=operation.get("variables"),
            operation_name=operation.get("operationName"),
            context_value=context,
            root_value=None,
            # A GET is sent without asking, also by pages of other sites: it may change nothing.
            allowed_operation_types=STREAMED[request.method],
        )
    )
    if context.last_event_id is not None:
        with sockets.slot() as slot:
            slot.count(context.caller.name)
            if await results.end_within(SEEN_SECONDS):
                return Response(status_code=204)
    return EventStream(results, context, sockets)


class StreamedResults:
    """The results of one operation, of which one is awaited at a time, however often and long it is asked for."""

    def __init__(self, results: AsyncIterator[ExecutionResult]) -> None:
        self._results = results
        self._coming: asyncio.Future[ExecutionResult] | None = None

    async def end_within(self, seconds: float) -> bool:
        """Whether there is no result at all, as far as is known then. The first one is kept for `take`."""
        try:
            coming = await self._wait(seconds)
        except BaseException:
            await self.close()
            raise
        return coming.done() and isinstance(coming.exception(), StopAsyncIteration)

    async def take(self, seconds: float, *others: asyncio.Future[Any]) -> ExecutionResult | None:
        """The next result; None where none came within some seconds, or one of the others was done first.

        Raises:
            StopAsyncIteration: there are no more.
        """
        coming = await self._wait(seconds, *others)
        if not coming.done():
            return None
        self._coming = None
        return coming.result()

    async def _wait(self, seconds: float, *others: asyncio.Future[Any]) -> asyncio.Future[ExecutionResult]:
        coming = self._coming = self._coming or asyncio.ensure_future(anext(self._results))
        await asyncio.wait({coming, *others}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return coming

    async def close(self) -> None:
        """Ends the operation."""
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.gather(self._coming, return_exceptions=True)
        if isinstance(self._results, AsyncGenerator):
            await self._results.aclose()


class EventStream(StreamingResponse):
    """A stream that counts as one of its caller's sockets, and ends with the caller's credential."""

    def __init__(self, results: StreamedResults, context: Context, sockets: ConnectionRegistry) -> None:
        self._messages_held = self._held(context, sockets)
        super().__init__(
            self._messages_held,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "Vary": "Accept", "X-Accel-Buffering": "no"},
        )
        self._results = results

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # The client may vanish at any moment: the operation behind the stream must end.
            await self._messages_held.aclose()
            await self._results.close()

    async def _held(self, context: Context, sockets: ConnectionRegistry) -> AsyncGenerator[bytes, None]:
        ended = asyncio.Event()

        async def end() -> None:
            ended.set()

        ending = asyncio.ensure_future(ended.wait())
        try:
            with sockets.slot() as slot:
                slot.count(context.caller.name)
                slot.register(context.caller, end)
                async for message in self._messages(context, ending):
                    yield message
        finally:
            ending.cancel()

    async def _messages(self, context: Context, ending: asyncio.Future[Any]) -> AsyncIterator[bytes]:
        """`next` with each result, a comment while it is idle, `complete` at the end."""
        yield b":\n\n"
        while not ending.done():
            try:
                result = await self._results.take(KEEP_ALIVE_SECONDS, ending)
            except StopAsyncIteration:
                break
            if result is None:
                yield b":\n\n"
                continue
            number = b"" if context.event_id is None else b"id: %d\n" % context.event_id
            yield number + b"event: next\ndata: " + json_bytes(result_payload(result)) + b"\n\n"
        yield b"event: complete\ndata:\n\n"
