"""Fair order: how long a task is expected to take, and the number by which Dask orders attempts.

Within a priority, attempts run in the order of their turns, which the scripts assign by start-time fair queueing
(docs/designs/0017-fair-shares.md). Dask takes one number as its priority, so both are in it, and there is no second
queue.
"""

from __future__ import annotations

from typing import Final

PRIORITY_STEP: Final = 2.0**46
"""Distance between two priorities, in milliseconds of virtual time: 2,000 years. With priorities up to 100 the number
stays below 2**53, so a float tells turns apart that differ by a millisecond, and of priority 0 by some microseconds."""

UNKNOWN_SECONDS: Final = 0.5
"""What a task of a type counts for that has not been measured yet."""


def step_of(seconds: float | None, weight: float) -> float:
    """How much later the account's next turn is after a task, milliseconds of virtual time.

    Args:
        seconds: what a task of its type takes, as measured; None if unknown.
        weight: of the account.
    """
    return (UNKNOWN_SECONDS if seconds is None else max(seconds, 0.0001)) * 1000 / weight


def dask_priority(priority: int, turn: float | None) -> float:
    """The number that Dask gets for an attempt: higher ones run first.

    Args:
        turn: None for an attempt of an earlier release, which comes first within its priority.
    """
    return priority * PRIORITY_STEP - min(turn or 0.0, PRIORITY_STEP - 1)
