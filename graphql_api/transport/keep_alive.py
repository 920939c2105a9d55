"""Keeps idle WebSockets open and detects clients that are gone."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from cluster.system.background import BackgroundLoop
from graphql_api.transport.websocket_session import SocketClosed, WebSocketSession

SESSIONS_AT_ONCE: Final = 100
"""A round yields to the event loop after this many sessions: ten thousand pings at once would delay every result."""


class KeepAlive:
    """Calls `keep_alive` of all sessions of one subprotocol, from one task.

    Args:
        kind: the class of the sessions.
    """

    def __init__(self, kind: type[WebSocketSession]) -> None:
        self._kind = kind
        self._sessions: set[WebSocketSession] = set()
        self.loop = BackgroundLoop(f"keep-alive of {kind.subprotocol}", self._round)

    def add(self, session: WebSocketSession) -> None:
        self._sessions.add(session)

    def remove(self, session: WebSocketSession) -> None:
        self._sessions.discard(session)

    async def close_sessions(self, code: int, reason: str) -> None:
        """Closes all sessions; one whose client does not read is cut off."""
        for session in list(self._sessions):
            if session.connection.blocked:
                session.connection.abort("whose schema has changed")
            else:
                await session.close(code, reason)

    async def _round(self) -> None:
        await asyncio.sleep(self._kind.keep_alive_seconds)
        failure: Exception | None = None
        for number, session in enumerate(list(self._sessions), 1):
            if session in self._sessions and session.acknowledged:
                try:
                    with suppress(SocketClosed):
                        await session.keep_alive()
                except Exception as error:  # noqa: BLE001 - raised after the round
                    failure = error
            if number % SESSIONS_AT_ONCE == 0:
                await asyncio.sleep(0)
        if failure is not None:
            raise failure
