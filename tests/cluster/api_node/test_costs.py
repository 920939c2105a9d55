"""Costs are added up by the day, split among the task types, and told per month."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api_node.costs import CostReader, add_up
from cluster.store.async_store import Store

NOW = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)


def day(number: int, month: int = 11) -> datetime.date:
    return datetime.date(2026, month, number)


def test_days_months_and_the_rest_of_the_month() -> None:
    costs = add_up({day(31, 10): 100.0, day(1): 1.0, day(26): 2.0, day(27): 4.0}, {}, NOW, 0.5)
    assert (costs.today, costs.yesterday, costs.this_month) == (4.0, 2.0, 7.0)
    assert costs.month_at_this_rate == pytest.approx(7.0 + 0.5 * 84)
    assert add_up({}, {}, NOW, None).month_at_this_rate is None


def test_on_the_first_of_a_month_yesterday_is_of_the_one_before() -> None:
    costs = add_up({day(31, 10): 3.0}, {}, datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC), 0.0)
    assert (costs.yesterday, costs.this_month) == (3.0, 0.0)


def test_each_day_is_split_by_how_long_the_tasks_of_each_type_ran_on_it() -> None:
    busy = {day(1): {"train": 3_000, "embed": 1_000}, day(2): {"embed": 5}, day(3): {}}
    costs = add_up({day(1): 8.0, day(2): 1.0, day(3): 1.0}, busy, NOW, 0.0)
    assert costs.by_type == {"train": 6.0, "embed": 3.0}
    assert costs.this_month == 10.0, "what an idle day cost belongs to no type"


@given(st.dictionaries(st.sampled_from([day(n) for n in range(1, 28)]), st.floats(0, 1e4)))
def test_the_types_never_cost_more_than_the_month(days: dict[datetime.date, float]) -> None:
    busy = {each: {"a": 1, "b": 2} for each in days}
    costs = add_up(days, busy, NOW, 1.0)
    assert sum(costs.by_type.values()) == pytest.approx(costs.this_month)


async def test_without_prices_there_are_no_costs(store: Store) -> None:
    assert await CostReader(store).read(None) is None


async def test_what_the_controller_has_added_up_is_read_with_what_ran(store: Store) -> None:
    calls = store.calls
    today = datetime.datetime.fromtimestamp(await store.server_milliseconds() / 1000, datetime.UTC).date()
    number = (today - datetime.date(1970, 1, 1)).days
    await store.command("HSET", calls.costs_key, number, "12.5", "at", 1, "rate", "0.1")
    await store.command("HSET", calls.busy_key(today.isoformat()), "train", 500)
    costs = await CostReader(store).read(0.1)
    assert costs is not None
    assert (costs.today, costs.by_type) == (12.5, {"train": 12.5})
