"""What time it is at Redis, as a node can know it without asking."""

from __future__ import annotations

import math
from typing import Final

DRIFT: Final = 0.0005
"""How fast two clocks may part, as a share of the time that passes: what NTP corrects at the most."""
STEP_MILLISECONDS: Final = 1_000.0
"""Clocks that part by more have not drifted: one was set, or another server answers."""


class RedisClock:
    """The latest time that it may be at Redis, learned from answers that tell its time.

    Such an answer tells a time that was not before its request was sent, so the shortest way there shows most.
    """

    def __init__(self) -> None:
        self._ahead = math.inf
        self._learned_at = 0.0

    def observe(self, asked_at: float, told: int) -> None:
        """An answer came.

        Args:
            asked_at: when its request was sent, by `time.monotonic`.
            told: the time that it tells, milliseconds since 1970.
        """
        # The millisecond that was told may have been nearly over.
        latest = told + 1
        known = self.latest(asked_at)
        if latest <= known or latest > known + STEP_MILLISECONDS:
            self._ahead, self._learned_at = latest - asked_at * 1000, asked_at

    def latest(self, now: float) -> float:
        """The latest time that it may be there at a moment of `time.monotonic`, milliseconds since 1970; infinity where
        nothing is known."""
        return self._ahead + now * 1000 + DRIFT * 1000 * max(0.0, now - self._learned_at)
