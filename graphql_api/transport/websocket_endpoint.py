"""WebSockets on `/graphql`: accepts or refuses connections, and authenticates their callers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from cluster.api_node.node import Node
from cluster.errors import PublicError, TooManySubscriptions
from cluster.system.background import BackgroundLoop
from graphql_api.auth.authenticate import Authenticator, credential_in
from graphql_api.auth.connections import ConnectionRegistry, ConnectionSlot
from graphql_api.auth.http import address_name_of, address_of, audit_refusal, caller_of
from graphql_api.context import Context
from graphql_api.execution.document_limits import Limits
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.http.public_url import public_url
from graphql_api.schema.builder import Schema
from graphql_api.transport.graphql_transport_ws import GraphQLTransportWsSession
from graphql_api.transport.keep_alive import KeepAlive
from graphql_api.transport.legacy_graphql_ws import LegacyGraphQLWsSession
from graphql_api.transport.request_guard import POLICY_VIOLATION
from graphql_api.transport.websocket_session import WebSocketSession

logger = logging.getLogger(__name__)

SUBPROTOCOL_NOT_ACCEPTABLE: Final = 4406
SERVICE_RESTART: Final = 1012
"""Clients may connect again (WebSocket Close Code Number Registry, IANA)."""
LEGACY_IS_OFF: Final = "graphql-ws is off here (LEGACY_WEBSOCKET); use graphql-transport-ws"
"""At most 123 bytes: the reason of a close frame."""


class WebSocketEndpoint:
    """Accepts the WebSockets of one node and serves each until it is closed."""

    def __init__(
        self,
        schema: Schema,
        node: Node,
        authenticator: Authenticator,
        connections: ConnectionRegistry,
        persisted: PersistedOperations,
    ) -> None:
        self._schema = schema
        self._node = node
        self._authenticator = authenticator
        self._connections = connections
        self._persisted = persisted
        self._max_values = Limits.of(node.settings).json_values
        served: list[type[WebSocketSession]] = [GraphQLTransportWsSession]
        if node.settings.legacy_websocket:
            served.append(LegacyGraphQLWsSession)
        self._kinds = {kind.subprotocol: kind for kind in served}
        self._keep_alive = {kind.subprotocol: KeepAlive(kind) for kind in served}

    @property
    def loops(self) -> list[BackgroundLoop]:
        return [keep_alive.loop for keep_alive in self._keep_alive.values()]

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    async def close(self) -> None:
        for loop in self.loops:
            await loop.close()

    async def end_sessions(self) -> None:
        """Closes the sockets, as they know only this endpoint's schema; clients connect again by themselves."""
        for keep_alive in self._keep_alive.values():
            await keep_alive.close_sessions(SERVICE_RESTART, "the task modules have changed")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        address = address_name_of(websocket)
        if not self._has_room(websocket, address):
            # A close before accept: the handshake gets a 403.
            await websocket.close(POLICY_VIOLATION)
            return
        offered: list[str] = scope["subprotocols"]
        subprotocol = next((name for name in offered if name in self._kinds), None)
        if subprotocol is None:
            await _refuse_subprotocol(websocket, offered)
            return
        slot = self._connections.slot()
        slot.count(address)
        try:
            await websocket.accept(subprotocol)
            session = self._session(websocket, slot, self._kinds[subprotocol])
        except BaseException:
            slot.release()
            raise
        scope["dask_graphql.connection"].serve = partial(self._serve, session, slot)

    async def _serve(self, session: WebSocketSession, slot: ConnectionSlot) -> None:
        keep_alive = self._keep_alive[session.subprotocol]
        keep_alive.add(session)
        try:
            await session.serve()
        finally:
            keep_alive.remove(session)
            slot.release()

    def _has_room(self, websocket: WebSocket, address: str) -> bool:
        try:
            self._connections.require_room(address)
        except TooManySubscriptions as error:
            audit_refusal(websocket, error)
            return False
        return True

    def _session(self, websocket: WebSocket, slot: ConnectionSlot, kind: type[WebSocketSession]) -> WebSocketSession:
        return kind(
            websocket.scope["dask_graphql.connection"],
            self._schema,
            Context(self._node, self._schema.wrappers, self._schema.json_writers, public_url=public_url(websocket)),
            partial(self._authenticate, websocket, slot),
            self._persisted,
            self._node.settings.socket_operation_limit,
            self._max_values,
        )

    async def _authenticate(
        self, websocket: WebSocket, slot: ConnectionSlot, session: WebSocketSession, payload: Mapping[str, Any]
    ) -> None:
        """Sets the caller of a session, by the credential in the handshake's headers or in its `connection_init`.

        Raises:
            PublicError, StoreUnavailable: the credential is not valid, or the caller cannot be served now.
        """
        try:
            caller = await caller_of(websocket, credential_in(payload))
            if self._authenticator.required:
                self._connections.require_room(caller.name)
        except PublicError as error:
            audit_refusal(websocket, error)
            raise
        session.context.known_caller = caller
        session.context.task_tokens = self._authenticator.task_tokens
        if self._authenticator.required:
            slot.count(caller.name)
        slot.register(caller, session.end_credential)


async def _refuse_subprotocol(websocket: WebSocket, offered: list[str]) -> None:
    """Accepts a socket only to close it: browsers show a close code, but not the status of a refused handshake."""
    subprotocol, reason = None, "Subprotocol not acceptable"
    if LegacyGraphQLWsSession.subprotocol in offered:
        # Clients fail without waiting for the close frame if none of their subprotocols is accepted.
        subprotocol, reason = LegacyGraphQLWsSession.subprotocol, LEGACY_IS_OFF
        logger.info("a WebSocket from %s is closed: %s", address_of(websocket), reason)
    await websocket.accept(subprotocol)
    with suppress(WebSocketDisconnect):
        await websocket.close(SUBPROTOCOL_NOT_ACCEPTABLE, reason)
