"""What the workers of an ECS cluster cost: on Fargate by its prices, on machines by the price of their pool."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from cluster.controller.fargate_prices import FargatePrices, fargate_prices, known_regions
from cluster.errors import SettingError
from cluster.settings import Settings, variable_of
from cluster.settings.pools import DEFAULT_POOL, Pool
from cluster.system.ecs_metadata import aws_region

if TYPE_CHECKING:
    from cluster.controller.fleets.ecs_cluster import WorkerTask

logger = logging.getLogger(__name__)


class WorkerCosts:
    """Costs in US dollars per hour; None where nobody knows a price.

    Raises:
        SettingError: there is a ceiling in dollars, and nobody knows the prices of Fargate.
    """

    def __init__(self, settings: Settings) -> None:
        self._pools = settings.all_pools
        on_fargate = any(pool.on_fargate for pool in self._pools.values())
        self._prices = _prices(settings) if on_fargate else None
        self._shapes: dict[str, tuple[float, float, bool]] = {}

    def of_all(self, workers: Collection[WorkerTask]) -> float | None:
        """What all workers cost now."""
        costs = {pool: self.of_pool(pool, workers) for pool in self._pools}
        if any(costs[self._declared_pool(worker)] is None for worker in workers):
            # A sum without those of a pool that nobody knows the price of would be mistaken for the whole.
            return None
        known = [cost for cost in costs.values() if cost is not None]
        return sum(known) if known else None

    def of_pool(self, pool: str, workers: Collection[WorkerTask]) -> float | None:
        """What those of the workers cost now that are of a pool."""
        declared, total = self._pools[pool], 0.0
        own = [worker for worker in workers if self._declared_pool(worker) == pool]
        if not declared.on_fargate:
            # One that waits for a machine costs nothing yet.
            placed = sum(bool(worker.machine) for worker in own)
            return declared.price_per_hour * placed if declared.price_per_hour else None
        if self._prices is None or any(worker.machine for worker in own):
            return None
        expected = self._shape_of(declared, workers)
        for worker in own:
            # One that ECS does not describe yet is as its pool says.
            if shape := (*worker.size, worker.arm64) if worker.size else expected:
                vcpus, gib, arm64 = shape
                total += self._prices.worker_hour(vcpus, gib, arm64=arm64, spot=worker.spot)
        return total

    def of_one_more(self, pool: Pool, workers: Collection[WorkerTask]) -> float | None:
        """What one more worker of a pool costs at most."""
        if not pool.on_fargate:
            return pool.price_per_hour or None
        shape = self._shape_of(pool, workers)
        if self._prices is None or shape is None:
            return None
        vcpus, gib, arm64 = shape
        # Where Spot has no capacity, it is on demand.
        return self._prices.worker_hour(vcpus, gib, arm64=arm64)

    def _declared_pool(self, worker: WorkerTask) -> str:
        """The pool of a worker; `default`, where it is managed, if its own is not declared any more."""
        return worker.pool if worker.pool in self._pools else DEFAULT_POOL

    def _shape_of(self, pool: Pool, workers: Collection[WorkerTask]) -> tuple[float, float, bool] | None:
        """vCPUs, GiB and whether it is ARM64, of a worker of a pool: as declared, or else as of the worker that was
        started last; None before the first."""
        if pool.cpu and pool.memory_gib:
            return pool.cpu, pool.memory_gib, pool.capacity == "fargate_arm64"
        own = [worker for worker in workers if worker.pool == pool.name]
        known = [(*worker.size, worker.arm64) for worker in own if worker.size is not None]
        if known:
            self._shapes[pool.name] = known[-1]
        return self._shapes.get(pool.name)


def _prices(settings: Settings) -> FargatePrices | None:
    """The prices; None, with a warning, where nobody knows them.

    Raises:
        SettingError: there is a ceiling in dollars, and nobody knows the prices.
    """
    region = aws_region()
    prices = fargate_prices(settings, region)
    if prices is None:
        place = region or "the region, as AWS_REGION is not set"
        if settings.max_cost_per_hour or settings.max_cost_per_day:
            expected = (
                f"a price, and ECS_GB_HOUR_PRICE too: none is known of {place}, only of {', '.join(known_regions())}"
            )
            raise SettingError(variable_of("ecs_vcpu_hour_price"), None, expected)
        logger.warning(
            "costPerHour is null, as no price of Fargate is known of %s: set ECS_VCPU_HOUR_PRICE and ECS_GB_HOUR_PRICE",
            place,
        )
    return prices
