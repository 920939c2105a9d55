"""A node whose clock is hours off behaves like any other: only Redis's clock counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cluster.controller.launch_journal import LaunchJournal
from cluster.settings import Settings
from cluster.store.async_store import Store
from graphql_api.auth.callers import Scope
from graphql_api.auth.keys import KeyRing, create_key
from tests.cluster.store.test_scripts import ID, finish, start, submit


@pytest.fixture(params=[-7_200.0, 7_200.0], ids=["two hours slow", "two hours fast"])
def wrong(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This node's clock is wrong."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + request.param)
    yield
    monkeypatch.undo()


async def test_a_kept_record_is_read(settings: Settings, wrong: None) -> None:
    store = Store(replace(settings, result_ttl_seconds=60))
    try:
        await submit(store)
        await start(store)
        await finish(store)
        record = await store.read(ID)
        assert record is not None
        assert record.final
        assert await store.read_many([ID, "0" * 32], results=False) != [None, None]
        assert await store.read_many([]) == []
    finally:
        await store.close()


async def test_the_age_of_the_queue_is_measured_by_redis(store: Store, wrong: None) -> None:
    await submit(store)
    assert 0 <= await store.queue_age() < 60


async def test_a_launch_recorded_by_a_controller_with_another_clock_is_fresh_for_a_minute(
    store: Store, wrong: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = await LaunchJournal(store).begin({"count": 1})
    # The next controller has a correct clock.
    monkeypatch.undo()
    successor = LaunchJournal(store)
    await successor.read()
    assert [launch.token for launch in successor.unconfirmed] == [written.token]


async def test_a_key_is_valid_for_as_long_as_redis_says(store: Store, wrong: None) -> None:
    ring = KeyRing(store)
    hour, second = 1 / 24, 1 / 86_400
    good, kept = await create_key(store, "good", "", frozenset({Scope.READ}), hour)
    short, brief = await create_key(store, "short", "", frozenset({Scope.READ}), second)
    ring.mark_stale()
    await ring.refresh_after(1)
    async with asyncio.timeout(10):
        while await ring.find(short) is not None:
            await asyncio.sleep(0.05)
    assert await ring.find(good) is not None
    assert (ring.is_valid(kept.key_id), ring.is_valid(brief.key_id)) == (True, False)
