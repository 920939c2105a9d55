"""What the controller asks of a fleet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection


class Fleet(ABC):
    """Starts and stops workers by name. Every method may be called again after a failure."""

    @abstractmethod
    async def living(self) -> set[str]:
        """The names of the workers that run or are being launched."""

    @abstractmethod
    async def start(self, names: Collection[str]) -> None:
        """Launches workers; returns when they are on their way, not when they serve."""

    @abstractmethod
    async def stop(self, names: Collection[str]) -> None:
        """Stops workers that were retired."""

    @abstractmethod
    async def close(self) -> None:
        """Ends what must not outlive the controller."""
