"""Which workers of the fleet are launching, running, retiring, and overdue."""

from __future__ import annotations

from typing import Final

from cluster.controller.worker_membership import (
    MAX_ABSENCE_SECONDS,
    MAX_LAUNCH_SECONDS,
    MAX_REGISTER_FACTOR,
    WorkerMembership,
)

REGISTER_SECONDS: Final = 60.0


def test_a_worker_that_runs_and_does_not_register_is_overdue_after_a_minute() -> None:
    membership = WorkerMembership(REGISTER_SECONDS)
    membership.reconcile({"a": False}, set(), 0.0)
    membership.reconcile({"a": False}, set(), MAX_LAUNCH_SECONDS)
    assert membership.launching == {"a"}
    assert membership.unregistered(MAX_LAUNCH_SECONDS) == set(), "a launch has a limit of its own"
    # It runs now: from here on a minute, however long it was on its way.
    began = MAX_LAUNCH_SECONDS
    membership.reconcile({"a": True}, set(), began)
    assert membership.unregistered(began + REGISTER_SECONDS) == set()
    assert membership.unregistered(began + REGISTER_SECONDS + 1) == {"a"}
    membership.reconcile({"a": True}, {"a"}, began + REGISTER_SECONDS + 1)
    assert membership.unregistered(began + 10 * REGISTER_SECONDS) == set()


def test_a_launch_that_never_runs_is_overdue() -> None:
    membership = WorkerMembership(REGISTER_SECONDS)
    membership.reconcile({"a": False}, set(), 0.0)
    membership.reconcile({"a": False}, set(), MAX_LAUNCH_SECONDS + 1)
    assert membership.unregistered(MAX_LAUNCH_SECONDS + 1) == {"a"}
    membership.forget({"a"})
    assert membership.staying == set()


def test_a_worker_that_lost_its_scheduler_is_overdue_a_minute_later() -> None:
    membership = WorkerMembership(REGISTER_SECONDS)
    membership.reconcile({"a": True}, {"a"}, 0.0)
    membership.reconcile({"a": True}, set(), 100.0)
    assert membership.unregistered(100.0 + MAX_ABSENCE_SECONDS) == set()
    assert membership.unregistered(101.0 + MAX_ABSENCE_SECONDS) == {"a"}
    membership.forget({"a"})
    assert membership.problem == ""


def test_overdue_workers_give_the_next_ones_more_time_and_are_a_problem_until_one_registers() -> None:
    membership, now, waits = WorkerMembership(REGISTER_SECONDS), 0.0, []
    for n in range(6):
        membership.reconcile({f"w{n}": True}, set(), now)
        began = now
        while not membership.unregistered(now):
            now += 1
        waits.append(now - began - 1)
        membership.forget(membership.unregistered(now))
        assert f"within {waits[-1]:g} s" in membership.problem
        assert "WORKER_START_SECONDS" in membership.problem
    assert waits == [60, 120, 240, 480, 600, MAX_REGISTER_FACTOR * REGISTER_SECONDS]
    membership.reconcile({"late": True}, set(), now)
    assert membership.unregistered(now + 500) == set()
    membership.reconcile({"late": True}, {"late"}, now + 500)
    assert membership.problem == ""


def test_launch_times_are_measured_only_for_workers_whose_launch_was_seen() -> None:
    membership = WorkerMembership(REGISTER_SECONDS)
    membership.reconcile({"old": True}, set(), 0.0)
    membership.reconcile({"old": True}, {"old"}, 50.0)
    assert membership.launch_seconds is None, "it is not known when it was launched"
    membership.reconcile({"old": True, "a": False}, {"old"}, 100.0)
    membership.reconcile({"old": True, "a": True}, {"old", "a"}, 130.0)
    assert membership.launch_seconds == 30.0
    membership.reconcile({"old": True, "a": True, "b": False}, {"old", "a"}, 200.0)
    # One that comes back is no launch.
    membership.reconcile({"old": True, "a": True, "b": True}, {"old"}, 210.0)
    membership.reconcile({"old": True, "a": True, "b": True}, {"old", "a", "b"}, 220.0)
    assert membership.launch_seconds == 30.0 + 0.3 * (20.0 - 30.0)


def test_a_retiring_worker_does_not_count_and_is_forgotten_when_it_ends() -> None:
    membership = WorkerMembership(REGISTER_SECONDS)
    membership.reconcile({"a": True, "b": True}, {"a", "b"}, 0.0)
    membership.retiring = {"a"}
    membership.reconcile({"a": True, "b": True}, {"b"}, 1.0)
    assert membership.staying == {"b"}
    assert membership.launching == set()
    membership.reconcile({"b": True}, {"b"}, 2.0)
    assert membership.retiring == set()


def test_workers_get_twice_as_long_as_the_slowest_that_registered() -> None:
    membership = WorkerMembership(REGISTER_SECONDS)
    membership.reconcile({"a": False}, set(), 0.0)
    membership.reconcile({"a": True}, set(), 500.0)
    membership.reconcile({"a": True}, {"a"}, 510.0)
    assert membership.register_seconds == REGISTER_SECONDS, "the time on the way does not count"
    membership.reconcile({"a": True, "b": True}, {"a"}, 600.0)
    membership.reconcile({"a": True, "b": True}, {"a", "b"}, 655.0)
    assert membership.register_seconds == 110.0
    membership.reconcile({"c": True}, set(), 700.0)
    assert membership.unregistered(809.0) == set()
    assert membership.unregistered(811.0) == {"c"}


def test_a_later_controller_goes_on_with_what_was_learnt_within_the_bounds() -> None:
    assert WorkerMembership(REGISTER_SECONDS, 240.0).register_seconds == 240.0
    assert WorkerMembership(REGISTER_SECONDS, 1.0).register_seconds == REGISTER_SECONDS
    longest = MAX_REGISTER_FACTOR * REGISTER_SECONDS
    assert WorkerMembership(REGISTER_SECONDS, 1e6).register_seconds == longest
