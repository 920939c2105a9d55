"""What a schedule decides, and how it is stored."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from cluster.schedules.schedule import KEPT_RUNS, Overlap, Schedule, Tick, TickOutcome, check_schedule_name, decide
from cluster.schedules.timing import Timing

MINUTE = 60_000
SCHEDULE = Schedule(
    name="nightly", tenant="acme", account="acme", salt="pepper", task="fibonacci", input={"n": 90},
    timing=Timing(every_seconds=60), overlap=Overlap.CANCEL_PREVIOUS, catch_up_seconds=300, priority=-1, tags=("a",),
    ttl_seconds=None, set_by="key:1 acme anna", set_at=5, decided_until=10 * MINUTE,
)  # fmt: skip


def test_the_oldest_tick_that_is_not_too_late_is_due() -> None:
    assert decide(SCHEDULE, 11 * MINUTE - 1).tick is None
    assert decide(SCHEDULE, 11 * MINUTE).tick == 11 * MINUTE
    late = decide(SCHEDULE, 14 * MINUTE)
    assert (late.tick, late.schedule) == (11 * MINUTE, SCHEDULE)


def test_ticks_that_are_too_late_are_missed_and_those_after_them_are_not() -> None:
    due = decide(SCHEDULE, 20 * MINUTE)
    assert due.tick == 15 * MINUTE
    assert due.schedule.runs == (Tick(11 * MINUTE, TickOutcome.MISSED),)
    assert decide(due.schedule, 20 * MINUTE) == due


def test_what_is_paused_is_never_due() -> None:
    assert decide(replace(SCHEDULE, paused_at=1), 99 * MINUTE).tick is None


@given(now=st.integers(10 * MINUTE, 60 * MINUTE), catch_up=st.integers(0, 40 * 60))
def test_every_tick_is_submitted_once_or_missed(now: int, catch_up: int) -> None:
    schedule, submitted = replace(SCHEDULE, catch_up_seconds=catch_up), []
    while (due := decide(schedule, now)).tick is not None:
        submitted.append(due.tick)
        schedule = due.schedule.after_tick(Tick(due.tick, TickOutcome.SUBMITTED, f"{due.tick}"))
    wanted = [tick for tick in range(11 * MINUTE, now + 1, MINUTE) if now - tick <= catch_up * 1000]
    assert submitted == wanted
    assert len(schedule.runs) <= KEPT_RUNS


def test_a_run_key_names_the_moment_in_utc() -> None:
    assert SCHEDULE.run_key(1_774_749_600_000) == "schedule:nightly@2026-03-29T02:00:00Z"
    assert SCHEDULE.run_key(1_774_749_600_123) == "schedule:nightly@2026-03-29T02:00:00.123Z"


def test_a_schedule_is_read_as_it_was_stored_also_if_a_later_release_stored_it() -> None:
    schedule = SCHEDULE.after_tick(Tick(7, TickOutcome.SUBMITTED, "ab")).after_tick(Tick(9, TickOutcome.SKIPPED))
    assert schedule.last_task_id == "ab"
    assert Schedule.load(schedule.dump()) == schedule
    later = orjson.dumps({**orjson.loads(schedule.dump()), "colour": "red", "overlap": "QUEUE_ONE"})
    assert Schedule.load(later) == replace(schedule, overlap=Overlap.SKIP)


@pytest.mark.parametrize("name", ["", "a/b", "-a", "x" * 51, "a b", "ä", "a:b"])
def test_a_name_has_letters_digits_and_little_else(name: str) -> None:
    with pytest.raises(BadInput, match="the name of a schedule"):
        check_schedule_name(name)
