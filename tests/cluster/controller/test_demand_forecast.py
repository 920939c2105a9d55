"""Demand that is foreseen, and its record: pure, and in Redis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.controller.demand_forecast import (
    DAY_MINUTES,
    DAYS,
    NOTHING_EXPECTED,
    PERIODS,
    WORKERS,
    DemandRecord,
    Forecast,
    encode,
)
from cluster.controller.demand_store import SAVE_SECONDS, DemandStore
from cluster.store.async_store import Store
from cluster.store.replies import hash_fields

MIDNIGHT = 20_000 * 86_400


def recorded(workers: dict[int, float], *, until: int) -> DemandRecord:
    """The record of a fleet that needed so many workers in some minutes, judged in the minute `until`; minutes since
    MIDNIGHT."""
    days: dict[int, bytearray] = {}
    for minute, needed in workers.items():
        day, of_day = divmod(MIDNIGHT // 60 + minute, DAY_MINUTES)
        days.setdefault(day, bytearray(DAY_MINUTES))[of_day] = encode(needed)
    record = DemandRecord()
    record.observe(0.0, 0, 1, MIDNIGHT + 60.0 * until)
    record.load({day: bytes(minutes) for day, minutes in days.items()})
    return record


def expected(record: DemandRecord, minute: float) -> Forecast:
    return record.expected(40.0, MIDNIGHT + 60.0 * minute)


@pytest.mark.parametrize("period", [5, 10, 60, DAY_MINUTES, 7 * DAY_MINUTES])
def test_a_job_that_came_three_times_is_expected_when_a_new_worker_would_be_ready(period: int) -> None:
    times = [7 + n * period for n in range(3)]
    record = recorded(dict.fromkeys(times, 16.0), until=6 + 3 * period)
    due = 7 + 3 * period
    assert expected(record, due - 0.7) == NOTHING_EXPECTED
    found = expected(record, due - 0.6)
    assert found.workers == 16
    assert found.period_minutes == min(each for each in PERIODS if each % period == 0)
    assert expected(record, due + 0.9).workers == 16, "it is late"
    assert expected(record, due + 1.1) == NOTHING_EXPECTED


def test_what_has_come_is_no_longer_expected() -> None:
    record = recorded(dict.fromkeys((7, 17, 27), 16.0), until=37)
    now = MIDNIGHT + 37 * 60.0
    assert record.expected(40.0, now).workers == 16
    record.observe(300.0, 0, 1, now + 1)
    assert record.expected(40.0, now + 1) == NOTHING_EXPECTED


def test_twice_is_no_period_and_a_period_is_dropped_when_its_job_stays_away() -> None:
    assert expected(recorded({7: 16.0, 17: 16.0}, until=26), 26.5) == NOTHING_EXPECTED
    assert expected(recorded(dict.fromkeys((7, 17, 27), 16.0), until=46), 46.5) == NOTHING_EXPECTED


def test_a_load_that_is_there_already_is_not_expected() -> None:
    assert expected(recorded(dict.fromkeys(range(120), 10.0), until=120), 120.5) == NOTHING_EXPECTED


def test_of_two_rounds_the_lesser_is_expected() -> None:
    assert expected(recorded({7: 40.0, 67: 25.0, 127: 30.0}, until=186), 186.5).workers == 25


@given(st.lists(st.tuples(st.integers(0, 20_000), st.floats(0, 1e6)), max_size=30), st.integers(20_000, 20_100))
def test_no_more_is_expected_than_has_ever_been_needed(demand: list[tuple[int, float]], minute: int) -> None:
    found = expected(recorded(dict(demand), until=minute), minute + 0.5)
    assert found.workers <= 1.1 * max((workers for _, workers in demand), default=0.0) + 1
    assert (found.workers == 0) == (found.period_minutes == 0)


@given(st.floats(1 / 8, 1e6))
def test_a_byte_stands_for_the_number_within_a_twentieth(workers: float) -> None:
    assert WORKERS[encode(workers)] == pytest.approx(workers, rel=0.05)


def test_work_is_recorded_when_it_comes_and_not_while_it_waits_or_is_done() -> None:
    record = DemandRecord()
    record.observe(0.0, 0, 1, MIDNIGHT)
    for second in range(1, 150):
        # 200 s of work come after ten seconds; from the 70th second on, five workers do it.
        left = 0.0 if second < 10 else 200.0 - 5 * max(0, min(40, second - 70))
        record.observe(left, 5 if 70 < second <= 110 else 0, 1, MIDNIGHT + second)
    minutes = record.days[MIDNIGHT // 86_400]
    assert WORKERS[minutes[0]] == pytest.approx(10, rel=0.05)
    assert set(minutes[1:]) == {0}


def test_the_rate_of_a_steady_load_is_known_and_a_clock_that_was_set_starts_it_anew() -> None:
    record = DemandRecord()
    for second in range(200):
        record.observe(3.0, 4, 1, MIDNIGHT + second)
    assert record.arriving == pytest.approx(4.0)
    record.observe(3.0, 4, 1, MIDNIGHT - 3_600)
    assert record.arriving == 0.0


def test_the_record_is_bounded() -> None:
    record = DemandRecord()
    for day in range(40):
        for second in (0.0, 1.0):
            record.observe(1_000.0 * second, 0, 1, MIDNIGHT + day * 86_400 + second)
    assert len(record.days) == DAYS
    assert sum(map(len, record.days.values())) < 32_000


async def test_a_controller_foresees_what_those_before_it_have_seen_and_old_days_are_deleted(store: Store) -> None:
    clock = [0.0]
    demand = DemandStore(store, lambda: clock[0])
    today = await store.server_milliseconds() // 86_400_000
    record = DemandRecord({day: bytearray(DAY_MINUTES) for day in (today - DAYS, today - 1, today)})
    record.days[today][700] = 90
    record.changed = {today - DAYS, today}
    await demand.save({"default": record, "gpu": DemandRecord()})
    assert record.changed == set()
    record.days[today][701], record.changed = 91, {today}
    await demand.save({"default": record})
    assert record.changed == {today}, "a minute is not over"
    clock[0] += SAVE_SECONDS
    await demand.save({"default": record})
    found = await demand.load(["default", "gpu"])
    assert found == {"default": {today: bytes(record.days[today])}, "gpu": {}}
    assert set(hash_fields(await store.command("HGETALL", store.calls.demand_key))) == {f"{today} default".encode()}
