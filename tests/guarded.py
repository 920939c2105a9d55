"""An api node that requires credentials, in the test process, and requests of its callers on every transport."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import httpx

from cluster.settings import Settings
from cluster.store.async_store import Store
from graphql_api.auth.callers import Scope
from graphql_api.auth.keys import create_key
from tests.api_node import api_node
from tests.sockets import dial, receive, send

USER: Final = frozenset({Scope.SUBMIT, Scope.PRIORITY, Scope.READ, Scope.CANCEL})
ADMIN: Final = frozenset({Scope.ADMIN})
AUDIT: Final = """query($caller: String, $action: AuditAction, $taskId: ID, $first: Int, $after: String) {
  audit(caller: $caller, action: $action, taskId: $taskId, first: $first, after: $after) {
    edges { node { at action caller callerId tenant address name taskIds code count } }
    pageInfo { hasNextPage endCursor } } }"""


class Guarded:
    """A node that requires credentials, and callers with keys by their names."""

    def __init__(self, url: str, store: Store, client: httpx.AsyncClient) -> None:
        self.url = url
        self.client = client
        self.keys: dict[str, str] = {}
        self._store = store

    async def make_key(self, name: str, scopes: frozenset[Scope] = USER, tenant: str = "acme") -> str:
        self.keys[name], _ = await create_key(self._store, name, tenant, scopes, None)
        return name

    async def http(self, key: str, query: str, variables: dict[str, Any], accept: str = "") -> dict[str, Any]:
        headers = {"Accept": accept} if accept else {}
        if key:
            headers["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        response = await self.client.post(self.url, json={"query": query, "variables": variables}, headers=headers)
        if "event: next" in response.text:
            lines = response.text.splitlines()
            found: dict[str, Any] = json.loads(lines[lines.index("event: next") + 1].removeprefix("data: "))
            return found
        body: dict[str, Any] = response.json()
        return body

    async def events(self, key: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        return await self.http(key, query, variables, "text/event-stream")

    async def socket(self, protocol: str, start: str, key: str, query: str, variables: dict[str, Any]) -> Any:
        async with dial(self.url, protocol) as socket:
            payload = {"authorization": f"Bearer {self.keys.get(key, key)}"}
            await send(socket, {"type": "connection_init", "payload": payload})
            first = await receive(socket)
            if first["type"] != "connection_ack":
                return first
            await send(socket, {"type": start, "id": "1", "payload": {"query": query, "variables": variables}})
            while (message := await receive(socket))["type"] not in ("next", "data", "error"):
                pass
            return message["payload"]

    async def new_socket(self, key: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = await self.socket("graphql-transport-ws", "subscribe", key, query, variables)
        return found

    async def legacy_socket(self, key: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = await self.socket("graphql-ws", "start", key, query, variables)
        return found

    async def lines(self, count: int, **filters: Any) -> list[dict[str, Any]]:
        """At least `count` lines that match, oldest first."""
        async with asyncio.timeout(10):
            while True:
                body = await self.http("admin", AUDIT, {"first": 100, **filters})
                found = [edge["node"] for edge in body["data"]["audit"]["edges"]]
                if sum(line["count"] for line in found) >= count:
                    return found[::-1]
                await asyncio.sleep(0.02)


@asynccontextmanager
async def guarded_node(settings: Settings, store: Store, **changes: Any) -> AsyncIterator[Guarded]:
    """A node with an admin, with the legacy protocol, and with these settings."""
    chosen = replace(settings, **{"authentication": "required", "legacy_websocket": True, **changes})
    async with api_node(chosen) as url, httpx.AsyncClient(verify=False) as client:
        made = Guarded(url, store, client)
        await made.make_key("admin", ADMIN)
        yield made
