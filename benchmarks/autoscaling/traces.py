"""The traces that the policy was tuned on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from functools import cache

from benchmarks.autoscaling.simulation import Trace
from benchmarks.autoscaling.world import Task


def poisson(
    source: random.Random,
    per_second: float,
    seconds: float,
    length: Callable[[], float],
    share: Callable[[float], float] = lambda at: 1.0,
    kind: str = "short",
) -> Iterator[Task]:
    """Tasks at random times. `share` is that of the rate at a time, from 0 to 1."""
    at = 0.0
    while (at := at + source.expovariate(per_second)) < seconds:
        if source.random() < share(at):
            yield Task(at, kind, length())


def in_order(*parts: Iterator[Task]) -> list[Task]:
    """The tasks of all parts in the order of their times."""
    return sorted((task for part in parts for task in part), key=lambda task: task.at)


def burst(source: random.Random, at: float, count: int, shortest: float, longest: float) -> Iterator[Task]:
    """So many tasks at once, of so many seconds."""
    return (Task(at, "short", source.uniform(shortest, longest)) for _ in range(count))


def _clumps(source: random.Random) -> Iterator[Task]:
    for clump in range(24):
        yield from burst(source, 150.0 * clump + source.uniform(0, 60), 200, 0.1, 0.5)


def _bursts(source: random.Random) -> Iterator[Task]:
    for number in range(6):
        yield from burst(source, 600.0 * number + source.uniform(0, 120), 400, 1, 5)


@cache
def tuned_traces() -> dict[str, Trace]:
    """The traces by name."""
    source = random.Random(7)
    steady = list(poisson(source, 5.0, 3_600, lambda: source.uniform(0.5, 3.5)))
    day = 4 * 3_600.0
    few_long = (Task(source.uniform(0, 3_000), "long", source.uniform(300, 900)) for _ in range(12))
    return {
        "one big burst": Trace(list(burst(source, 10.0, 2_000, 2, 8)), 900),
        "bursts": Trace(list(_bursts(source)), 3_600),
        "steady": Trace(steady, 3_600),
        "steady, on Spot": Trace(steady, 3_600, spot=True),
        "a day's curve": Trace(
            # Four hours for a day: quiet at both ends, busy in the middle.
            list(poisson(source, 8.0, day, lambda: source.uniform(1, 4), lambda at: math.sin(math.pi * at / day) ** 2)),
            day,
        ),
        "clumps of short ones": Trace(list(_clumps(source)), 3_600),
        "few long among short": Trace(
            in_order(few_long, poisson(source, 1.0, 3_600, lambda: source.uniform(0.2, 1))), 3_600
        ),
        "idle night, one task": Trace([Task(1_800.0, "short", 2.0)], 3_600),
    }
