"""Keeps idle WebSockets open and detects clients that are gone."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from cluster.system.background import BackgroundLoop
from graphql_api.transport.websocket_session import SocketClosed, WebSocketSession

PARTS: Final = 100
"""The sessions are spread over the interval in so many parts: the pings of all at once, and above all the answers of
their clients, would delay every result for seconds."""
SESSIONS_AT_ONCE: Final = 100
"""Within a part, the event loop has its turn after this many sessions."""


class KeepAlive:
    """Calls `keep_alive` of all sessions of one subprotocol, from one task.

    Args:
        kind: the class of the sessions.
    """

    def __init__(self, kind: type[WebSocketSession]) -> None:
        self._kind = kind
        self._parts: list[set[WebSocketSession]] = [set() for _ in range(PARTS)]
        self._part = 0
        self.loop = BackgroundLoop(f"keep-alive of {kind.subprotocol}", self._round)

    def add(self, session: WebSocketSession) -> None:
        self._part_of(session).add(session)

    def remove(self, session: WebSocketSession) -> None:
        self._part_of(session).discard(session)

    def _part_of(self, session: WebSocketSession) -> set[WebSocketSession]:
        # Always the same one: a client has the whole interval to answer a ping.
        return self._parts[hash(session) % PARTS]

    async def close_sessions(self, code: int, reason: str) -> None:
        """Closes all sessions; one whose client does not read is cut off."""
        for session in [session for part in self._parts for session in part]:
            if session.connection.blocked:
                session.connection.abort("whose schema has changed")
            else:
                await session.close(code, reason)

    async def _round(self) -> None:
        await asyncio.sleep(self._kind.keep_alive_seconds / PARTS)
        self._part = (self._part + 1) % PARTS
        sessions = self._parts[self._part]
        failure: Exception | None = None
        for number, session in enumerate(list(sessions), 1):
            if session in sessions and session.acknowledged:
                try:
                    with suppress(SocketClosed):
                        await session.keep_alive()
                except Exception as error:  # noqa: BLE001 - raised after the round
                    failure = error
            if number % SESSIONS_AT_ONCE == 0:
                await asyncio.sleep(0)
        if failure is not None:
            raise failure
