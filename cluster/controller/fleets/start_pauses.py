"""Pauses after refused starts: of one pool, or of all pools where every start would be refused."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Final

logger = logging.getLogger(__name__)

ALL_POOLS: Final = ""
"""In place of a pool's name: the refusal would meet every pool, as a throttled call."""
BACKOFF_SECONDS: Final = 2.0
MAX_BACKOFF_SECONDS: Final = 120.0
"""Pause after a refused start; doubled each time."""
PROBLEM_SECONDS: Final = 60.0
"""How long a problem with starts is reported after its pause, if nothing else has to be started."""


@dataclass(slots=True)
class _Pause:
    """The pause of one pool: how long the next one is, and when this one ends. Times are of the caller's clock."""

    next_seconds: float = BACKOFF_SECONDS
    until: float = -math.inf


class StartPauses:
    """The pauses of each pool, and the problems that made them. `now` is in seconds, of any clock."""

    def __init__(self) -> None:
        self._pauses: dict[str, _Pause] = {}
        self._problems: dict[str, tuple[str, float]] = {}
        """Cause -> the problem in words, and until when it is reported."""

    def begin(self, pool: str, problem: str, now: float) -> None:
        """Begins a pause of a pool, or of ALL_POOLS, twice as long as the one before."""
        pause = self._pauses.setdefault(pool, _Pause())
        pause.until = now + pause.next_seconds
        self.report(pool, problem, pause.until + PROBLEM_SECONDS)
        pause.next_seconds = min(MAX_BACKOFF_SECONDS, pause.next_seconds * 2)

    def is_paused(self, pool: str, now: float) -> bool:
        """Whether starts of a pool are paused now."""
        pauses = (self._pauses.get(pool), self._pauses.get(ALL_POOLS))
        return any(now < pause.until for pause in pauses if pause)

    def end(self, pool: str) -> None:
        """Workers of a pool are starting: its next pause is short again."""
        for scope in (pool, ALL_POOLS):
            self._pauses.pop(scope, None)
            self._problems.pop(scope, None)

    def report(self, cause: str, problem: str, until: float) -> None:
        """Reports a problem, in place of the one of the same cause."""
        if problem != self._problems.get(cause, ("", 0.0))[0]:
            logger.warning("%s", problem)
        self._problems[cause] = problem, until

    def solve(self, cause: str) -> None:
        """Reports the problem of this cause no longer."""
        self._problems.pop(cause, None)

    def problem(self, now: float) -> str:
        """The problems that are reported now, each a sentence or two; empty if there is none."""
        return " ".join(problem for problem, until in self._problems.values() if now < until)
