"""Since when each worker has been registered, and how many attempts it has ended since. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Tally:
    since: float
    finished: int = 0


class WorkerTallies:
    """The workers that are registered with one scheduler, by address.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tallies: dict[str, _Tally] = {}

    def add_worker(self, address: str) -> None:
        """A worker process has registered."""
        self._tallies[address] = _Tally(self._clock())

    def remove_worker(self, address: str) -> None:
        """A worker process has left."""
        self._tallies.pop(address, None)

    def add_ended(self, address: object, attempts: int) -> None:
        """Attempts have ended on a worker, with or without a result. Has no effect if it has left."""
        if isinstance(address, str) and address in self._tallies:
            self._tallies[address].finished += attempts

    def describe(self, address: str) -> dict[str, Any]:
        """`since`, in seconds since 1970, and `finished`; empty if the worker has left."""
        tally = self._tallies.get(address)
        return {} if tally is None else {"since": tally.since, "finished": tally.finished}
