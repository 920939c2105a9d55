"""Room for attempts that wait for their children: their threads leave the worker's pool meanwhile."""

from __future__ import annotations

from threading import Lock

from cluster.scheduling.dask_internals import leave_thread_pool, return_to_thread_pool


class WaitingPlaces:
    """Counts the attempts of this process that wait.

    Args:
        limit: how many may wait at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._taken = 0

    def leave(self) -> bool:
        """The calling thread begins to wait; another one takes its place in the pool. Returns False if too many wait
        already."""
        with self._lock:
            if self._taken >= self._limit:
                return False
            self._taken += 1
        leave_thread_pool()
        return True

    def give_up(self) -> None:
        """The calling thread waits no more, and ends soon: it does not come back into the pool."""
        with self._lock:
            self._taken -= 1

    def come_back(self) -> None:
        """The calling thread goes on as soon as another one of the pool has ended its task."""
        return_to_thread_pool()
        self.give_up()
