"""The roll: which workers of the fleet are launching, running or retiring, and which are overdue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REGISTER_SECONDS: Final = 60.0
"""How long a worker that runs may stay away from the scheduler."""
LAUNCH_SECONDS: Final = 600.0
"""How long a worker may take until it runs."""
NEWS: Final = 0.3
"""What the latest launch weighs in the mean."""


class Roll:
    """Who of the fleet is where: launching, running or retiring, and since when. Times are in seconds, of any clock."""

    def __init__(self) -> None:
        self.retiring: set[str] = set()
        self.launch_seconds: float | None = None
        """How long launches of late took, from the first sight of a worker to its registration: a running mean."""
        self._living: set[str] = set()
        self._absent: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._running: Mapping[str, bool] = {}
        self._called = False

    @property
    def staying(self) -> set[str]:
        """Who lives and is not retiring."""
        return self._living - self.retiring

    @property
    def launching(self) -> set[str]:
        """Who has not registered yet."""
        return self.staying & self._absent.keys()

    def call(self, members: Mapping[str, bool], registered: set[str], now: float) -> None:
        """Takes in what the fleet and the scheduler say now."""
        self._living = set(members)
        self.retiring &= self._living
        for name in self._begun.keys() - self._living:
            del self._begun[name]
        for name in members:
            if name in registered:
                if (begun := self._begun.pop(name, None)) is not None:
                    mean = now - begun if self.launch_seconds is None else self.launch_seconds
                    self.launch_seconds = mean + NEWS * (now - begun - mean)
            elif self._called and name not in self._running:
                # Those that were there before the first call began at a time that is not known.
                self._begun[name] = now
        # The time limits of a launching worker and of one that runs are each counted from their own beginning.
        self._absent = {
            name: self._absent[name] if name in self._absent and self._running.get(name) == running else now
            for name, running in members.items()
            if name not in registered
        }
        self._running, self._called = dict(members), True

    def late(self, now: float) -> set[str]:
        """Who should have registered by now."""
        return {
            name
            for name, since in self._absent.items()
            if now - since > (REGISTER_SECONDS if self._running[name] else LAUNCH_SECONDS)
        }

    def dismiss(self, names: set[str]) -> None:
        """They are no members any more."""
        self._living -= names
        self.retiring -= names
