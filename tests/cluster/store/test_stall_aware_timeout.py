"""Timeouts in a process that sometimes stands still, with an injected clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cluster.store.stall_aware_timeout import StallAwareTimeout


class Clock(asyncio.SelectorEventLoop):
    """A loop that is never run: its time is set by hand, and the one timer that is due fires at most `stall` late."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.due: tuple[float, Callable[..., object]] | None = None

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: object, **_: object) -> asyncio.TimerHandle:
        self.due = when, callback
        return asyncio.TimerHandle(when, callback, args, self)


def expiry_seconds(seconds: float, stalls: list[float]) -> float:
    """Returns when a timeout of `seconds` expires in a loop whose timers fire late by each of `stalls`, then by the
    last."""
    loop = Clock()
    expired: list[float] = []
    StallAwareTimeout(loop, seconds, lambda: expired.append(loop.now - 100.0))
    try:
        for turn in range(100):
            assert loop.due is not None
            when, fire = loop.due
            loop.now = when + stalls[min(turn, len(stalls) - 1)]
            fire()
            if expired:
                return expired[0]
    finally:
        loop.close()
    raise AssertionError("the timeout never expired")


def test_without_stalls_the_timeout_expires_on_time() -> None:
    assert expiry_seconds(0.5, [0.0]) == 0.5


def test_a_stall_extends_the_timeout_by_its_length() -> None:
    assert round(expiry_seconds(0.5, [0.3, 0.0]), 6) == 1.1
    # However long the stall was: Redis's reply is read within the limit after it.
    assert round(expiry_seconds(0.5, [60.0, 0.0]), 6) == 61.0


def test_a_loop_that_stalls_repeatedly_still_times_out() -> None:
    # The timeout, an extension of the same length, and the stalls themselves.
    assert expiry_seconds(0.5, [0.25]) <= 2 * 0.5 + 3 * 0.25
