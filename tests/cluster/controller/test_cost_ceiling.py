"""The ceiling in dollars: how many workers it allows, and that the plan obeys it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.autoscaling.policies import Ours, ecs_policy
from benchmarks.autoscaling.simulation import Trace, simulate
from benchmarks.autoscaling.world import Task, World
from cluster.controller.cost_ceiling import RESERVED_SECONDS, Affordable, CostCeiling, Costs
from cluster.controller.demand_history import DemandHistory
from cluster.controller.scaling_policy import Observation, plan
from tests.cluster.controller.test_scaling_policy import FARGATE, OBSERVATIONS, idle

PRICES = st.floats(0.001, 50)
CEILINGS = st.builds(CostCeiling, st.just(0.0) | st.floats(0.01, 500), st.just(0.0) | st.floats(0.01, 500))


def test_without_a_ceiling_nothing_is_bounded() -> None:
    assert CostCeiling().allows(Costs(1e9, 1.0, 1e9), 5) is None


@pytest.mark.parametrize(
    ("ceiling", "costs", "workers", "allowed"),
    [
        (CostCeiling(per_hour=1.0), Costs(0.0, 0.25, 0.0), 0, 4),
        (CostCeiling(per_hour=0.3), Costs(0.0, 0.1, 0.0), 0, 3),  # 0.3 / 0.1 is a little less than 3
        (CostCeiling(per_hour=1.0), Costs(0.5, 0.25, 0.0), 4, 6),  # those that run are Spot's
        (CostCeiling(per_hour=1.0), Costs(1.6, 0.25, 0.0), 6, 3),  # the ceiling was lowered
        (CostCeiling(per_hour=0.1), Costs(0.0, 0.25, 0.0), 0, 0),
        (CostCeiling(per_hour=1.0), Costs(0.0, None, 0.0), 0, 1),  # the first shows what one costs
        (CostCeiling(per_day=24.0), Costs(0.0, 1.0, 24.0), 3, 0),
        (CostCeiling(per_day=24.0), Costs(3.0, 1.0, 24.0 - 2 * RESERVED_SECONDS / 3600), 3, 2),
        (CostCeiling(per_day=24.0), Costs(0.0, None, 25.0), 0, 0),
    ],
)
def test_the_ceiling_allows_what_can_be_paid(ceiling: CostCeiling, costs: Costs, workers: int, allowed: int) -> None:
    affordable = ceiling.allows(costs, workers)
    assert affordable is not None
    assert affordable.workers == allowed


def test_workers_that_leave_make_no_other_leave_and_leave_no_room_before_they_have_gone() -> None:
    ceiling = CostCeiling(per_hour=7.5)
    assert ceiling.allows(Costs(8.0, 1.0, 0.0), 8) == Affordable(7, "the ceiling of $7.50 an hour")
    assert ceiling.allows(Costs(8.0, 1.0, 0.0), 7, leaving=1) == Affordable(7, "the ceiling of $7.50 an hour")
    assert ceiling.allows(Costs(7.0, 1.0, 0.0), 4, leaving=3) == Affordable(4, "the ceiling of $7.50 an hour")
    assert ceiling.allows(Costs(4.0, 1.0, 0.0), 4) == Affordable(7, "the ceiling of $7.50 an hour")


def test_busy_workers_that_cannot_be_paid_are_drained_those_with_the_least_work_first() -> None:
    policy = replace(FARGATE, affordable=Affordable(1, "today's ceiling of $20.00"))
    seen = Observation(waiting=50, busy=(9.0, 900.0, 1.0), busy_names=("a", "b", "c"), tasks=3, idle=idle(1))
    decision = plan(seen, policy, DemandHistory(), 0.0)
    assert (decision.start, decision.retire, decision.drain) == (0, ("w0",), ("c", "a"))
    assert plan(seen, replace(policy, affordable=None), DemandHistory(), 0.0).drain == ()


def test_of_two_ceilings_the_lower_one_binds_and_is_named() -> None:
    both = CostCeiling(per_hour=2.0, per_day=10.0)
    assert both.allows(Costs(0.0, 0.5, 0.0), 0) == Affordable(4, "the ceiling of $2.00 an hour")
    assert both.allows(Costs(0.0, 0.5, 9.99), 0) == Affordable(0, "today's ceiling of $10.00")


@given(CEILINGS, PRICES, st.integers(0, 200), st.floats(0, 1), st.floats(0, 600))
def test_what_is_allowed_costs_no_more_than_the_ceiling(
    ceiling: CostCeiling, price: float, workers: int, spot: float, today: float
) -> None:
    now = workers * price * spot
    affordable = ceiling.allows(Costs(now, price, today), workers)
    if affordable is None or affordable.workers <= workers:
        return
    more = (affordable.workers - workers) * price
    if ceiling.per_hour:
        assert now + more <= ceiling.per_hour * (1 + 1e-6)
    if ceiling.per_day:
        assert today + affordable.workers * price * RESERVED_SECONDS / 3600 <= ceiling.per_day * (1 + 1e-6)


@given(OBSERVATIONS, st.integers(0, 40), st.integers(0, 5))
def test_the_plan_never_wants_more_than_is_affordable_and_retires_only_idle_workers(
    seen: Observation, workers: int, minimum: int
) -> None:
    policy = replace(FARGATE, min_workers=minimum, affordable=Affordable(workers, "the ceiling"))
    decision = plan(seen, policy, DemandHistory(), 0.0)
    assert decision.wanted <= workers
    assert decision.start == 0 or seen.workers + decision.start <= workers
    assert set(decision.retire) <= {name for name, _ in seen.idle}
    assert bool(decision.unaffordable) == bool(decision.problem)


def test_a_ceiling_that_binds_is_told_and_one_that_does_not_bind_is_not() -> None:
    seen = Observation(waiting=100, waiting_seconds=80.0, busy=(900.0,) * 3, tasks=3)
    policy = replace(FARGATE, affordable=Affordable(5, "the ceiling of $2.00 an hour"))
    decision = plan(seen, policy, DemandHistory(), 0.0)
    assert (decision.start, decision.unaffordable) == (2, 12)
    assert decision.problem == "The ceiling of $2.00 an hour allows 5 workers, 12 fewer than are wanted."
    assert decision.change.endswith("The ceiling of $2.00 an hour allows 5 workers.")
    full = plan(replace(seen, busy=(900.0,) * 5, tasks=5), policy, DemandHistory(), 0.0)
    assert full.reason == "100 tasks wait. The ceiling of $2.00 an hour allows 5 workers."
    spent = replace(FARGATE, min_workers=1, affordable=Affordable(0, "today's ceiling of $20.00"))
    decision = plan(Observation(idle=idle(2)), spent, DemandHistory(), 0.0)
    assert len(decision.retire) == 2
    assert decision.problem == "Today's ceiling of $20.00 allows 0 workers, 1 fewer than are wanted."
    enough = replace(policy, affordable=Affordable(90, "the ceiling of $50.00 an hour"))
    decision = plan(seen, enough, DemandHistory(), 0.0)
    assert decision.problem == ""
    assert "ceiling" not in decision.change


class Ceiled(Ours):
    """The controller's policy under a ceiling, on virtual time; the fleet costs one dollar for each worker and hour."""

    def __init__(self, ceiling: CostCeiling) -> None:
        super().__init__(ecs_policy())
        self._ceiling = ceiling
        self.most = 0
        self.spent = 0.0

    def scale(self, world: World) -> None:
        seconds = world.billed + sum(max(60.0, world.now - worker.started) for worker in world.workers.values())
        self.spent = seconds / 3600
        # A worker that is being retired still costs, and is none of those that stay.
        leaving = sum(worker.leaving for worker in world.workers.values())
        staying = len(world.workers) - leaving
        affordable = self._ceiling.allows(Costs(float(len(world.workers)), 1.0, self.spent), staying, leaving)
        self._policy = replace(self._policy, affordable=affordable)
        super().scale(world)
        self.most = max(self.most, len(world.workers))


def test_in_a_burst_the_fleet_costs_no_more_than_the_ceiling_of_an_hour_and_all_work_gets_done() -> None:
    burst = [Task(1.0, "short", 10.0) for _ in range(300)]
    scaler = Ceiled(CostCeiling(per_hour=7.5))
    outcome = simulate(Trace(burst, 60.0), scaler)
    assert scaler.most == 7
    assert len(outcome.waits) == 300


def test_a_day_costs_no_more_than_its_ceiling_but_for_the_tasks_that_run_when_it_is_reached() -> None:
    burst = [Task(1.0, "short", 10.0) for _ in range(300)]
    world, scaler = World(seed=1), Ceiled(CostCeiling(per_day=0.5))
    for task in burst:
        world.add(task)
    while world.now < 900:
        world.step()
        scaler.scale(world)
        world.now += 0.5
    assert world.workers == {}, "idle workers have stopped"
    assert world.queue, "the rest waits for the next day"
    assert 0.4 < scaler.spent <= 0.5
