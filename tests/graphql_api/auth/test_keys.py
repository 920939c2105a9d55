"""What one api node knows of the keys while it reads them again, and whom a key makes of a request."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cluster.settings import Settings
from cluster.store.async_store import Store
from graphql_api.auth import keys
from graphql_api.auth.authenticate import Authenticator
from graphql_api.auth.callers import Scope
from graphql_api.auth.connections import ConnectionRegistry
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


async def test_a_callers_account_is_its_tenant_or_else_its_address(settings: Settings, store: Store) -> None:
    text, _ = await create_key(store, "ci", "acme", frozenset({Scope.READ}), None)
    for tenants, seen in (("shared", ""), ("isolated", "acme")):
        chosen = replace(settings, authentication="required", tenants=tenants)
        caller = await Authenticator(chosen, store, ConnectionRegistry(9)).caller(text, "127.0.0.1")
        assert (caller.account, caller.tenant) == ("acme", seen)
    anybody = Authenticator(settings, store, ConnectionRegistry(9))
    assert (await anybody.caller(None, "2001:db8::1")).account == "address:2001:db8::/64"
    assert " " not in (await anybody.caller(None, "made up\n")).account
