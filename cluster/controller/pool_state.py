"""What the controller knows of one pool from round to round, and its plan: each pool is scaled by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cluster.controller.cost_ceiling import Affordable
from cluster.controller.demand_forecast import NOTHING_EXPECTED, DemandRecord
from cluster.controller.demand_history import DemandHistory
from cluster.controller.scaling_policy import Decision, Observation, Policy, plan
from cluster.controller.worker_membership import WorkerMembership
from cluster.observability import metrics
from cluster.settings.pools import DEFAULT_POOL, Pool


@dataclass(slots=True)
class PoolState:
    """One pool.

    Attributes:
        record: the demand of the last weeks, from which that to come is foreseen.
        decision: the latest one; None while the demand is unknown.
        expected: workers that are needed for what is foreseen.
        waiting, processing: Dask tasks that wait for its workers, and those that its workers have.
    """

    pool: Pool
    policy: Policy
    membership: WorkerMembership
    history: DemandHistory = field(default_factory=DemandHistory)
    record: DemandRecord = field(default_factory=DemandRecord)
    decision: Decision | None = None
    waiting: int = 0
    processing: int = 0
    expected: int = 0

    def plan(
        self,
        load: Mapping[str, Any],
        threads: int,
        now: float,
        *,
        wall_seconds: float = 0.0,
        outdated: frozenset[str] = frozenset(),
        affordable: Affordable | None = None,
    ) -> Decision:
        """Decides from the scheduler's load how many workers are wanted, and which may go.

        Args:
            threads: of each worker.
            now: monotonic, in seconds.
            wall_seconds: the same moment in seconds since 1970.
            outdated: workers of any pool that run an older revision.
            affordable: how many workers the pool may have by the ceiling in dollars; None for no ceiling.
        """
        staying = self.membership.staying
        registered = [worker for worker in load["workers"] if worker["name"] in staying]
        self.waiting, waiting_seconds = _waiting(load, self.pool.name)
        self.processing = sum(worker["processing"] for worker in registered)
        # Those that wait for their children occupy no thread.
        tasks = self.processing - sum(worker.get("long_running", 0) for worker in registered)
        running = sum(min(worker["processing"], threads) for worker in registered)
        self.record.observe(waiting_seconds, running, threads, wall_seconds)
        seen = Observation(
            waiting=self.waiting,
            waiting_seconds=waiting_seconds,
            busy=tuple(worker["occupancy_seconds"] for worker in registered if worker["processing"]),
            busy_names=tuple(str(worker["name"]) for worker in registered if worker["processing"]),
            tasks=tasks,
            idle=tuple((w["name"], self.membership.age(w["name"], now)) for w in registered if not w["processing"]),
            launching=len(self.membership.launching),
            threads=threads,
            outdated=outdated & staying,
            arriving=self.record.arriving,
        )
        policy = replace(self.policy, affordable=affordable)
        if self.membership.launch_seconds is not None:
            policy = replace(policy, launch_seconds=self.membership.launch_seconds)
        expected = self.record.expected(policy.launch_seconds, wall_seconds) if policy.forecast else NOTHING_EXPECTED
        self.expected = expected.workers
        self.decision = plan(seen, policy, self.history, now, expected)
        self.history = self.decision.history
        return self.decision

    def status(self, cost_per_hour: float | None) -> dict[str, Any]:
        """What is published of it, with what its workers cost now."""
        membership, pool = self.membership, self.pool
        return {
            "name": pool.name,
            "cpu": pool.cpu,
            "memory_gib": pool.memory_gib,
            "gpu": pool.gpu,
            "capacity": pool.capacity,
            "spot_share": pool.spot_share,
            "min_workers": pool.min_workers,
            "max_workers": pool.max_workers,
            "wanted": self.decision.wanted if self.decision else None,
            "launching": len(membership.launching),
            "launch_seconds": membership.launch_seconds,
            "running": len(membership.staying) - len(membership.launching),
            "retiring": len(membership.retiring),
            "register_seconds": membership.register_seconds,
            "waiting": self.waiting,
            "processing": self.processing,
            "expected": self.expected,
            "cost_per_hour": cost_per_hour,
        }


def set_pool_metrics(status: Mapping[str, Any]) -> None:
    """Sets a pool's gauges from what is published of it."""
    name = status["name"]
    for state in ("wanted", "launching", "running", "retiring"):
        if status[state] is not None:
            metrics.POOL_WORKERS.labels(name, state).set(status[state])
    metrics.POOL_WORKERS.labels(name, "expected").set(status["expected"])
    for bound in ("min", "max"):
        metrics.POOL_WORKERS.labels(name, bound).set(status[f"{bound}_workers"])
    for state in ("waiting", "processing"):
        metrics.POOL_TASKS.labels(name, state).set(status[state])
    metrics.POOL_COST.labels(name).set(status["cost_per_hour"] or 0)


def _waiting(load: Mapping[str, Any], pool: str) -> tuple[int, float]:
    """How many Dask tasks wait for a pool, and their work in seconds of one thread."""
    if pools := load.get("pools"):
        return int(pools[pool]["waiting"]), pools[pool]["waiting_seconds"]
    # There is one pool, or the scheduler is of an earlier release: then any worker runs any task.
    return (load["queued"] + load["no_worker"], load["waiting_seconds"]) if pool == DEFAULT_POOL else (0, 0.0)
