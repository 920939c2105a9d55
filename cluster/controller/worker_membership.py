"""The membership of workers: which ones of the fleet are launching, running or retiring, and which are overdue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

MAX_ABSENCE_SECONDS: Final = 60.0
"""How long a worker that was registered may be missing from the scheduler."""
MAX_REGISTER_FACTOR: Final = 10
"""How many times `register_seconds` workers get at most, after others were overdue or slow."""
REGISTER_MARGIN: Final = 2
"""How many times as long as the slowest of those before a worker may take to register."""
MAX_LAUNCH_SECONDS: Final = 600.0
"""How long a worker may take until it runs."""
SMOOTHING: Final = 0.3
"""Weight of the latest launch in the mean."""


class WorkerMembership:
    """The state of each worker of the fleet: launching, running or retiring, and since when. Times are in seconds, of
    any clock.

    Args:
        register_seconds: how long a running worker may take to register. A worker whose imports take longer could never
            serve, so each one that is overdue doubles the time for the next ones, and so does one that was slow, up to
            MAX_REGISTER_FACTOR times.
        learnt_seconds: how long an earlier controller gave them; 0 if that is not known.
    """

    def __init__(self, register_seconds: float = 120.0, learnt_seconds: float = 0.0) -> None:
        self.problem = ""
        """What went wrong with the last workers; empty once one has registered."""
        self._longest_seconds = MAX_REGISTER_FACTOR * register_seconds
        self.register_seconds = min(self._longest_seconds, max(register_seconds, learnt_seconds))
        """How long a running worker may take to register now."""
        self.retiring: set[str] = set()
        self.launch_seconds: float | None = None
        """Running mean of recent launch times, from the first sight of a worker to its registration."""
        self._members: set[str] = set()
        self._seen_at: dict[str, float] = {}
        self._unregistered_since: dict[str, float] = {}
        self._launched_at: dict[str, float] = {}
        self._running: Mapping[str, bool] = {}
        self._reconciled = False
        self._has_registered: set[str] = set()

    @property
    def staying(self) -> set[str]:
        """Workers that are not retiring."""
        return self._members - self.retiring

    @property
    def launching(self) -> set[str]:
        """Workers that have not registered yet."""
        return self.staying & self._unregistered_since.keys()

    def age(self, name: str, now: float) -> float:
        """How long ago a worker was first seen; infinite if it was there before this object."""
        return now - self._seen_at.get(name, -math.inf)

    def reconcile(self, members: Mapping[str, bool], registered: set[str], now: float) -> None:
        """Updates the membership.

        Args:
            members: the workers of the fleet, and whether each runs yet.
            registered: the workers that the scheduler knows.
        """
        self._members = set(members)
        self._has_registered = (self._has_registered | registered) & self._members
        self.retiring &= self._members
        for times in (self._launched_at, self._seen_at):
            for name in times.keys() - self._members:
                del times[name]
        for name in members:
            if name in registered:
                if name in self._unregistered_since:
                    self.problem = ""
                    if self._running[name]:
                        self._allow(REGISTER_MARGIN * (now - self._unregistered_since[name]))
                if (launched_at := self._launched_at.pop(name, None)) is not None:
                    mean = now - launched_at if self.launch_seconds is None else self.launch_seconds
                    self.launch_seconds = mean + SMOOTHING * (now - launched_at - mean)
            elif self._reconciled and name not in self._running:
                # It is not known when the workers of the first call were launched.
                self._launched_at[name] = self._seen_at[name] = now
        # The time limits for launching and for registering each start anew.
        self._unregistered_since = {
            name: self._unregistered_since[name]
            if name in self._unregistered_since and self._running.get(name) == running
            else now
            for name, running in members.items()
            if name not in registered
        }
        self._running, self._reconciled = dict(members), True

    def _allow(self, seconds: float) -> None:
        """Gives workers at least so long to register from now on."""
        self.register_seconds = min(self._longest_seconds, max(self.register_seconds, seconds))

    def unregistered(self, now: float) -> set[str]:
        """Workers that should have registered by now."""
        return {name for name, since in self._unregistered_since.items() if now - since > self._limit(name)}

    def _limit(self, name: str) -> float:
        if not self._running[name]:
            return MAX_LAUNCH_SECONDS
        if name not in self._has_registered:
            return self.register_seconds
        # Its nanny may have started a new process, which makes its worker states again.
        return max(MAX_ABSENCE_SECONDS, min(self.register_seconds, 2 * (self.launch_seconds or 0.0)))

    def forget(self, names: set[str]) -> None:
        """Removes workers that were overdue."""
        names = names & self._members
        if any(self._running[name] and name not in self._has_registered for name in names):
            waited = self.register_seconds
            self._allow(2 * waited)
            self.problem = (
                f"Workers started and did not connect to the scheduler within {waited:g} s. Check that they can reach "
                "it. If their task modules take longer to import, or their worker states to be made, raise "
                f"DASK_GRAPHQL_WORKER_START_SECONDS. The next ones get {self.register_seconds:g} s."
            )
        elif any(not self._running[name] for name in names):
            self.problem = (
                f"The platform accepted workers and did not start them within {MAX_LAUNCH_SECONDS / 60:g} min."
            )
        self._members -= names
        self.retiring -= names
