"""Who of the fleet is launching, running, retiring, and overdue."""

from __future__ import annotations

from typing import Final

from cluster.controller.worker_membership import LAUNCH_SECONDS, LOST_SECONDS, PATIENCE, Roll

REGISTER_SECONDS: Final = 60.0


def test_a_worker_that_runs_and_does_not_register_is_overdue_after_a_minute() -> None:
    roll = Roll(REGISTER_SECONDS)
    roll.call({"a": False}, set(), 0.0)
    roll.call({"a": False}, set(), LAUNCH_SECONDS)
    assert roll.launching == {"a"}
    assert roll.late(LAUNCH_SECONDS) == set(), "a launch has a limit of its own"
    # It runs now: from here on a minute, however long it was on its way.
    began = LAUNCH_SECONDS
    roll.call({"a": True}, set(), began)
    assert roll.late(began + REGISTER_SECONDS) == set()
    assert roll.late(began + REGISTER_SECONDS + 1) == {"a"}
    roll.call({"a": True}, {"a"}, began + REGISTER_SECONDS + 1)
    assert roll.late(began + 10 * REGISTER_SECONDS) == set()


def test_a_launch_that_never_runs_is_overdue() -> None:
    roll = Roll(REGISTER_SECONDS)
    roll.call({"a": False}, set(), 0.0)
    roll.call({"a": False}, set(), LAUNCH_SECONDS + 1)
    assert roll.late(LAUNCH_SECONDS + 1) == {"a"}
    roll.dismiss({"a"})
    assert roll.staying == set()


def test_a_worker_that_lost_its_scheduler_is_overdue_a_minute_later() -> None:
    roll = Roll(REGISTER_SECONDS)
    roll.call({"a": True}, {"a"}, 0.0)
    roll.call({"a": True}, set(), 100.0)
    assert roll.late(100.0 + LOST_SECONDS) == set()
    assert roll.late(101.0 + LOST_SECONDS) == {"a"}
    roll.dismiss({"a"})
    assert roll.problem == ""


def test_workers_that_are_late_give_the_next_ones_more_time_and_are_told_until_one_serves() -> None:
    roll, now, waits = Roll(REGISTER_SECONDS), 0.0, []
    for n in range(6):
        roll.call({f"w{n}": True}, set(), now)
        began = now
        while not roll.late(now):
            now += 1
        waits.append(now - began - 1)
        roll.dismiss(roll.late(now))
        assert f"within {waits[-1]:g} s" in roll.problem
        assert "WORKER_START_SECONDS" in roll.problem
    assert waits == [60, 120, 240, 480, 600, PATIENCE * REGISTER_SECONDS]
    roll.call({"late": True}, set(), now)
    assert roll.late(now + 500) == set()
    roll.call({"late": True}, {"late"}, now + 500)
    assert roll.problem == ""


def test_launch_times_are_those_of_workers_whose_beginning_was_seen() -> None:
    roll = Roll(REGISTER_SECONDS)
    roll.call({"old": True}, set(), 0.0)
    roll.call({"old": True}, {"old"}, 50.0)
    assert roll.launch_seconds is None, "nobody knows when it was launched"
    roll.call({"old": True, "a": False}, {"old"}, 100.0)
    roll.call({"old": True, "a": True}, {"old", "a"}, 130.0)
    assert roll.launch_seconds == 30.0
    roll.call({"old": True, "a": True, "b": False}, {"old", "a"}, 200.0)
    # One that comes back is no launch.
    roll.call({"old": True, "a": True, "b": True}, {"old"}, 210.0)
    roll.call({"old": True, "a": True, "b": True}, {"old", "a", "b"}, 220.0)
    assert roll.launch_seconds == 30.0 + 0.3 * (20.0 - 30.0)


def test_who_retires_does_not_count_and_is_forgotten_at_its_end() -> None:
    roll = Roll(REGISTER_SECONDS)
    roll.call({"a": True, "b": True}, {"a", "b"}, 0.0)
    roll.retiring = {"a"}
    roll.call({"a": True, "b": True}, {"b"}, 1.0)
    assert roll.staying == {"b"}
    assert roll.launching == set()
    roll.call({"b": True}, {"b"}, 2.0)
    assert roll.retiring == set()
