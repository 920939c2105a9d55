"""All policies on all traces: one row for each trace."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

from benchmarks.autoscaling.bound import lower_bound
from benchmarks.autoscaling.keda import Keda
from benchmarks.autoscaling.policies import Adaptive, Ours, ecs_policy
from benchmarks.autoscaling.simulation import Scaler, Trace, simulate_all
from benchmarks.autoscaling.traces import tuned_traces
from benchmarks.autoscaling.unseen import FAMILIES, HELD_OUT, draw, fixed_traces

TUNED: Final = "tuned"
FIXED: Final = "fixed"
DRAWS: Final = {TUNED: 2, FIXED: 2}
"""Draws of launch times; the families have several draws of traces, and one of launch times for each."""
POLICIES: Final[dict[str, Callable[[], Scaler]]] = {
    "ours": lambda: Ours(ecs_policy()),
    "reactive": lambda: Ours(ecs_policy(forecast=False)),
    "adaptive": Adaptive,
    "keda": Keda,
}


class Key(NamedTuple):
    """A trace: TUNED, FIXED or a family, and its name or the seed of its draw."""

    group: str
    name: str

    @property
    def trace(self) -> Trace:
        """Its tasks."""
        if self.group == TUNED:
            return tuned_traces()[self.name]
        return fixed_traces()[self.name] if self.group == FIXED else draw(self.group, int(self.name))


class Result(NamedTuple):
    """What one policy did with a trace: its bill in multiples of the work, and waits in seconds."""

    ratio: float
    mean_wait: float
    p95_wait: float


@dataclass(frozen=True)
class Row:
    """The results of a trace.

    Attributes:
        reactive: ours without its forecast.
        bound: the least bill with waits no longer than Adaptive's, in multiples of the work; None if it is not known.
    """

    key: Key
    ours: Result
    reactive: Result
    adaptive: Result
    keda: Result
    bound: float | None

    def of(self, policy: str) -> Result:
        """The result of a policy: `ours`, `reactive`, `adaptive` or `keda`."""
        result: Result = getattr(self, policy)
        return result

    @property
    def share(self) -> float:
        """Our bill in parts of Adaptive's."""
        return self.ours.ratio / self.adaptive.ratio


def all_keys(seeds: Iterable[int] = HELD_OUT) -> list[Key]:
    """All traces, with these draws of the families."""
    seeds = list(seeds)
    return [
        *(Key(TUNED, name) for name in tuned_traces()),
        *(Key(FIXED, name) for name in fixed_traces()),
        *(Key(family, str(seed)) for family in FAMILIES for seed in seeds),
    ]


def run(job: tuple[Key, str]) -> Result:
    """Runs one policy on one trace."""
    key, policy = job
    outcome = simulate_all(key.trace, POLICIES[policy], DRAWS.get(key.group, 1))
    return Result(outcome.ratio, outcome.mean_wait, outcome.wait(0.95))


def bound(job: tuple[Key, Result]) -> float | None:
    """The bound of one trace with waits no longer than these."""
    key, result = job
    trace = key.trace
    seconds = lower_bound(trace, result.mean_wait, result.p95_wait)
    return None if seconds is None else seconds / sum(task.seconds for task in trace.tasks)


def compare(keys: Iterable[Key], progress: Callable[[str], None]) -> list[Row]:
    """Runs all policies on the traces, in as many processes as there are processors."""
    keys = list(keys)
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        results: dict[str, list[Result]] = {}
        for policy in POLICIES:
            results[policy] = list(processes.map(run, [(key, policy) for key in keys]))
            progress(f"{policy}: done")
        bounds = list(processes.map(bound, zip(keys, results["adaptive"], strict=True)))
    columns = [results[policy] for policy in ("ours", "reactive", "adaptive", "keda")]
    return [Row(key, *row, least) for key, least, *row in zip(keys, bounds, *columns, strict=True)]


def geometric_mean(rows: Iterable[Row], value: Callable[[Row], float] = lambda row: row.share) -> float:
    """The geometric mean over traces, each as important as the others."""
    return statistics.geometric_mean(value(row) for row in rows)
