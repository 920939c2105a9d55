"""Workers of another release that end what they run: their nannies report them to the scheduler that replaced theirs.

They are no workers of this scheduler, which sends them nothing. It only knows which attempts they still have, so that
nobody dispatches those again, and tells the controller that they are not idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from cluster.scheduling.attempt_keys import AttemptId
from cluster.scheduling.worker_reports import WorkerReports

FINISHING_REPORT_SECONDS: Final = 1.0
"""How often a nanny reports what its worker process still runs."""
MAX_SILENCE_SECONDS: Final = 15.0
"""A worker that is not reported for this long has ended, or is lost."""
MAX_FINISHING: Final = 10_000
"""Workers that are remembered; the oldest are forgotten first."""


class FinishingWorkers:
    """The workers of earlier schedulers that still run attempts.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._attempts = WorkerReports[frozenset[AttemptId]](MAX_FINISHING, clock)

    async def on_report(self, name: str, attempts: Sequence[Sequence[Any]], **_: Any) -> None:
        """A nanny reports the attempts that its worker process still runs: task id and number of each."""
        if attempts:
            running = frozenset((str(task_id), int(number)) for task_id, number in attempts)
            self._attempts.add(name, running, MAX_SILENCE_SECONDS)
        else:
            self._attempts.remove(name)

    def held(self) -> set[AttemptId]:
        """The attempts that they run."""
        return {attempt for _, _, attempts in self._attempts.current() for attempt in attempts}

    def describe(self) -> list[dict[str, Any]]:
        """Each of them: its name, how many attempts it runs, and since how many seconds it gets no more."""
        return [
            {"name": name, "processing": len(attempts), "seconds": seconds}
            for name, seconds, attempts in self._attempts.current()
        ]
