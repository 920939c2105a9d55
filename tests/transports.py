"""One operation over each transport that carries subscriptions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx

from tests.sockets import dial

TRANSPORTS: Final = ("graphql-transport-ws", "graphql-ws", "event stream", "multipart")
"""The legacy one needs the setting LEGACY_WEBSOCKET."""
STREAMS: Final = {"event stream": "text/event-stream", "multipart": "multipart/mixed;subscriptionSpec=1.0"}
"""The `Accept` of those over HTTP."""
START: Final = {"graphql-transport-ws": "subscribe", "graphql-ws": "start"}


async def payloads(
    url: str, transport: str, query: str, variables: dict[str, Any] | None = None, token: str = ""
) -> AsyncIterator[dict[str, Any]]:
    """The payload of each result until the operation is complete. A refusal is a payload with `errors` too."""
    operation = {"query": query, "variables": variables or {}}
    credential = {"Authorization": f"Bearer {token}"} if token else {}
    if transport in STREAMS:
        headers = {"Accept": f"{STREAMS[transport]}, application/json;q=0.5", **credential}
        async with (
            httpx.AsyncClient(timeout=20) as client,
            client.stream("POST", url, json=operation, headers=headers) as answer,
        ):
            async for line in answer.aiter_lines():
                data = line.removeprefix("data: ")
                if data.startswith("{") and (item := json.loads(data)):
                    # Apollo's protocol wraps the results of a subscription, and sends `{}` to keep the connection open.
                    yield item.get("payload", item)
        return
    async with dial(url, transport) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": credential}))
        await socket.send(json.dumps({"type": START[transport], "id": "1", "payload": operation}))
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "complete":
                return
            if message["type"] == "error":
                refusal = message["payload"]
                yield {"errors": refusal if isinstance(refusal, list) else [refusal]}
                return
            if message["type"] in ("next", "data"):
                yield message["payload"]
