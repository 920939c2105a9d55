"""Workers that start: their nanny reports them until their process has registered with Dask, which it does once it has
imported the task modules and made its worker states."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

REPORT_SECONDS: Final = 2.0
"""How often a nanny reports that its worker process starts."""
MAX_SILENCE_SECONDS: Final = 4 * REPORT_SECONDS
"""A worker that starts and is not reported for this long has registered or is gone."""
SHOW_ERROR_SECONDS: Final = 60.0
"""How long the error of a worker that could not start is shown."""
MAX_STARTING: Final = 1_000
"""Workers that are remembered; the oldest are forgotten first."""


@dataclass(slots=True)
class _Starting:
    since: float
    until: float
    error: str = ""


class StartingWorkers:
    """The workers of one scheduler that have not registered yet.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._workers: dict[str, _Starting] = {}

    async def on_report(self, name: str, error: str = "", **_: Any) -> None:
        """A nanny reports that its worker process starts, or why it could not."""
        now = self._clock()
        found = self._workers.setdefault(name, _Starting(now, now))
        found.error = error
        found.until = now + (SHOW_ERROR_SECONDS if error else MAX_SILENCE_SECONDS)
        if len(self._workers) > MAX_STARTING:
            del self._workers[next(iter(self._workers))]

    def on_registered(self, name: str) -> None:
        """A worker process has registered."""
        self._workers.pop(name, None)

    def describe(self, registered: Collection[str] = ()) -> list[dict[str, Any]]:
        """Each worker that starts or could not: its name, since how many seconds, and its error.

        Args:
            registered: names of registered workers: a report of one may have been on its way.
        """
        now = self._clock()
        self._workers = {name: worker for name, worker in self._workers.items() if worker.until > now}
        return [
            {"name": name, "seconds": now - worker.since, "error": worker.error}
            for name, worker in self._workers.items()
            if name not in registered
        ]
