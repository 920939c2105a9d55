"""The interface between the controller and a platform that runs workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

from cluster.controller.scaling_policy import Policy
from cluster.settings.pools import DEFAULT_POOL, Pool


class Fleet(ABC):
    """Starts and stops workers. Every method can be called again after a failure."""

    @abstractmethod
    async def list_workers(self) -> Mapping[str, bool]:
        """The workers that run or are being launched, by the name under which they register, and whether each runs yet.

        Raises:
            FleetUnavailable: the platform cannot list them now.
        """

    def pool_of(self, name: str) -> str:
        """The pool of a worker that `list_workers` has returned."""
        return DEFAULT_POOL

    @abstractmethod
    async def start(self, count: int, pool: str = DEFAULT_POOL) -> int:
        """Launches workers of a pool. Returns how many are really being launched, which may be fewer."""

    @abstractmethod
    async def stop(self, names: Collection[str]) -> None:
        """Stops retired workers."""

    @abstractmethod
    async def close(self) -> None:
        """Stops what must not outlive the controller."""

    @abstractmethod
    def policy(self, pool: Pool) -> Policy:
        """The scaling policy for a pool on this platform."""

    async def on_leadership_acquired(self) -> None:  # noqa: B027 - most platforms have nothing to do
        """Called when this controller becomes the leader: reads what earlier controllers launched.

        Raises:
            FleetUnavailable: that cannot be read now.
        """

    async def on_leadership_lost(self) -> None:  # noqa: B027 - on most platforms, the workers pass to the new leader
        """Called when another controller is the leader: stops workers that only this controller can stop."""

    @property
    def cost_per_hour(self) -> float | None:
        """Current cost of the workers in US dollars per hour; None if they cost nothing or it is not known."""
        return None

    def worker_cost_per_hour(self, pool: Pool) -> float | None:
        """What one more worker of a pool costs per hour at most, in US dollars; None if it is not known."""
        return None

    @property
    def outdated(self) -> frozenset[str]:
        """Workers of `list_workers` that run an older revision than new ones would."""
        return frozenset()

    @property
    def leaving(self) -> Mapping[str, bool]:
        """Workers of `list_workers` whose machine is about to be taken away, and whether that may be within minutes."""
        return {}

    def cost_of(self, pool: str) -> float | None:
        """The part of `cost_per_hour` that a pool's workers have."""
        return None

    @property
    def problem(self) -> str:
        """Why workers cannot be started now, for people; empty if they can."""
        return ""


class FleetUnavailable(Exception):
    """The workers that run cannot be known now: the platform, or the journal of launches, does not answer."""
