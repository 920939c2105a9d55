"""What the controller asks of a fleet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

from cluster.controller.scaling_policy import Policy


class Fleet(ABC):
    """Starts and stops workers. Every method may be called again after a failure."""

    @abstractmethod
    async def living(self) -> Mapping[str, bool]:
        """The workers that run or are being launched, by the name under which they register: whether each runs yet.

        Raises:
            FleetUnavailable: it is not known now.
        """

    @abstractmethod
    async def start(self, count: int) -> int:
        """Launches workers; answers how many are on their way now, which may be fewer."""

    @abstractmethod
    async def stop(self, names: Collection[str]) -> None:
        """Stops workers that were retired."""

    @abstractmethod
    async def close(self) -> None:
        """Ends what must not outlive the controller."""

    @abstractmethod
    def policy(self) -> Policy:
        """What the plan must know of this platform."""

    async def take_over(self) -> None:  # noqa: B027 - most have nothing to learn
        """Called when this controller begins to act: what an earlier one began is known from here on.

        Raises:
            FleetUnavailable: it cannot be known now.
        """

    async def stand_down(self) -> None:  # noqa: B027 - most platforms' workers belong to whoever acts
        """Called when another controller has taken over: what only this one can stop, it stops."""

    @property
    def cost_per_hour(self) -> float | None:
        """What the workers cost now, in US dollars an hour; None where they cost nothing, or it is not known."""
        return None

    @property
    def problem(self) -> str:
        """What keeps workers from being started now, in words; empty where nothing does."""
        return ""


class FleetUnavailable(Exception):
    """The platform does not tell which workers live."""
