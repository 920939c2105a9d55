"""How tasks are timed from Python, of whichever system: this module imports nothing of it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Run: TypeAlias = Callable[[int], Awaitable[object]]
"""Submits the task of a number and returns with its result."""
IN_FLIGHT = 64


class Numbers:
    """Fibonacci numbers whose computation costs nothing, so that the way of a task is measured, in ranges of new ones.

    They come again after the last one: whoever keeps results by number deletes them before.
    """

    def __init__(self, first: int = 100, after_last: int = 20_100) -> None:
        self._first, self._after_last = first, after_last
        self._next = first

    def take(self, count: int) -> range:
        """The next `count` numbers in a row."""
        if self._next + count > self._after_last:
            self._next = self._first
        self._next += count
        return range(self._next - count, self._next)

    def one(self) -> int:
        return self.take(1)[0]


async def lone_ms(run: Run, numbers: range) -> float:
    """One task at a time: median time from submission to result, in milliseconds."""
    spans = []
    for n in numbers:
        begun = time.perf_counter()
        await run(n)
        spans.append(time.perf_counter() - begun)
    return statistics.median(spans) * 1000


async def per_second(run: Run, numbers: range, in_flight: int = IN_FLIGHT) -> float:
    """Tasks with `in_flight` of them under way at any time, in tasks per second."""
    left = iter(numbers)

    async def one_after_the_other() -> None:
        for n in left:
            await run(n)

    begun = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    return len(numbers) / (time.perf_counter() - begun)
