"""The controller's plan, a pure function."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.controller.plan import Memory, Observation, Policy, plan

OBSERVATIONS = st.builds(
    Observation,
    waiting=st.integers(0, 10_000),
    processing=st.integers(0, 1_000),
    occupancy_seconds=st.floats(0, 1e6),
    threads=st.integers(1, 8),
    living=st.integers(0, 120),
    idle=st.lists(st.text(min_size=1, max_size=4), max_size=10, unique=True).map(tuple),
)


@given(OBSERVATIONS, st.integers(0, 5), st.integers(5, 100))
def test_what_is_wanted_is_within_the_bounds_and_explained(seen: Observation, least: int, most: int) -> None:
    decision = plan(seen, Policy(least, most), Memory(), 0.0)
    assert least <= decision.wanted <= most
    assert decision.start == max(0, decision.wanted - seen.living)
    assert set(decision.retire) <= set(seen.idle)
    assert len(decision.retire) <= max(0, seen.living - decision.wanted)
    assert f"bounds {least} to {most}" in decision.reason


def test_without_work_the_fleet_shrinks_to_its_minimum_only_after_a_pause() -> None:
    busy = Observation(100, 4, 500.0, 1, 4, ())
    idle = Observation(0, 0, 0.0, 1, 8, tuple("abcdefgh"))
    policy = Policy(1, 8, idle_seconds=30)
    decision = plan(busy, policy, Memory(), 0.0)
    assert decision.wanted == 8
    decision = plan(idle, policy, decision.memory, 29.0)
    assert (decision.wanted, decision.retire) == (8, ())
    decision = plan(idle, policy, decision.memory, 31.0)
    assert (decision.wanted, len(decision.retire)) == (1, 7)


def test_a_lone_task_with_no_worker_starts_one_worker_from_zero() -> None:
    decision = plan(Observation(1, 0, 0.0, 1, 0, ()), Policy(0, 8), Memory(), 0.0)
    assert (decision.wanted, decision.start) == (1, 1)


def test_no_more_workers_than_tasks_are_wanted() -> None:
    decision = plan(Observation(0, 3, 3000.0, 1, 1, ()), Policy(0, 50), Memory(), 0.0)
    assert decision.wanted == 3


@given(OBSERVATIONS, st.integers(1, 5), st.integers(5, 100), st.integers(0, 100))
def test_without_demand_the_fleet_goes_to_its_minimum_when_the_pause_is_over(
    busy: Observation, least: int, most: int, living: int
) -> None:
    policy = Policy(least, most, idle_seconds=30)
    memory = plan(busy, policy, Memory(), 0.0).memory
    decision = plan(Observation(0, 0, 0.0, 1, living, ()), policy, memory, 30.1)
    assert decision.wanted == least


@given(OBSERVATIONS, st.integers(0, 5), st.integers(5, 100))
def test_the_same_observation_leads_to_the_same_decision(seen: Observation, least: int, most: int) -> None:
    policy = Policy(least, most)
    once = plan(seen, policy, Memory(), 0.0)
    again = plan(seen, policy, once.memory, 1.0)
    assert (again.wanted, again.start, again.retire) == (once.wanted, once.start, once.retire)


@given(st.lists(OBSERVATIONS, min_size=2, max_size=8), st.integers(0, 5), st.integers(5, 100))
def test_within_the_pause_after_a_peak_the_fleet_never_shrinks(seen: list[Observation], least: int, most: int) -> None:
    policy, memory, wanted = Policy(least, most, idle_seconds=30), Memory(), 0
    for turn, observation in enumerate(seen):
        decision = plan(observation, policy, memory, float(turn))
        assert decision.wanted >= wanted
        memory, wanted = decision.memory, decision.wanted


def test_a_demand_just_below_an_old_peak_is_kept_for_the_whole_pause() -> None:
    policy = Policy(0, 8, idle_seconds=30)
    memory = plan(Observation(8, 0, 400.0, 1, 8, ()), policy, Memory(), 0.0).memory
    memory = plan(Observation(7, 0, 350.0, 1, 8, ()), policy, memory, 29.0).memory
    decision = plan(Observation(0, 0, 0.0, 1, 8, tuple("abcdefgh")), policy, memory, 31.0)
    assert (decision.wanted, len(decision.retire)) == (7, 1)
