"""An api node in the test process whose tenants are kept apart. It has no workers: tests end tasks themselves."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from cluster.settings import Settings, load_settings
from cluster.store.async_store import Store
from cluster.store.blob_url import open_blob_store
from cluster.task_types.registry import load_registry
from graphql_api.auth.callers import Scope, tenant_name
from graphql_api.auth.keys import create_key
from tests.api_node import api_node
from tests.system import RedisServer
from tests.task_modules.pictures import DOT

PICTURES: Final = "tests.task_modules.pictures"
USER: Final = frozenset({Scope.SUBMIT, Scope.READ, Scope.CANCEL})
PRIVATE: Final = ec.generate_private_key(ec.SECP256R1())


@dataclass
class World:
    """An api node whose tenants are kept apart, and which has no workers: the test ends the tasks itself."""

    url: str
    settings: Settings
    store: Store
    client: httpx.AsyncClient

    async def key(self, name: str, scopes: frozenset[Scope] = USER) -> str:
        return (await create_key(self.store, name, tenant_name(name), scopes, None))[0]

    def token(self, subject: Any, **claims: Any) -> str:
        body = {"sub": subject, "aud": "dask", "exp": time.time() + 600, "scope": "submit read cancel", **claims}
        return jwt.encode(body, PRIVATE, algorithm="ES256", headers={"kid": "one"})

    async def post(self, token: str, query: str, **headers: str) -> httpx.Response:
        shown = {**({"Authorization": f"Bearer {token}"} if token else {}), **headers}
        return await self.client.post(self.url, json={"query": query}, headers=shown)

    async def ask(self, token: str, query: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.post(token, query)).json()
        assert "errors" not in answer, answer
        return answer["data"]  # type: ignore[no-any-return]

    async def refusal(self, token: str, query: str) -> dict[str, Any]:
        [error] = (await self.post(token, query)).json()["errors"]
        return {"message": error["message"], **error["extensions"]}

    async def submit(self, token: str, name: str = "secret", selection: str = "taskId outcome") -> dict[str, Any]:
        data = await self.ask(token, f"mutation {{ submitPortrait(name: {json.dumps(name)}) {{ {selection} }} }}")
        return data["submitPortrait"]  # type: ignore[no-any-return]

    async def end(self, task_id: str) -> str:
        """Runs the first attempt of a task as a worker would; returns the key of its blob."""
        blob = f"{task_id}/1/portrait.png"
        open_blob_store(self.settings.blob_store_url).write(blob, DOT)
        result = {"name": "secret", "image": {"key": blob, "size_bytes": len(DOT), "media_type": "image/png"}}
        await self.store.run(self.store.calls.start(task_id, 1, "worker"))
        assert await self.store.run(self.store.calls.finish(task_id, 1, json.dumps(result).encode()))
        return blob


@asynccontextmanager
async def world(redis: RedisServer, folder: Path, **changes: Any) -> AsyncIterator[World]:
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(PRIVATE.public_key()))
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps({"keys": [{**public, "kid": "one", "use": "sig", "alg": "ES256"}]}))
    options = {"authentication": "required", "tenants": "isolated", **changes}
    settings = load_settings(
        {}, redis_url=redis.url, key_prefix=f"t{uuid.uuid4().hex[:8]}", data_dir=folder, jwks_file=str(jwks),
        jwt_audience="dask", legacy_websocket=True, log_level="WARNING", task_modules=(PICTURES,), **options,
    )  # fmt: skip
    store = Store(settings)
    async with api_node(settings, load_registry((PICTURES,))) as url, httpx.AsyncClient() as client:
        yield World(url, settings, store, client)
    await store.close()
