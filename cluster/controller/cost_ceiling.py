"""The ceiling in dollars: how many workers it allows. Pure: from prices and what was spent to a number.

The ceiling binds what is started, what stays idle and what gets further tasks. No task is interrupted for it, so a day
may cost more than its ceiling by what the tasks that run when it is reached need to end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

RESERVED_SECONDS: Final = 120.0
"""Of a day's ceiling, what a worker costs in this time is left for each one: Fargate bills a minute at least, and costs
are added up every ten seconds."""


class Affordable(NamedTuple):
    """How many workers a ceiling allows, and which ceiling that is, in words."""

    workers: int
    ceiling: str


@dataclass(frozen=True, slots=True)
class Costs:
    """What the workers cost, in US dollars.

    Attributes:
        per_hour: all of them now.
        worker_per_hour: one more of them at most; None before the first one has shown its size.
        today: since midnight UTC.
    """

    per_hour: float
    worker_per_hour: float | None
    today: float


@dataclass(frozen=True, slots=True)
class CostCeiling:
    """The ceilings of the settings, in US dollars; 0 for none."""

    per_hour: float = 0.0
    per_day: float = 0.0

    def allows(self, costs: Costs, workers: int, leaving: int = 0) -> Affordable | None:
        """How many workers there may be beside those that leave; None if there is no ceiling.

        Args:
            workers: those that run or start now, and stay.
            leaving: those that cost until their tasks have ended. What they cost is not there for further workers, and
                no other one has to leave for it.
        """
        allowed = []
        if self.per_hour:
            left = self.per_hour - costs.per_hour
            allowed.append(
                Affordable(
                    _count(workers, leaving, left, costs.worker_per_hour),
                    f"the ceiling of ${self.per_hour:.2f} an hour",
                )
            )
        if self.per_day:
            reserved = costs.worker_per_hour and costs.worker_per_hour * RESERVED_SECONDS / 3600
            left = self.per_day - costs.today - (reserved or 0.0) * (workers + leaving)
            allowed.append(
                Affordable(_count(workers, leaving, left, reserved), f"today's ceiling of ${self.per_day:.2f}")
            )
        return min(allowed, key=lambda each: each.workers, default=None)


def _count(workers: int, leaving: int, left: float, price: float | None) -> int:
    """How many workers there may be if so much is left for more of them, or is overspent by them."""
    if not price:
        # The first worker shows what one costs.
        return max(workers, 1) if left > 0 else 0
    # A sum that is exactly enough is enough, whatever floating point makes of it.
    more = math.floor(left / price + 1e-9)
    return max(0, workers + (more if more >= 0 else min(0, more + leaving)))
