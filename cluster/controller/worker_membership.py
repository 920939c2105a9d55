"""The roll: which workers of the fleet are launching, running or retiring, and which are overdue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

LOST_SECONDS: Final = 60.0
"""How long a worker that had registered may stay away from the scheduler."""
MAX_START_FACTOR: Final = 10
"""How many times `register_seconds` workers get at most, after others were late."""
LAUNCH_SECONDS: Final = 600.0
"""How long a worker may take until it runs."""
SMOOTHING: Final = 0.3
"""What the latest launch weighs in the mean."""


class WorkerMembership:
    """Who of the fleet is where: launching, running or retiring, and since when. Times are in seconds, of any clock.

    Args:
        register_seconds: how long a worker that runs may take until it registers. One that imports for longer would
            never serve, so each that is late doubles it for the next ones, up to MAX_START_FACTOR times.
    """

    def __init__(self, register_seconds: float = 120.0) -> None:
        self.problem = ""
        """What the last workers did wrong; empty once one has registered."""
        self._least = self._register_seconds = register_seconds
        self.retiring: set[str] = set()
        self.launch_seconds: float | None = None
        """How long launches of late took, from the first sight of a worker to its registration: a running mean."""
        self._living: set[str] = set()
        self._since: dict[str, float] = {}
        self._absent: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._running: Mapping[str, bool] = {}
        self._reconciled = False
        self._served: set[str] = set()

    @property
    def staying(self) -> set[str]:
        """Who lives and is not retiring."""
        return self._living - self.retiring

    @property
    def launching(self) -> set[str]:
        """Who has not registered yet."""
        return self.staying & self._absent.keys()

    def age(self, name: str, now: float) -> float:
        """How long ago a worker began; infinite where that was before this roll did."""
        return now - self._since.get(name, -math.inf)

    def reconcile(self, members: Mapping[str, bool], registered: set[str], now: float) -> None:
        """Takes in what the fleet and the scheduler say now."""
        self._living = set(members)
        self._served = (self._served | registered) & self._living
        self.retiring &= self._living
        for gone in (self._begun, self._since):
            for name in gone.keys() - self._living:
                del gone[name]
        for name in members:
            if name in registered:
                if name in self._absent:
                    self.problem = ""
                if (begun := self._begun.pop(name, None)) is not None:
                    mean = now - begun if self.launch_seconds is None else self.launch_seconds
                    self.launch_seconds = mean + SMOOTHING * (now - begun - mean)
            elif self._reconciled and name not in self._running:
                # Those that were there before the first call began at a time that is not known.
                self._begun[name] = self._since[name] = now
        # The time limits of a launching worker and of one that runs are each counted from their own beginning.
        self._absent = {
            name: self._absent[name] if name in self._absent and self._running.get(name) == running else now
            for name, running in members.items()
            if name not in registered
        }
        self._running, self._reconciled = dict(members), True

    def unregistered(self, now: float) -> set[str]:
        """Who should have registered by now."""
        return {name for name, since in self._absent.items() if now - since > self._limit(name)}

    def _limit(self, name: str) -> float:
        if not self._running[name]:
            return LAUNCH_SECONDS
        return LOST_SECONDS if name in self._served else self._register_seconds

    def forget(self, names: set[str]) -> None:
        """They were late, and are no members any more."""
        names = names & self._living
        if any(self._running[name] and name not in self._served for name in names):
            waited = self._register_seconds
            self._register_seconds = min(MAX_START_FACTOR * self._least, 2 * waited)
            self.problem = (
                f"workers did not serve within {waited:g} s: is the scheduler within their reach, or do their task "
                "modules take longer to import (DASK_GRAPHQL_WORKER_START_SECONDS)? "
                f"The next ones get {self._register_seconds:g} s"
            )
        elif any(not self._running[name] for name in names):
            self.problem = f"workers did not begin to run within {LAUNCH_SECONDS:g} s"
        self._living -= names
        self.retiring -= names
