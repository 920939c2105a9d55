"""The demand for each fleet size, and for how long a size is kept after its last demand. Pure: no I/O.

Stopping a worker and starting another later costs a launch, and on Fargate a minute at least. Keeping it costs the time
until it is needed again. Which of both is less is taken from the latest gaps in the demand for the same size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

MIN_GAP_SECONDS: Final = 5.0
"""A shorter gap in demand does not count as one."""
GAPS: Final = 8
"""How many gaps of a size are remembered: enough for a mean, few enough to follow a change within minutes."""
GAP_MARGIN: Final = 1.2
"""How much longer a size is kept than a gap that it shall outlast, as gaps are seldom of the same length."""


class SizeDemand(NamedTuple):
    """The demand for one fleet size.

    Attributes:
        needed_at: when it was last needed, in seconds.
        gaps: the latest gaps in its demand, in seconds.
        kept_seconds: how long it is kept without demand.
    """

    needed_at: float
    gaps: tuple[float, ...] = ()
    kept_seconds: float = 0.0

    def needed(self, restart_seconds: float, now: float) -> SizeDemand:
        """The same if it is needed now."""
        gap_seconds = now - self.needed_at
        if gap_seconds <= MIN_GAP_SECONDS:
            return SizeDemand(now, self.gaps, self.kept_seconds)
        gaps = (*self.gaps, gap_seconds)[-GAPS:]
        return SizeDemand(now, gaps, GAP_MARGIN * cheapest_retention(gaps, restart_seconds))


def cheapest_retention(gaps: Sequence[float], restart_seconds: float) -> float:
    """How long a size should have been kept in each of these gaps. One that it outlasts costs its length; one that is
    longer costs the retention and a restart."""

    def cost(kept: float) -> float:
        return sum(gap if gap <= kept else kept + restart_seconds for gap in gaps)

    return min((0.0, *gaps), key=cost)


@dataclass(frozen=True, slots=True)
class DemandHistory:
    """The demand for each fleet size; that for one worker is at index 0."""

    sizes: tuple[SizeDemand, ...] = ()

    def updated(self, demand: int, restart_seconds: float, now: float) -> DemandHistory:
        """The history with the demand of this moment."""
        past = self.sizes + (SizeDemand(now),) * (demand - len(self.sizes))
        return DemandHistory((*(size.needed(restart_seconds, now) for size in past[:demand]), *past[demand:]))

    def retained(self, delay_seconds: float, now: float) -> int:
        """The largest fleet size that is kept for demand to come."""
        for n in range(len(self.sizes), 0, -1):
            size = self.sizes[n - 1]
            if now - size.needed_at <= max(delay_seconds, size.kept_seconds):
                return n
        return 0
