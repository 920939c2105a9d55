"""WebSockets: graphql-transport-ws and the legacy graphql-ws, with what Strawberry's handlers leave out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from graphql import GraphQLError
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import NonJsonMessageReceived, WebSocketDisconnected
from strawberry.schema import BaseSchema
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_ws.handlers import BaseGraphQLWSHandler

from cluster.system.background import BackgroundLoop
from graphql_api.context import Context
from graphql_api.execution.persisted_operations import PersistedOperations

PING_SECONDS: Final = 25.0
"""How often an open graphql-transport-ws socket is pinged: more often than proxies close what is idle (60 s)."""
PING_WAIT_SECONDS: Final = 1.0
"""How long the round of pings waits for one socket that takes nothing now."""
NO_PONG: Final = 4499
"""Closed as its client does not answer; the code that graphql-ws (npm) uses for this, and whose clients try again."""


class WebSocketAdapter(ASGIWebSocketAdapter):
    """Reads messages, mended."""

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        persisted: PersistedOperations = self.view.persisted  # type: ignore[attr-defined]
        async for message in super().iter_json(ignore_parsing_errors=ignore_parsing_errors):
            if not isinstance(message, dict) or not isinstance(message.get("type"), str):
                if ignore_parsing_errors:
                    continue  # as the legacy protocol does with what is no message
                # Closed with 4400, where Strawberry would let a TypeError end the socket.
                raise NonJsonMessageReceived
            payload = message.get("payload")
            # Clients send `payload: null` with connection_init, which the protocol allows and Strawberry refuses.
            if message.get("type") == "connection_init" and payload is None:
                message.pop("payload", None)
            if message.get("type") in ("subscribe", "start") and isinstance(payload, dict):
                message["payload"] = persisted.resolve(payload)
            yield message

    async def send_json(self, message: Mapping[str, object]) -> None:
        try:
            await super().send_json(message)
        except RuntimeError as error:
            # Starlette's word for a socket that we have closed while an operation was about to send.
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        # A reason is at most 123 bytes (RFC 6455, section 5.5.1); to close twice raises.
        with contextlib.suppress(RuntimeError):
            await super().close(code, reason.encode()[:123].decode(errors="ignore"))

    def end(self, why: str) -> None:
        """Ends the connection at once, whatever its client has not read."""
        self.ws.scope["dask_graphql.end"](why)


class TransportHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One graphql-transport-ws socket."""

    websocket: WebSocketAdapter

    heard = True
    """Whether anything came since the last ping."""

    async def handle(self) -> None:
        pings: Pings = self.view.pings  # type: ignore[attr-defined]
        pings.add(self)
        try:
            await super().handle()
        finally:
            pings.remove(self)

    async def handle_message(self, message: Any) -> None:
        self.heard = True
        if wrong := _wrong(message, ("subscribe", "complete")):
            await self.handle_invalid_message(wrong)
            return
        await super().handle_message(message)

    async def run_operation(self, operation: Operation[Context, None]) -> None:
        # What the client left before it ended is no fault to log.
        with contextlib.suppress(WebSocketDisconnected):
            await super().run_operation(operation)

    async def handle_task_exception(self, error: Exception) -> None:
        if not isinstance(error, WebSocketDisconnected):
            await super().handle_task_exception(error)

    def forget_id(self, id: str) -> None:
        # The client may have completed the operation at the same moment.
        self.operations.pop(id, None)

    async def ping(self) -> None:
        """Asks whether the client is there, or ends the socket if it did not answer last time."""
        if not self.connection_acknowledged:
            return
        if not self.heard:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_WAIT_SECONDS):
                    await self.websocket.close(NO_PONG, "no pong")
            # A client that reads nothing leaves that in our buffers, with all that was before it.
            asyncio.get_running_loop().call_later(PING_WAIT_SECONDS, self.websocket.end, "that did not answer a ping")
            return
        self.heard = False
        try:
            async with asyncio.timeout(PING_WAIT_SECONDS):
                await self.send_message({"type": "ping"})
        except TimeoutError:
            # It was not asked: too much is before that, which its connection judges.
            self.heard = True

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:
        # Strawberry's own closes a socket with all its operations for one document that is wrong.
        return None


class LegacyHandler(BaseGraphQLWSHandler[Context, None]):
    """One socket of the legacy protocol, whose clients send queries and mutations over it too."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.schema = _EveryOperation(self.schema)  # type: ignore[assignment]

    async def handle_keep_alive(self) -> None:
        with contextlib.suppress(WebSocketDisconnected):
            await super().handle_keep_alive()

    async def handle_async_results(self, *args: Any) -> None:
        with contextlib.suppress(WebSocketDisconnected):
            await super().handle_async_results(*args)

    async def handle_message(self, message: Any) -> None:
        if wrong := _wrong(message, ("start", "stop")):
            await self.websocket.close(4400, wrong)
            return
        await super().handle_message(message)


def _wrong(message: dict[str, Any], with_id: tuple[str, str]) -> str | None:
    """What does not fit in a message that begins or ends an operation, in words."""
    begins, _ = with_id
    if message["type"] not in with_id:
        return None
    if not isinstance(message.get("id"), str) or not message["id"]:
        return 'expected "id", a text that is not empty'
    if message["type"] != begins:
        return None
    payload = message.get("payload")
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
        return 'expected a payload with "query", a text'
    if not isinstance(payload.get("variables") or {}, dict):
        return 'expected "variables" to be an object'
    if not isinstance(payload.get("operationName") or "", str):
        return 'expected "operationName" to be a text'
    return None


class _EveryOperation:
    """A schema whose `subscribe`, all that the legacy handler calls, takes every kind of operation."""

    def __init__(self, schema: BaseSchema) -> None:
        self.subscribe = schema.stream


class Pings:
    """Pings all sockets of a node from one task."""

    def __init__(self) -> None:
        self._handlers: set[TransportHandler] = set()
        self.loop = BackgroundLoop("socket pings", self._round)

    def start(self) -> None:
        self.loop.start()

    async def close(self) -> None:
        await self.loop.close()

    def add(self, handler: TransportHandler) -> None:
        self._handlers.add(handler)

    def remove(self, handler: TransportHandler) -> None:
        self._handlers.discard(handler)

    @property
    def open(self) -> int:
        """How many graphql-transport-ws sockets are open."""
        return len(self._handlers)

    async def _round(self) -> None:
        await asyncio.sleep(PING_SECONDS)
        failed: Exception | None = None
        for number, handler in enumerate(list(self._handlers)):
            if number % 100 == 99:
                # Ten thousand pings at once would hold up everybody's results.
                await asyncio.sleep(0)
            if handler in self._handlers:
                try:
                    await _ping(handler)
                except Exception as error:  # noqa: BLE001 - raised below: the other sockets get their pings first
                    failed = error
        if failed is not None:
            raise failed


async def _ping(handler: TransportHandler) -> None:
    # One that left just now, or is about to be closed by its own handler, is no failure.
    with contextlib.suppress(WebSocketDisconnected, RuntimeError):
        await handler.ping()
