"""The subprotocol graphql-transport-ws (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from graphql import GraphQLError

from cluster.errors import PublicError
from graphql_api.transport.websocket_messages import InvalidMessage, optional_object, read_id
from graphql_api.transport.websocket_session import BAD_REQUEST, FORBIDDEN, UNAUTHORIZED, WebSocketSession

SUBSCRIBER_EXISTS: Final = 4409
NO_PONG: Final = 4499
"""The code with which graphql-ws (npm) ends a connection whose peer does not respond; its clients connect again."""
CLOSE_SECONDS: Final = 1.0
"""How long a client that did not respond to a ping may take to read the close frame."""


class GraphQLTransportWsSession(WebSocketSession):
    """One graphql-transport-ws socket."""

    subprotocol = "graphql-transport-ws"
    result_type = b'"next"'
    keep_alive_seconds = 25.0
    """Interval of the pings. Proxies usually close a connection that is idle for 60 s."""

    __slots__ = ("_heard",)

    _heard: bool
    """Whether the client has sent any message since the last ping."""

    async def handle(self, message: dict[str, Any]) -> None:
        self._heard = True
        match message["type"]:
            case "connection_init":
                await self.initialise(message)
            case "ping":
                payload = optional_object(message, "payload")
                await self.send({"type": "pong", "payload": payload} if payload else {"type": "pong"})
            case "pong":
                optional_object(message, "payload")
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                # An unknown id is no error: the operation may just have ended by itself.
                self.stop(read_id(message))
            case other:
                raise InvalidMessage(f"unexpected message type {other!r}")

    async def _subscribe(self, message: dict[str, Any]) -> None:
        operation_id = read_id(message)
        payload = self.read_operation(message)
        if not self.acknowledged:
            await self.close(UNAUTHORIZED, "Unauthorized")
        elif self.is_open(operation_id):
            await self.close(SUBSCRIBER_EXISTS, f"Subscriber for {operation_id} already exists")
        else:
            await self.start(operation_id, payload)

    async def reject_message(self, error: InvalidMessage) -> None:
        await self.close(BAD_REQUEST, str(error))

    async def reject_caller(self, error: PublicError) -> None:
        await self.close(FORBIDDEN, "Forbidden")

    async def send_result(self, operation_id: str, result: dict[str, Any]) -> None:
        await self.send({"type": "next", "id": operation_id, "payload": result})

    async def send_errors(self, operation_id: str, errors: Sequence[GraphQLError]) -> None:
        payload = [error.formatted for error in errors]
        await self.send({"type": "error", "id": operation_id, "payload": payload})

    async def keep_alive(self) -> None:
        """Sends a ping, or closes the socket if nothing came since the last one."""
        if not self._heard:
            if not self.connection.blocked:
                await self.close(NO_PONG, "no pong")
            # A client that reads nothing leaves the close frame in our buffers, behind everything else.
            asyncio.get_running_loop().call_later(
                CLOSE_SECONDS, self.connection.abort, "whose client did not respond to a ping"
            )
        elif not self.connection.blocked:
            # To a blocked client the ping would only be queued behind everything else; `SlowReader` watches that one.
            self._heard = False
            await self.send({"type": "ping"})
