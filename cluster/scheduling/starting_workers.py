"""Workers that start: their nanny reports them until their process has registered with Dask, which it does once it has
imported the task modules and made its worker states."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Final

from cluster.scheduling.worker_reports import WorkerReports

REPORT_SECONDS: Final = 2.0
"""How often a nanny reports that its worker process starts."""
MAX_SILENCE_SECONDS: Final = 4 * REPORT_SECONDS
"""A worker that starts and is not reported for this long has registered or is gone."""
SHOW_ERROR_SECONDS: Final = 60.0
"""How long the error of a worker that could not start is shown."""
MAX_STARTING: Final = 1_000
"""Workers that are remembered; the oldest are forgotten first."""


class StartingWorkers:
    """The workers of one scheduler that have not registered yet.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._errors = WorkerReports[str](MAX_STARTING, clock)

    async def on_report(self, name: str, error: str = "", **_: Any) -> None:
        """A nanny reports that its worker process starts, or why it could not."""
        self._errors.add(name, error, SHOW_ERROR_SECONDS if error else MAX_SILENCE_SECONDS)

    def on_registered(self, name: str) -> None:
        """A worker process has registered."""
        self._errors.remove(name)

    def describe(self, registered: Collection[str] = ()) -> list[dict[str, Any]]:
        """Each worker that starts or could not: its name, since how many seconds, and its error.

        Args:
            registered: names of registered workers: a report of one may have been on its way.
        """
        return [
            {"name": name, "seconds": seconds, "error": error}
            for name, seconds, error in self._errors.current()
            if name not in registered
        ]
