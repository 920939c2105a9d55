"""WebSocket clients in the plain messages of a protocol."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from graphql_api.transport.uvicorn_internals import WebSocketProtocol

Exchange: TypeAlias = tuple[Any, Sequence[dict[str, Any]]]
"""What the client sends (JSON, or raw if it is a string or bytes), and the messages that it gets in response."""


def dial(url: str, *subprotocols: str) -> connect:
    """A connection to a node's `/graphql`, to be used by `async with`."""
    offered = [Subprotocol(name) for name in subprotocols]
    return connect(url.replace("http", "ws", 1), subprotocols=offered or None, ping_interval=None)


async def send(socket: ClientConnection, *messages: Any) -> None:
    for message in messages:
        await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))


async def receive(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        message: dict[str, Any] = json.loads(await socket.recv())
        return message


async def exchange(socket: ClientConnection, *exchanges: Exchange) -> None:
    """Sends each message and checks the responses before the next one is sent."""
    for message, responses in exchanges:
        await send(socket, message)
        for response in responses:
            received = await receive(socket)
            assert received == response, received


async def close_of(socket: ClientConnection) -> tuple[int | None, str | None]:
    """The code and the reason of the close frame, before which no other message may come."""
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed):
            raise AssertionError(await socket.recv())
    return socket.close_code, socket.close_reason


def the_open_connection() -> WebSocketProtocol:
    """The server's side of the only WebSocket that is open, to a node in this process."""
    [found] = [thing for thing in gc.get_objects() if type(thing) is WebSocketProtocol and not thing.disconnected]
    return found
