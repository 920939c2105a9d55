"""Server-sent events: the distinct connections mode of graphql-sse (github.com/enisdenjo/graphql-sse, PROTOCOL.md).

An event of `taskEvents` has its `seq` as its id, so a browser's EventSource goes on where it was by `Last-Event-ID`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from graphql_api.auth.sockets import Sockets
from graphql_api.context import Context
from graphql_api.schema import Schema

KEEP_ALIVE_SECONDS: Final = 12.0
"""A comment on an idle event stream, so that no proxy takes it for dead."""

STREAMED: Final = {
    "GET": frozenset({OperationType.QUERY, OperationType.SUBSCRIPTION}),
    "POST": frozenset({OperationType.QUERY, OperationType.MUTATION, OperationType.SUBSCRIPTION}),
}
"""What a method takes as an event stream."""


def event_stream(
    request: Request, operation: Mapping[str, Any], schema: Schema, context: Context, sockets: Sockets
) -> Response:
    """Executes one operation and streams its results."""
    last = request.headers.get("last-event-id", "")
    context.last_event_id = int(last) if last.isdecimal() and len(last) < 16 else None
    results = schema.stream(
        operation["query"],
        variable_values=operation.get("variables"),
        operation_name=operation.get("operationName"),
        context_value=context,
        root_value=None,
        # A GET is sent without asking, also by pages of other sites: it may change nothing.
        allowed_operation_types=STREAMED[request.method],
    )
    return StreamingResponse(
        _held(results, context, sockets),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _held(results: Any, context: Context, sockets: Sockets) -> AsyncIterator[bytes]:
    """The messages of a stream that counts as one of its caller's sockets, and ends with the caller's credential."""
    ended = asyncio.Event()

    async def end() -> None:
        ended.set()

    with sockets.place() as place:
        place.count(context.caller.name)
        place.hold(context.caller, end)
        async for message in _messages(results, context, ended):
            yield message


async def _messages(results: Any, context: Context, ended: asyncio.Event) -> AsyncIterator[bytes]:
    """`next` with each result, a comment while it is idle, `complete` at the end."""
    source = await results
    iterator = aiter(source)
    coming: asyncio.Future[Any] | None = None
    ending = asyncio.ensure_future(ended.wait())
    try:
        yield b":\n\n"
        while not ended.is_set():
            coming = coming or asyncio.ensure_future(anext(iterator))
            done, _ = await asyncio.wait(
                {coming, ending}, timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if coming not in done:
                yield b":\n\n"
                continue
            try:
                result = coming.result()
            except StopAsyncIteration:
                break
            finally:
                coming = None
            number = b"" if context.event_id is None else b"id: %d\n" % context.event_id
            yield number + b"event: next\ndata: " + orjson.dumps(payload(result)) + b"\n\n"
        yield b"event: complete\ndata:\n\n"
    finally:
        # The client may vanish at any moment: the subscription behind it must end.
        ending.cancel()
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
