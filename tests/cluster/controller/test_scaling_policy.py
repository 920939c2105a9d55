"""The scaling policy, a pure function."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.autoscaling.policies import Adaptive, Ours, ecs_policy
from benchmarks.autoscaling.simulation import simulate_all
from benchmarks.autoscaling.traces import tuned_traces
from cluster.controller.demand_forecast import NOTHING_EXPECTED, Forecast
from cluster.controller.demand_history import GAPS, MIN_GAP_SECONDS, DemandHistory, cheapest_retention
from cluster.controller.scaling_policy import Observation, Policy, plan

SECONDS = st.floats(0, 1e5)
OBSERVATIONS = st.builds(
    Observation,
    waiting=st.integers(0, 10_000),
    waiting_seconds=SECONDS,
    busy=st.lists(SECONDS, max_size=30).map(tuple),
    tasks=st.integers(0, 100),
    idle=st.lists(st.tuples(st.text(min_size=1, max_size=4), SECONDS), max_size=10, unique_by=lambda item: item[0]).map(
        tuple
    ),
    launching=st.integers(0, 30),
    threads=st.integers(1, 8),
    arriving=st.floats(0, 100),
)
FORECASTS = st.just(NOTHING_EXPECTED) | st.builds(Forecast, st.integers(1, 500), st.sampled_from([5, 60, 1_440]))
LOCAL = Policy(0, 8)
FARGATE = Policy(
    0, 100, drain_seconds=8, scale_in_delay_seconds=1, restart_seconds=60, launch_seconds=40, minimum_billing_seconds=60
)
POLICIES = st.builds(replace, st.sampled_from([LOCAL, FARGATE]), min_workers=st.integers(0, 5))


def idle(count: int, age: float = math.inf) -> tuple[tuple[str, float], ...]:
    return tuple((f"w{n}", age) for n in range(count))


@given(OBSERVATIONS, POLICIES, FORECASTS)
def test_the_wanted_number_is_within_the_bounds_and_explained(
    seen: Observation, policy: Policy, expected: Forecast
) -> None:
    decision = plan(seen, policy, DemandHistory(), 0.0, expected)
    assert policy.min_workers <= decision.wanted <= policy.max_workers
    assert decision.start == max(0, decision.wanted - seen.workers)
    assert decision.reason.endswith(".")
    assert bool(decision.change) == bool(decision.start or decision.retire)


@given(OBSERVATIONS, POLICIES, FORECASTS)
def test_only_idle_surplus_workers_past_their_minimum_billing_are_retired(
    seen: Observation, policy: Policy, expected: Forecast
) -> None:
    decision = plan(seen, policy, DemandHistory(), 0.0, expected)
    ages = dict(seen.idle)
    assert len(set(decision.retire)) == len(decision.retire) <= max(0, seen.workers - decision.wanted)
    assert all(ages[name] >= policy.minimum_billing_seconds for name in decision.retire)


@given(OBSERVATIONS, POLICIES, FORECASTS)
def test_the_same_observation_leads_to_the_same_decision(seen: Observation, policy: Policy, expected: Forecast) -> None:
    once = plan(seen, policy, DemandHistory(), 0.0, expected)
    again = plan(seen, policy, once.history, 0.5, expected)
    assert (again.wanted, again.start, again.retire) == (once.wanted, once.start, once.retire)


@given(OBSERVATIONS, POLICIES, st.integers(0, 100), st.integers(0, 100))
def test_more_that_is_foreseen_never_wants_fewer_workers(
    seen: Observation, policy: Policy, some: int, more: int
) -> None:
    less = plan(seen, policy, DemandHistory(), 0.0, Forecast(some, 60))
    greater = plan(seen, policy, DemandHistory(), 0.0, Forecast(some + more, 60))
    assert less.wanted <= greater.wanted <= max(less.wanted, some + more)


@given(OBSERVATIONS, POLICIES)
def test_under_constant_demand_no_worker_is_started_again_after_one_was_retired(
    seen: Observation, policy: Policy
) -> None:
    """What was decided is done at once, for a minute: then there are enough workers, and none comes or goes."""
    history, workers, started, retired = DemandHistory(), seen.workers, 0, 0
    busy = len(seen.busy)
    for step in range(130):
        now_seen = replace(seen, idle=idle(workers - busy, 1e6), launching=0)
        decision = plan(now_seen, policy, history, step / 2)
        history, workers = decision.history, workers + decision.start - len(decision.retire)
        started, retired = started + (decision.start > 0), retired + (len(decision.retire) > 0)
    assert started + retired <= 2, "at most one change, and one more for what counts as served from then on"


@given(st.lists(st.floats(MIN_GAP_SECONDS, 500), min_size=1, max_size=GAPS), st.floats(1, 600))
def test_no_other_retention_would_have_cost_less(gaps: list[float], restart: float) -> None:
    def cost(kept: float) -> float:
        return sum(gap if gap <= kept else kept + restart for gap in gaps)

    kept = cheapest_retention(gaps, restart)
    assert all(cost(kept) <= cost(other) for other in (0.0, 1.0, 30.0, 60.0, 1_000.0, *gaps))
    if max(gaps) < restart:
        assert kept == max(gaps)
    if min(gaps) > len(gaps) * restart:
        assert kept == 0


@given(OBSERVATIONS, POLICIES, st.floats(0, 1e5))
def test_more_work_never_wants_fewer_workers(seen: Observation, policy: Policy, more: float) -> None:
    less = plan(seen, policy, DemandHistory(), 0.0)
    greater = plan(replace(seen, waiting_seconds=seen.waiting_seconds + more), policy, DemandHistory(), 0.0)
    # Except for work that is done before a new worker is ready; then no worker is stopped either.
    assert greater.wanted >= min(less.wanted, seen.workers)


@given(OBSERVATIONS, POLICIES, st.integers(0, 100))
def test_without_demand_the_fleet_goes_to_its_minimum(busy: Observation, policy: Policy, count: int) -> None:
    history = plan(busy, policy, DemandHistory(), 0.0).history
    later = 0.1 + policy.scale_in_delay_seconds
    decision = plan(Observation(idle=idle(count)), policy, history, later)
    assert decision.wanted == policy.min_workers
    assert len(decision.retire) == max(0, count - policy.min_workers)


def test_a_lone_task_with_no_worker_starts_one_worker_from_zero() -> None:
    for bounds in (LOCAL, FARGATE):
        decision = plan(Observation(waiting=1), bounds, DemandHistory(), 0.0)
        assert (decision.wanted, decision.start) == (1, 1)


def test_no_more_workers_than_tasks_are_wanted() -> None:
    seen = Observation(waiting=2, waiting_seconds=5_000.0, busy=(1_000.0,), tasks=1)
    assert plan(seen, FARGATE, DemandHistory(), 0.0).wanted == 3


def test_long_tasks_hold_their_workers_and_the_rest_gets_others() -> None:
    seen = Observation(waiting=100, waiting_seconds=50.0, busy=(900.0, 900.0), tasks=2)
    decision = plan(seen, FARGATE, DemandHistory(), 0.0)
    assert decision.wanted == 2 + math.ceil(50 / 6)
    assert decision.change == "100 tasks wait and all workers have long tasks."


def test_no_worker_is_started_for_work_that_is_done_before_it_would_be_ready() -> None:
    seen = Observation(waiting=300, waiting_seconds=170.0, busy=(0.2,) * 7, tasks=7)
    assert plan(seen, FARGATE, DemandHistory(), 0.0).start == 0, "the seven are done in 25 s"
    assert plan(replace(seen, waiting_seconds=180.0), FARGATE, DemandHistory(), 0.0).wanted == 23
    # Of the 40 s until a new one would be ready, they have less for it if as much work comes as they can do.
    assert plan(replace(seen, arriving=6.0), FARGATE, DemandHistory(), 0.0).start > 0
    # Those that launch will do their part.
    assert plan(replace(seen, launching=7), FARGATE, DemandHistory(), 0.0).start == 0


def test_where_launches_take_minutes_workers_get_as_much_work_as_they_shall_do_in_time() -> None:
    machines = replace(FARGATE, drain_seconds=60, launch_seconds=180)
    seen = Observation(waiting=30, waiting_seconds=230.0, busy=(5.0,) * 4, tasks=4)
    assert plan(replace(seen, waiting_seconds=200.0), machines, DemandHistory(), 0.0).start == 0
    assert plan(seen, machines, DemandHistory(), 0.0).start == 1


def test_a_worker_that_is_free_again_before_a_new_one_would_be_ready_holds_nothing() -> None:
    seen = Observation(waiting=1, waiting_seconds=15.0, busy=(15.0, 15.0, 15.0), tasks=3)
    assert plan(seen, FARGATE, DemandHistory(), 0.0).start == 0
    assert plan(replace(seen, busy=(50.0, 50.0, 50.0)), FARGATE, DemandHistory(), 0.0).start == 1


def test_workers_are_started_and_kept_for_demand_that_is_foreseen() -> None:
    decision = plan(Observation(), FARGATE, DemandHistory(), 0.0, Forecast(13, 10))
    assert (decision.start, decision.wanted) == (13, 13)
    assert decision.change == "work for 13 workers is expected about now, as it came 10 min and 20 min ago."
    decision = plan(Observation(idle=idle(13)), FARGATE, DemandHistory(), 40.0, Forecast(13, 1_440))
    assert decision.retire == ()
    assert decision.reason == (
        "Idle. Keeping 13 workers: work for 13 workers is expected about now, as it came 24 h and 48 h ago."
    )
    # The work has come, and they are enough for it.
    seen = Observation(waiting=150, waiting_seconds=260.0, idle=idle(10), launching=3, arriving=4.3)
    assert plan(seen, FARGATE, DemandHistory(), 41.0).start == 0


def test_thousands_of_trivial_tasks_start_no_workers() -> None:
    seen = Observation(waiting=5_000, waiting_seconds=5.0, busy=(0.001,), tasks=1)
    assert plan(seen, FARGATE, DemandHistory(), 0.0).start == 0


def test_a_worker_stays_for_the_minute_that_is_billed_anyway() -> None:
    decision = plan(Observation(idle=idle(3, 59.0)), FARGATE, DemandHistory(), 100.0)
    assert (decision.wanted, decision.retire) == (0, ())
    decision = plan(Observation(idle=idle(3, 60.0)), FARGATE, DemandHistory(), 101.0)
    assert len(decision.retire) == 3


def test_the_oldest_idle_workers_go_first() -> None:
    seen = Observation(waiting=1, idle=(("young", 70.0), ("old", 900.0), ("older", 1_000.0)))
    assert plan(seen, FARGATE, DemandHistory(), 0.0).retire == ("older", "old")


def test_a_size_whose_demand_returns_within_seconds_is_kept_and_one_whose_demand_stayed_away_is_not() -> None:
    busy, quiet = Observation(busy=(1.0,) * 4, tasks=4), Observation(idle=idle(4))
    history = plan(busy, FARGATE, DemandHistory(), 0.0).history
    history = plan(quiet, FARGATE, history, 10.0).history
    # A gap of 20 s: from now on the size is kept for a fifth longer.
    history = plan(busy, FARGATE, history, 20.0).history
    assert plan(quiet, FARGATE, history, 43.0).wanted == 4
    assert plan(quiet, FARGATE, history, 45.0).wanted == 0
    # Gaps of minutes: to outlast the one of 20 s no longer pays, and the size is dropped at once.
    for now in (400.0, 800.0, 1_200.0, 1_600.0):
        history = plan(busy, FARGATE, history, now).history
    assert plan(quiet, FARGATE, history, 1_602.0).wanted == 0


def test_local_workers_are_kept_for_half_a_minute() -> None:
    history = plan(Observation(waiting=100, waiting_seconds=500.0), LOCAL, DemandHistory(), 0.0).history
    assert plan(Observation(idle=idle(8)), LOCAL, history, 29.0).wanted == 8
    assert plan(Observation(idle=idle(8)), LOCAL, history, 46.0).wanted == 0


def test_if_no_worker_serves_the_work_yet_a_third_more_are_wanted() -> None:
    # Workers that hold long tasks do not serve what waits, and those that launch do not yet.
    seen = Observation(waiting=100, waiting_seconds=48.0, busy=(900.0, 900.0), tasks=2)
    decision = plan(seen, FARGATE, DemandHistory(), 0.0)
    assert decision.wanted == 2 + 6 + 2
    assert plan(replace(seen, launching=8), FARGATE, DemandHistory(), 0.0).start == 0
    assert plan(replace(seen, idle=idle(1)), FARGATE, DemandHistory(), 0.0).wanted == 2 + 6
    assert plan(replace(seen, waiting=1), FARGATE, DemandHistory(), 0.0).wanted == 2 + 1, (
        "not more than there are tasks"
    )
    assert plan(Observation(waiting=2, waiting_seconds=2.0), FARGATE, DemandHistory(), 0.0).wanted == 1


def test_one_worker_of_an_older_revision_is_replaced_once_its_successor_is_ready() -> None:
    policy = replace(FARGATE, min_workers=1, max_workers=2)
    seen = Observation(idle=idle(1), outdated=frozenset({"w0"}))
    decision = plan(seen, policy, DemandHistory(), 0.0)
    assert (decision.wanted, decision.start, decision.retire) == (1, 1, ())
    assert decision.reason == "Adding 1 worker: they replace workers of an older revision."
    decision = plan(replace(seen, launching=1), policy, DemandHistory(), 1.0)
    assert (decision.start, decision.retire) == (0, ())
    decision = plan(replace(seen, idle=(*idle(1), ("new", 5.0))), policy, DemandHistory(), 40.0)
    assert (decision.start, decision.retire) == (0, ("w0",))
    # Without room for both, the old one goes first.
    decision = plan(seen, replace(policy, max_workers=1), DemandHistory(), 0.0)
    assert (decision.start, decision.retire) == (0, ("w0",))
    assert "older" in plan(seen, replace(policy, max_workers=2), DemandHistory(), 0.0).change


def busy(*names: str, new: int = 0, **more: Any) -> Observation:
    """All workers have long tasks, those with these names are of an older revision, and more work waits."""
    everyone = (*names, *(f"new{n}" for n in range(new)))
    return Observation(
        waiting=9, waiting_seconds=8_100.0, busy=(900.0,) * len(everyone), busy_names=everyone, tasks=len(everyone),
        outdated=frozenset(names), **more,
    )  # fmt: skip


def test_busy_workers_of_an_older_revision_are_drained_while_new_ones_start() -> None:
    old = tuple(f"w{n}" for n in range(8))
    policy = replace(FARGATE, max_workers=9)
    decision = plan(busy(*old, new=1), policy, DemandHistory(), 0.0)
    assert (decision.drain, decision.start, decision.retire) == (("w0", "w1"), 2, ())
    assert decision.reason == "Adding 2 workers: they replace workers of an older revision."
    assert decision.drain_reason == "workers of an older revision get no more tasks, and go when theirs have ended."
    # The next ones follow when those that replace the first ones serve.
    assert plan(busy(*old[2:], new=1, launching=2), policy, DemandHistory(), 1.0).drain == ()
    assert plan(busy(*old[2:], new=3), policy, DemandHistory(), 40.0).drain == ("w2", "w3")


def test_before_a_worker_of_the_new_revision_serves_one_starts_and_all_others_stay() -> None:
    policy = replace(FARGATE, max_workers=3)
    calm = replace(busy("a", "b"), waiting=0, waiting_seconds=0.0)
    decision = plan(calm, policy, DemandHistory(), 0.0)
    assert (decision.start, decision.drain) == (1, ())
    assert plan(replace(calm, launching=1), policy, DemandHistory(), 1.0).drain == ()
    # Without room for it, one is drained; if the new revision does not start, no other follows.
    decision = plan(busy("a", "b", "c"), policy, DemandHistory(), 0.0)
    assert (decision.start, decision.drain) == (1, ("a",))
    decision = plan(busy("b", "c"), policy, DemandHistory(), 600.0)
    assert (decision.start, decision.drain) == (1, ())


def test_a_worker_of_the_new_revision_that_is_ready_is_kept_for_the_one_that_it_replaces() -> None:
    policy = replace(FARGATE, max_workers=3)
    calm = replace(busy("a", "b"), waiting=0, waiting_seconds=0.0, idle=(("new", 100.0),))
    decision = plan(calm, policy, DemandHistory(), 0.0)
    assert (decision.start, decision.drain, decision.retire) == (0, ("a",), ())


@given(
    states=st.lists(st.sampled_from(["old idle", "old busy", "new idle", "new busy"]), min_size=1, max_size=24),
    minimum=st.integers(0, 24),
    room=st.integers(0, 6),
)
def test_workers_of_an_older_revision_are_all_replaced_within_the_bounds(
    states: list[str], minimum: int, room: int
) -> None:
    """A fleet whose old workers end their tasks one after the other ends with new ones only."""
    policy = replace(FARGATE, min_workers=min(minimum, len(states)), max_workers=len(states) + room)
    workers = {f"w{n}": state for n, state in enumerate(states)}
    history, now, launching = DemandHistory(), 1_000.0, 0
    for step in range(400):
        busy = [name for name, state in workers.items() if state.endswith("busy")]
        seen = Observation(
            busy=(900.0,) * len(busy), busy_names=tuple(busy), tasks=len(busy), launching=launching,
            idle=tuple((name, 900.0) for name, state in workers.items() if state.endswith("idle")),
            outdated=frozenset(name for name, state in workers.items() if state.startswith("old")),
        )  # fmt: skip
        decision = plan(seen, policy, history, now)
        history, now = decision.history, now + 61.0
        assert not set(decision.retire) & set(busy), "a busy worker is never retired"
        assert decision.start == 0 or seen.workers - len(decision.drain) + decision.start <= policy.max_workers
        assert set(decision.drain) <= set(busy) & seen.outdated
        if decision.retire and room:
            assert len(workers) - len(decision.retire) >= policy.min_workers, "those that serve never get too few"
        if not decision.start and not decision.retire and not busy and not launching:
            break
        for name in (*decision.retire, *decision.drain):  # tasks of the latter end where they run
            del workers[name]
        workers |= {f"n{step}-{n}": "new idle" for n in range(launching)}
        launching = decision.start
        if busy and busy[0] in workers:  # its task ends
            workers[busy[0]] = workers[busy[0]].replace("busy", "idle")
    else:
        pytest.fail("it does not converge")
    assert not seen.outdated
    assert policy.min_workers <= len(workers) <= policy.max_workers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "share"), [("steady", 0.5), ("few long among short", 0.5), ("clumps of short ones", 0.9)]
)
def test_the_bill_is_a_share_of_adaptives_and_no_wait_is_longer(name: str, share: float) -> None:
    trace = tuned_traces()[name]
    ours, theirs = simulate_all(trace, lambda: Ours(ecs_policy()), 3), simulate_all(trace, Adaptive, 3)
    assert ours.bill < share * theirs.bill
    assert ours.wait(0.5) <= theirs.wait(0.5)
    assert ours.wait(0.95) <= theirs.wait(0.95)
