"""The client's one WebSocket, where what it meets does not speak the protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from dask_graphql.client.errors import ClientError
from dask_graphql.client.subscription import Subscription
from dask_graphql.client.websocket_transport import WebSocketTransport


def subscription(ends: list[ClientError | None], data: list[Any]) -> Subscription:
    def on_data(item: Mapping[str, Any], _: Sequence[Mapping[str, Any]]) -> None:
        data.append(item)

    return Subscription(
        "subscription { x }", dict, on_data=on_data, on_end=ends.append, complete=lambda: bool(data)
    )  # fmt: skip


async def test_a_subscription_that_starts_as_the_connection_stops_gets_a_new_connection() -> None:
    sockets = 0

    async def babble(socket: ServerConnection) -> None:
        nonlocal sockets
        sockets += 1
        await socket.recv()
        if sockets == 1:
            await socket.send("no json")
            await socket.wait_closed()
            return
        await socket.send('{"type":"connection_ack"}')
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "subscribe":
                await socket.send(json.dumps({"id": message["id"], "type": "next", "payload": {"data": {"x": 1}}}))
                await socket.send(json.dumps({"id": message["id"], "type": "complete"}))

    async with serve(babble, "127.0.0.1", 0, subprotocols=["graphql-transport-ws"]) as server:  # type: ignore[list-item]
        port = server.sockets[0].getsockname()[1]
        websocket = WebSocketTransport(f"http://127.0.0.1:{port}/graphql", None, patience_seconds=5, ping_seconds=5)
        early_ends: list[ClientError | None] = []
        early_data: list[Any] = []
        late_ends: list[ClientError | None] = []
        late_data: list[Any] = []
        websocket.open(subscription(early_ends, early_data))
        running = websocket._running
        assert running is not None
        # Asked before `open` asks for its own: called first when the link stops.
        running.remove_done_callback(websocket._on_stopped)
        running.add_done_callback(lambda _: websocket.open(subscription(late_ends, late_data)))
        running.add_done_callback(websocket._on_stopped)
        async with asyncio.timeout(10):
            while not late_ends:
                await asyncio.sleep(0.01)
        assert (late_data, late_ends) == ([{"x": 1}], [None])
        await websocket.close()
    assert early_ends == [None]
