"""What nannies report of their workers, again and again, until it ceases to hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Report(Generic[T]):
    content: T
    since: float
    until: float


class WorkerReports(Generic[T]):
    """The latest report of each worker, for as long as it holds.

    Args:
        limit: workers that are remembered; the oldest are forgotten first.
        clock: monotonic, in seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._reports: dict[str, _Report[T]] = {}

    def add(self, worker: str, content: T, seconds: float) -> None:
        """Takes a report, which holds for so many seconds."""
        now = self._clock()
        since = self._reports[worker].since if worker in self._reports else now
        self._reports[worker] = _Report(content, since, now + seconds)
        if len(self._reports) > self._limit:
            del self._reports[next(iter(self._reports))]

    def remove(self, worker: str) -> None:
        """Forgets a worker; has no effect if it is unknown."""
        self._reports.pop(worker, None)

    def current(self) -> list[tuple[str, float, T]]:
        """Each worker whose report holds: its name, since how many seconds it is reported, and the latest report."""
        now = self._clock()
        self._reports = {worker: report for worker, report in self._reports.items() if report.until > now}
        return [(worker, now - report.since, report.content) for worker, report in self._reports.items()]
