"""The registry of open connections counts them by caller and closes those whose credential has ended."""

from __future__ import annotations

import pytest

from cluster.errors import TooManySubscriptions
from graphql_api.auth.callers import Caller, Scope
from graphql_api.auth.connections import ConnectionRegistry


async def test_slots_are_released_whatever_happens_in_them() -> None:
    registry, closed = ConnectionRegistry(2), []
    caller = Caller("caller", frozenset(Scope))

    async def close() -> None:
        closed.append(caller.name)

    def fill() -> None:
        with registry.slot() as slot, registry.slot() as other:
            slot.count("address:1")
            other.count("address:1")
            slot.count(caller.name)
            slot.register(caller, close)
            assert registry.is_full("address:1")
            assert not registry.is_full(caller.name)
            assert registry.open == 1
            registry.require_room("address:1")

    with pytest.raises(TooManySubscriptions):
        fill()
    with registry.slot() as slot:
        slot.register(caller, close)
        await registry.end(lambda one: one is caller)
    assert closed == [caller.name]
    assert registry.open == 0
    assert not registry.is_full("address:1")
    assert not registry._count
