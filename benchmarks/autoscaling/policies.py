"""The policies that are compared.

- **Ours** runs the real `plan` and `DemandRecord` of the controller every 0.5 s, with the policy of an ECS fleet.
- **Adaptive** runs the real `distributed.deploy.adaptive_core.AdaptiveCore` with its defaults (every 1 s, target 5 s,
  three recommendations before a worker is closed) on the formula of `Scheduler.adaptive_target`. In its favour, a
  worker that is closed while it works finishes its task first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from distributed.deploy.adaptive_core import AdaptiveCore

from benchmarks.autoscaling.world import World
from cluster.controller.demand_forecast import NOTHING_EXPECTED, DemandRecord
from cluster.controller.demand_history import DemandHistory
from cluster.controller.fleets.ecs import EcsFleet
from cluster.controller.scaling_policy import Observation, Policy, plan
from cluster.scheduling.demand import ASSUMED_SECONDS
from cluster.settings import load_settings
from cluster.settings.pools import DEFAULT_POOL

MAX_WORKERS: Final = 100
EPOCH: Final = 20_000 * 86_400.0
"""Midnight of some day, in seconds since 1970: when the traces begin."""


@cache
def ecs_policy(*, forecast: bool = True) -> Policy:
    """The policy of an ECS fleet, from 0 to MAX_WORKERS workers."""
    prices = {"ecs_vcpu_hour_price": 1.0, "ecs_gb_hour_price": 1.0}  # no part of the policy
    settings = load_settings({}, min_workers=0, max_workers=MAX_WORKERS, demand_forecast=forecast, **prices)
    return EcsFleet(settings).policy(settings.all_pools[DEFAULT_POOL])


class Ours:
    """The controller's scaling policy."""

    interval_seconds = 0.5
    empty_interval_seconds = 15.0

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._history = DemandHistory()
        self._record = DemandRecord()

    def scale(self, world: World) -> None:
        """Decides as the controller does (cluster/controller/pool_state.py)."""
        registered = world.registered()
        staying = sum(not worker.leaving for worker in world.workers.values())
        busy = [worker for worker in registered if worker.task]
        waiting_seconds, wall = world.waiting_seconds(ASSUMED_SECONDS), EPOCH + world.now
        self._record.observe(waiting_seconds, len(busy), 1, wall)
        seen = Observation(
            waiting=len(world.queue),
            waiting_seconds=waiting_seconds,
            busy=tuple(world.occupancy(worker) for worker in busy),
            busy_names=tuple(worker.name for worker in busy),
            tasks=len(busy),
            idle=tuple((worker.name, world.now - worker.started) for worker in registered if worker.task is None),
            launching=staying - len(registered),
            arriving=self._record.arriving,
        )
        policy = self._policy
        expected = self._record.expected(policy.launch_seconds, wall) if policy.forecast else NOTHING_EXPECTED
        decision = plan(seen, policy, self._history, world.now, expected)
        self._history = decision.history
        world.start(decision.start)
        world.stop([*decision.retire, *decision.drain])


class Adaptive(AdaptiveCore):  # type: ignore[misc]
    """Dask's Adaptive."""

    interval_seconds = 1.0
    empty_interval_seconds = 0.0

    def __init__(self, minimum: int = 0, maximum: int = MAX_WORKERS) -> None:
        super().__init__(minimum=minimum, maximum=maximum, wait_count=3)
        self._world: World

    @property
    def plan(self) -> set[str]:
        """Workers that run or start."""
        return {worker.name for worker in self._world.workers.values() if not worker.leaving}

    requested = plan

    @property
    def observed(self) -> set[str]:
        """Workers that the scheduler knows."""
        return {worker.name for worker in self._world.registered()}

    async def target(self) -> int:
        """Scheduler.adaptive_target of distributed 2026.8, for workers of one thread whose memory is free."""
        world, here = self._world, self._world.registered()
        occupancy = sum(world.occupancy(worker) for worker in here)
        cpu = math.ceil((occupancy + world.waiting_seconds()) / 5.0)
        ready = len(world.queue)
        for worker in here:
            if ready > cpu:
                break
            ready += worker.task is not None
        else:
            cpu = min(ready, cpu)
        if world.queue and not here:
            cpu = max(1, cpu)
        return cpu if cpu >= len(here) else len(here) - sum(worker.task is None for worker in here)

    async def workers_to_close(self, target: int) -> list[str]:
        """Idle workers first."""
        here = sorted(self._world.registered(), key=lambda worker: worker.task is not None)
        return [worker.name for worker in here[: max(0, len(here) - target)]]

    async def scale_up(self, n: int) -> None:
        """Starts workers until there are `n`."""
        self._world.start(n - len(self.plan))

    async def scale_down(self, workers: Iterable[str]) -> None:
        """Stops workers."""
        self._world.stop(workers)

    def scale(self, world: World) -> None:
        """One round of AdaptiveCore."""
        self._world = world
        # None of the methods above ever waits.
        step: Any = self.adapt()
        try:
            while True:
                step.send(None)
        except StopIteration:
            return
