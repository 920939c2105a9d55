"""Every second of the workers is paid for once, whichever controllers add up the costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from cluster.controller.cost_ledger import ADD_SECONDS, CostLedger
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.replies import hash_fields

HOUR, DAY = 3_600_000, 86_400_000

pytestmark = pytest.mark.every_engine


async def costs(store: Store) -> dict[int, float]:
    """Day -> US dollars."""
    fields = hash_fields(await store.command("HGETALL", store.calls.costs_key))
    return {int(name): float(value) for name, value in fields.items() if name.isdigit()}


async def last_added(store: Store, milliseconds_ago: int, rate: float) -> int:
    """As if costs had been added up so long ago. Returns the number of today."""
    now = await store.server_milliseconds()
    await store.command("HSET", store.calls.costs_key, "at", now - milliseconds_ago, "rate", rate)
    return now // DAY


async def test_the_first_call_adds_nothing_and_each_further_one_the_time_since_the_last(store: Store) -> None:
    add = store.calls.add_cost
    await store.run(add(36_000.0))
    assert await costs(store) == {}
    await asyncio.sleep(0.05)
    await asyncio.gather(*(store.run(add(36_000.0)) for _ in range(5)))
    await store.run(add(36_000.0))
    # 36,000 an hour are 10 a second: five controllers at once add no more than the time that has passed.
    assert 0.4 < sum((await costs(store)).values()) < 5


async def test_a_gap_costs_the_average_of_before_and_after_and_is_split_at_midnight(store: Store) -> None:
    today = await last_added(store, 10 * HOUR, 2.0)
    await store.run(store.calls.add_cost(4.0))
    found = await costs(store)
    assert sum(found.values()) == pytest.approx(30.0, abs=0.01)
    of_today = min(10 * HOUR, await store.server_milliseconds() - today * DAY) / HOUR
    assert found.get(today, 0.0) == pytest.approx(3 * of_today, abs=0.02)


async def test_of_more_than_a_day_without_a_controller_nothing_is_known(store: Store) -> None:
    await last_added(store, DAY + HOUR, 2.0)
    await store.run(store.calls.add_cost(4.0))
    assert await costs(store) == {}


async def test_days_are_dropped_after_three_months(store: Store) -> None:
    today = await last_added(store, DAY, 0.0)
    await store.command("HSET", store.calls.costs_key, today - 92, 1, today - 93, 1, today - 400, 1)
    await store.run(store.calls.add_cost(0.0))
    kept = await costs(store)
    assert today - 92 in kept
    assert not {today - 93, today - 400} & kept.keys()


async def test_a_ledger_adds_every_ten_seconds_and_nothing_where_prices_are_unknown(settings: Settings) -> None:
    now = [0.0]
    store = Store(replace(settings))
    ledger = CostLedger(store, lambda: now[0])
    await ledger.add(None)
    assert await store.command("EXISTS", store.calls.costs_key) == 0
    await ledger.add(1.0)
    first = await store.command("HGET", store.calls.costs_key, "at")
    await asyncio.sleep(0.01)
    await ledger.add(1.0)
    assert await store.command("HGET", store.calls.costs_key, "at") == first
    now[0] = ADD_SECONDS
    await ledger.add(1.0)
    assert await store.command("HGET", store.calls.costs_key, "at") > first
    await store.close()
