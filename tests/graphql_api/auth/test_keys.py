"""What one api node knows of the keys while it reads them again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cluster.store.async_store import Store
from graphql_api.auth import keys
from graphql_api.auth.callers import Scope
from graphql_api.auth.keys import ApiKey, KeyRing, create_key, revoke_key


async def test_a_key_that_is_created_and_used_while_the_list_is_read_stays_valid(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(store)
    made: list[tuple[str, ApiKey]] = []

    async def list_slowly(*arguments: Any) -> list[ApiKey]:
        read = await list_keys(*arguments)
        made.append(await create_key(store, "young", "", frozenset({Scope.READ}), None))
        assert await ring.find(made[0][0]) is not None
        return read

    list_keys = keys.list_keys
    monkeypatch.setattr(keys, "list_keys", list_slowly)
    ring.mark_stale()
    await ring.refresh_after(0.1)
    # Its socket would be closed with 4403.
    assert ring.is_valid(made[0][1].key_id)
    monkeypatch.undo()
    await revoke_key(store, made[0][1].key_id)
    ring.mark_stale()
    await asyncio.wait_for(ring.refresh_after(5), 5)
    assert not ring.is_valid(made[0][1].key_id)
