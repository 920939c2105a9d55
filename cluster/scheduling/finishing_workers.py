"""Workers of another release that end what they run: their nannies report them to the scheduler that replaced theirs.

They are no workers of this scheduler, which sends them nothing. It only knows which attempts they still have, so that
nobody dispatches those again, and tells the controller that they are not idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cluster.scheduling.attempt_keys import AttemptId

FINISHING_REPORT_SECONDS: Final = 1.0
"""How often a nanny reports what its worker process still runs."""
MAX_SILENCE_SECONDS: Final = 15.0
"""A worker that is not reported for this long has ended, or is lost."""
MAX_FINISHING: Final = 10_000
"""Workers that are remembered; the oldest are forgotten first."""


@dataclass(slots=True)
class _Finishing:
    since: float
    until: float
    attempts: frozenset[AttemptId]


class FinishingWorkers:
    """The workers of earlier schedulers that still run attempts.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._workers: dict[str, _Finishing] = {}

    async def on_report(self, name: str, attempts: Sequence[Sequence[Any]], **_: Any) -> None:
        """A nanny reports the attempts that its worker process still runs: task id and number of each."""
        now = self._clock()
        found = self._workers.setdefault(name, _Finishing(now, now, frozenset()))
        found.attempts = frozenset((str(task_id), int(number)) for task_id, number in attempts)
        found.until = now + MAX_SILENCE_SECONDS
        if not attempts:
            del self._workers[name]
        if len(self._workers) > MAX_FINISHING:
            del self._workers[next(iter(self._workers))]

    def held(self) -> set[AttemptId]:
        """The attempts that they run."""
        return {attempt for worker in self._current() for attempt in self._workers[worker].attempts}

    def describe(self) -> list[dict[str, Any]]:
        """Each of them: its name, how many attempts it runs, and since how many seconds it gets no more."""
        now = self._clock()
        return [
            {"name": name, "processing": len(worker.attempts), "seconds": now - worker.since}
            for name in self._current()
            for worker in (self._workers[name],)
        ]

    def _current(self) -> list[str]:
        now = self._clock()
        self._workers = {name: worker for name, worker in self._workers.items() if worker.until > now}
        return list(self._workers)
