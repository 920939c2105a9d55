"""What the time of a worker costs, as the controller publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cluster.api_node.schedulers import Schedulers
from cluster.api_node.shared_reads import SharedReads
from cluster.store.async_store import Store

MAX_AGE_SECONDS: Final = 5.0
"""How long what was read is used."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What one more worker of each pool costs per hour at most, in US dollars.

    Attributes:
        threads: of a worker, which share its price.
        worker_hour: by pool; without those whose price is not known.
    """

    threads: int
    worker_hour: Mapping[str, float] = field(default_factory=dict)

    def dollars(self, pool: str, seconds: float) -> float | None:
        """What a thread of a worker of a pool costs for so long; None if that is not known."""
        price = self.worker_hour.get(pool)
        return None if price is None else price * seconds / 3600 / self.threads

    def basis(self, pool: str) -> str:
        """The price that `dollars` uses, in words."""
        price = self.worker_hour.get(pool)
        if price is None:
            return "the price of a worker is not known"
        shared = f", shared by {self.threads} tasks" if self.threads > 1 else ""
        return f"a worker costs ${price:.4g} an hour on demand{shared}"

    @classmethod
    def of(cls, fleet: Mapping[str, Any] | None, threads: int) -> Prices:
        """The prices in the controller's payload."""
        pools = (fleet or {}).get("pools", ())
        known = {pool["name"]: pool["worker_cost_per_hour"] for pool in pools if pool.get("worker_cost_per_hour")}
        return cls(threads, known)


class PriceReader:
    """The prices, as one api node reads them for all its callers."""

    def __init__(self, store: Store, schedulers: Schedulers, threads: int) -> None:
        self._store = store
        self._schedulers = schedulers
        self._threads = threads
        self._reads: SharedReads[None, Prices] = SharedReads(MAX_AGE_SECONDS, 1)

    async def read(self) -> Prices:
        """The prices now.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return await self._reads.get(None, self._read)

    async def _read(self) -> Prices:
        return Prices.of(await self._schedulers.fleet(self._store), self._threads)
