"""Traces that the policy is not tuned on: five fixed ones, and families whose parameters are drawn at random.

Of each family, the draws of TUNING are for looking at while the policy is changed, and those of HELD_OUT are only
reported. A change that pays on the former alone does not pay.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from benchmarks.autoscaling.simulation import Trace
from benchmarks.autoscaling.traces import burst, in_order, poisson
from benchmarks.autoscaling.world import Task

TUNING: Final = range(4)
HELD_OUT: Final = range(100, 103)
"""Seeds of the draws."""
HOUR: Final = 3_600.0


@cache
def fixed_traces() -> dict[str, Trace]:
    """The five fixed ones by name."""
    source = random.Random(23)
    runs = (Task(source.uniform(0, 3_000), "run", 600.0) for _ in range(12))
    return {
        "office hours": Trace(
            list(poisson(source, 3.0, 6 * HOUR, lambda: source.uniform(1, 4), _office_share)), 6 * HOUR
        ),
        "a doubling ramp": Trace(
            list(poisson(source, 10.0, HOUR, lambda: source.uniform(1, 3), lambda at: 2 ** ((at - HOUR) / 600))), HOUR
        ),
        "bursts every ten minutes": Trace(
            [task for number in range(18) for task in burst(source, 600.0 * number + 100, 150, 1, 3)], 3 * HOUR
        ),
        "a trickle": Trace(list(poisson(source, 1 / 90, 2 * HOUR, lambda: source.uniform(1, 5))), 2 * HOUR),
        "milliseconds among ten-minute runs": Trace(
            in_order(runs, poisson(source, 5.0, HOUR, lambda: source.uniform(0.001, 0.02))), HOUR
        ),
    }


def _office_share(at: float) -> float:
    """Of a day of six hours, load from 1:30 to 4:30, with a break in the middle."""
    hour = at / HOUR
    return 0.3 if 2.75 <= hour < 3.25 else float(1.5 <= hour < 4.5)


def _between(source: random.Random, low: float, high: float) -> float:
    """A number between two, each order of magnitude as likely."""
    return float(math.exp(source.uniform(math.log(low), math.log(high))))


def _lengths(source: random.Random, low: float, high: float) -> Callable[[], float]:
    """Lengths around a mean between two numbers of seconds."""
    mean = _between(source, low, high)
    return lambda: source.uniform(0.3, 1.7) * mean


def _steady(source: random.Random) -> Trace:
    """Poisson arrivals for half a worker to 30."""
    mean, load = _between(source, 0.1, 20), _between(source, 0.5, 30)
    return Trace(list(poisson(source, load / mean, HOUR, lambda: source.uniform(0.3, 1.7) * mean)), HOUR)


def _on_off(source: random.Random) -> Trace:
    """Load that comes and goes: both last random times around 30 s to 10 min."""
    on, off = _between(source, 30, 600), _between(source, 30, 600)
    mean, load, at, periods = _between(source, 0.2, 5), _between(source, 2, 30), 0.0, []
    while at < 2 * HOUR:
        at += source.expovariate(1 / off)
        end = at + source.expovariate(1 / on)
        periods.append((at, end))
        at = end
    return Trace(
        list(
            poisson(
                source, load / mean, 2 * HOUR, lambda: source.uniform(0.3, 1.7) * mean,
                lambda at: float(any(start <= at < end for start, end in periods)),
            )
        ),
        2 * HOUR,
    )  # fmt: skip


def _schedules(source: random.Random) -> Trace:
    """One to three schedules of cron, each with a job of many tasks within seconds after its minute."""
    jobs = []
    for _ in range(source.randint(1, 3)):
        period = 60.0 * source.choice([5, 10, 15, 20, 30, 60])
        first, count = 60.0 * source.randrange(int(period // 60)), int(_between(source, 20, 600))
        low = _between(source, 0.3, 5)
        jobs.append(_repeat(source, first, period, count, low))
    return Trace(in_order(*jobs), 12 * HOUR)


def _repeat(source: random.Random, first: float, period: float, count: int, low: float) -> Iterator[Task]:
    at = first
    while at < 12 * HOUR:
        yield from burst(source, at + source.uniform(0, 5), int(count * source.uniform(0.8, 1.2)), low, 3 * low)
        at += period


def _random_bursts(source: random.Random) -> Trace:
    """Bursts at random times, 2 to 15 minutes apart on average, of sizes that differ tenfold."""
    gap, low, at, parts = _between(source, 120, 900), _between(source, 0.2, 3), 0.0, []
    while (at := at + source.expovariate(1 / gap)) < 2 * HOUR:
        parts.append(burst(source, at, int(_between(source, 30, 300)), low, 3 * low))
    return Trace(in_order(*parts), 2 * HOUR)


def _waves(source: random.Random) -> Trace:
    """A rate that rises and falls every 20 minutes to 2 hours."""
    mean, load, period = _between(source, 0.3, 6), _between(source, 4, 40), _between(source, 1_200, 7_200)
    depth = source.uniform(0.5, 1.0)
    return Trace(
        list(
            poisson(
                source, load / mean, 3 * HOUR, lambda: source.uniform(0.3, 1.7) * mean,
                lambda at: 1 - depth * (0.5 + 0.5 * math.cos(math.tau * at / period)),
            )
        ),
        3 * HOUR,
    )  # fmt: skip


def _heavy_tail(source: random.Random) -> Trace:
    """Lengths of one type that differ a thousandfold (log-normal)."""
    median, sigma, load = _between(source, 0.2, 2), source.uniform(1.0, 1.8), _between(source, 2, 20)
    mean = median * math.exp(sigma**2 / 2)

    def length() -> float:
        return min(1_200.0, source.lognormvariate(math.log(median), sigma))

    return Trace(list(poisson(source, load / mean, HOUR, length)), HOUR)


def _crowds(source: random.Random) -> Trace:
    """A quiet load with crowds of ten times as much that come at once and go slowly."""
    mean, load, decay = _between(source, 0.3, 3), _between(source, 1, 6), _between(source, 60, 600)
    crowds = [source.uniform(0, 2 * HOUR) for _ in range(4)]

    def share(at: float) -> float:
        return 0.1 + 0.9 * max((math.exp((start - at) / decay) for start in crowds if start <= at), default=0.0)

    tasks = poisson(source, 10 * load / mean, 2 * HOUR, lambda: source.uniform(0.3, 1.7) * mean, share)
    return Trace(list(tasks), 2 * HOUR)


def _trickle(source: random.Random) -> Trace:
    """Single tasks, 15 s to 5 min apart on average."""
    length = _lengths(source, 0.5, 30)
    return Trace(list(poisson(source, 1 / _between(source, 15, 300), 2 * HOUR, length)), 2 * HOUR)


def _long_and_short(source: random.Random) -> Trace:
    """Runs of minutes among short tasks of another type."""
    length = _lengths(source, 120, 1_200)
    runs = poisson(source, _between(source, 3, 30) / HOUR, HOUR, length, kind="long")
    short = poisson(source, _between(source, 0.5, 10), HOUR, _lengths(source, 0.005, 1))
    return Trace(in_order(runs, short), 1.2 * HOUR)


def _nightly(source: random.Random) -> Trace:
    """Ten days: a job of many tasks at the same minute of each, and single tasks in between."""
    day, at = 24 * HOUR, 60.0 * source.randrange(1_440)
    count, low = int(_between(source, 100, 800)), _between(source, 0.5, 5)
    jobs = (
        task
        for number in range(10)
        for task in burst(source, number * day + at + source.uniform(0, 5), count, low, 3 * low)
    )
    single = poisson(source, source.uniform(5, 20) / day, 10 * day, _lengths(source, 1, 30), kind="single")
    return Trace(in_order(jobs, single), 10 * day)


FAMILIES: Final[dict[str, Callable[[random.Random], Trace]]] = {
    "steady": _steady,
    "on and off": _on_off,
    "schedules": _schedules,
    "random bursts": _random_bursts,
    "waves": _waves,
    "heavy tail": _heavy_tail,
    "crowds": _crowds,
    "trickle": _trickle,
    "long and short": _long_and_short,
    "nightly job": _nightly,
}


@cache
def draw(family: str, seed: int) -> Trace:
    """One draw of a family."""
    return FAMILIES[family](random.Random(f"{family} {seed}"))
