"""The legacy subprotocol `graphql-ws`, which is off unless LEGACY_WEBSOCKET is set
(https://github.com/apollographql/subscriptions-transport-ws/blob/master/PROTOCOL.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from graphql import GraphQLError

from cluster.errors import PublicError
from graphql_api.transport.websocket_messages import InvalidMessage, read_id
from graphql_api.transport.websocket_session import BAD_REQUEST, FORBIDDEN, UNAUTHORIZED, WebSocketSession

NORMAL: Final = 1000


class LegacyGraphQLWsSession(WebSocketSession):
    """One graphql-ws socket. Its clients send queries and mutations over it too.

    The protocol lets a server pass over what comes before `connection_init`, and leave a socket open that never sends
    one. Here the close codes of graphql-transport-ws apply: anybody can open a socket.
    """

    subprotocol = "graphql-ws"
    result_type = b'"data"'
    keep_alive_seconds = 12.0
    """Interval of the `ka` messages. Clients reconnect after 30 s without one, unless configured otherwise."""

    __slots__ = ()

    async def handle(self, message: dict[str, Any]) -> None:
        if not self.acknowledged and message["type"] != "connection_init":
            await self.close(UNAUTHORIZED, "Unauthorized")
            return
        match message["type"]:
            case "connection_init":
                await self.initialise(message)
            case "start":
                await self._start(message)
            case "stop":
                operation_id = read_id(message)
                if self.stop(operation_id):
                    await self.send({"type": "complete", "id": operation_id})
            case "connection_terminate":
                await self.close(NORMAL, "")
            case other:
                raise InvalidMessage(f"unexpected message type {other!r}")

    async def _start(self, message: dict[str, Any]) -> None:
        operation_id = read_id(message)
        payload = self.read_operation(message)
        # If the id is in use, the new operation replaces the old one.
        self.stop(operation_id)
        await self.start(operation_id, payload)

    async def acknowledge(self) -> None:
        await super().acknowledge()
        # Clients expect keep-alive messages only once they have received one.
        await self.keep_alive()

    async def reject_message(self, error: InvalidMessage) -> None:
        await self.send({"type": "connection_error", "payload": {"message": str(error)}})
        if not self.acknowledged:
            await self.close(BAD_REQUEST, str(error))

    async def reject_caller(self, error: PublicError) -> None:
        payload = {"message": error.message, **error.extensions}
        await self.send({"type": "connection_error", "payload": payload})
        await self.close(FORBIDDEN, "Forbidden")

    async def send_result(self, operation_id: str, result: dict[str, Any]) -> None:
        await self.send({"type": "data", "id": operation_id, "payload": result})

    async def send_errors(self, operation_id: str, errors: Sequence[GraphQLError]) -> None:
        await self.send({"type": "error", "id": operation_id, "payload": errors[0].formatted})

    async def keep_alive(self) -> None:
        if not self.connection.blocked:
            await self.send({"type": "ka"})
