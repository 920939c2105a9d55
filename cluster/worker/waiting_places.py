"""Room for attempts that wait for their children: their threads leave the worker's pool meanwhile."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Final

from cluster.scheduling.dask_internals import leave_thread_pool, return_to_thread_pool

MAX_HAND_BACKS: Final = 5
"""After so many attempts that found no place, the next one waits all the same: those that have the places may wait for
this very task."""


class WaitingPlaces:
    """Counts the attempts of this process that wait.

    Args:
        limit: how many may wait at a time, of each depth: a task waits for deeper ones, which so find places.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._taken: Counter[int] = Counter()

    def leave(self, depth: int, hand_backs: int) -> bool:
        """The calling thread begins to wait; another one takes its place in the pool. Returns False if too many wait
        already.

        Args:
            depth: how many tasks are above the one that waits.
            hand_backs: how many attempts of its run found no place.
        """
        with self._lock:
            if self._taken[depth] >= self._limit and hand_backs < MAX_HAND_BACKS:
                return False
            self._taken[depth] += 1
        leave_thread_pool()
        return True

    def give_up(self, depth: int) -> None:
        """The calling thread waits no more, and ends soon: it does not come back into the pool."""
        with self._lock:
            self._taken[depth] -= 1

    def come_back(self, depth: int) -> None:
        """The calling thread goes on as soon as another one of the pool has ended its task."""
        return_to_thread_pool()
        self.give_up(depth)
