"""The plan of each pool: from its own load, with its own bounds."""

from __future__ import annotations

from typing import Any

from cluster.controller.pool_state import PoolState
from cluster.controller.scaling_policy import Policy
from cluster.controller.worker_membership import WorkerMembership
from cluster.settings.pools import Pool


def state_of(name: str, *workers: str, max_workers: int = 4) -> PoolState:
    pool = Pool(name, memory_gib=4, max_workers=max_workers)
    state = PoolState(pool, Policy(pool.min_workers, pool.max_workers), WorkerMembership())
    state.membership.reconcile(dict.fromkeys(workers, True), set(workers), 0.0)
    return state


def worker(name: str, processing: int) -> dict[str, Any]:
    return {"name": name, "processing": processing, "occupancy_seconds": 60.0 * processing}


def test_a_pool_grows_by_what_waits_for_it_and_another_does_not() -> None:
    load = {
        "queued": 0,
        "no_worker": 100,
        "waiting_seconds": 1_000.0,
        "pools": {
            "default": {"waiting": 0, "waiting_seconds": 0.0},
            "gpu": {"waiting": 100, "waiting_seconds": 1_000.0},
        },
        "workers": [worker("a", 0), worker("g", 1)],
    }
    default, gpu = state_of("default", "a"), state_of("gpu", "g", max_workers=3)
    assert default.plan(load, 1, 1_000.0).retire == ("a",)
    decision = gpu.plan(load, 1, 1_000.0)
    assert (decision.wanted, decision.start, decision.retire) == (3, 2, ())
    status = gpu.status(1.5)
    assert (status["waiting"], status["processing"], status["running"], status["cost_per_hour"]) == (100, 1, 1, 1.5)


def test_without_pools_on_the_scheduler_all_that_waits_is_the_default_pools() -> None:
    load = {"queued": 3, "no_worker": 1, "waiting_seconds": 4.0, "workers": []}
    default, gpu = state_of("default"), state_of("gpu")
    assert default.plan(load, 1, 0.0).start > 0
    assert gpu.plan(load | {"pools": {}}, 1, 0.0).start == 0
