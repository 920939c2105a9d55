"""The ceiling in dollars: how many workers it allows, and that the plan obeys it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.controller.cost_ceiling import RESERVED_SECONDS, Affordable, CostCeiling, Costs
from cluster.controller.scaling_policy import DemandHistory, Observation, plan
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
