"""One pool against two: where some tasks need a large worker, one pool has large workers only; two pools have small
ones beside, each planned for by itself as the controller does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from benchmarks.autoscaling.policies import Ours, ecs_policy
from benchmarks.autoscaling.simulation import Outcome, Trace, simulate_all
from benchmarks.autoscaling.traces import tuned_traces
from benchmarks.autoscaling.world import Task
from cluster.controller.fargate_prices import fargate_prices
from cluster.settings import load_settings

DRAWS: Final = 2
SMALL: Final = (1.0, 2.0)
LARGE: Final = (4.0, 24.0)
"""vCPUs and GiB of the workers of two pools."""
LARGE_EVERY: Final = 20
"""One of so many short tasks needs a large worker, in the traces without long ones."""
POOL_TRACES: Final = ("few long among short", "steady", "bursts")


def _in_pools(trace: Trace) -> list[str]:
    """The bills of one trace in one pool and in two, in US dollars, and the p95 of the waits."""
    tasks = trace.tasks
    longs = any(task.kind == "long" for task in tasks)
    large = [task.kind == "long" if longs else number % LARGE_EVERY == 0 for number, task in enumerate(tasks)]
    # Each pool has estimates of its own, as its task types are others.
    named = [replace(task, kind=f"{task.kind}, large") if big else task for task, big in zip(tasks, large, strict=True)]
    prices = fargate_prices(load_settings({}), "us-east-1")
    assert prices is not None

    def run(chosen: Sequence[Task], size: tuple[float, float]) -> tuple[float, Outcome]:
        outcome = simulate_all(trace._replace(tasks=chosen), lambda: Ours(ecs_policy()), DRAWS)
        return outcome.bill / DRAWS / 3_600 * prices.worker_hour(*size), outcome

    one, outcome = run(named, LARGE)
    large_bill, of_large = run([task for task, big in zip(named, large, strict=True) if big], LARGE)
    small_bill, of_small = run([task for task, big in zip(named, large, strict=True) if not big], SMALL)
    two = large_bill + small_bill
    shares = [f"{sum(large) / len(tasks):.1%}", f"{one:.2f}", f"{two:.2f}", f"**{two / one:.2f}**"]
    return [*shares, f"{outcome.wait(0.95):.1f}", f"{of_small.wait(0.95):.1f}", f"{of_large.wait(0.95):.1f}"]


def pools_document() -> list[str]:
    """The part of benchmarks/AUTOSCALING.md about pools."""
    rows = {name: _in_pools(trace) for name, trace in tuned_traces().items() if name in POOL_TRACES}
    return [
        "## Two pools against one",
        "",
        f"Some tasks need {LARGE[0]:g} vCPUs and {LARGE[1]:g} GiB: the long ones, or one in {LARGE_EVERY}. In one pool "
        f"every worker has that; in two, the others run on workers of {SMALL[0]:g} vCPU and {SMALL[1]:g} GiB. Bills in "
        f"US dollars, on demand in us-east-1 on x86; {DRAWS} draws of launch times.",
        "",
        "| trace | large tasks | one pool | two pools | two/one | p95, one | p95, small of two | p95, large of two |",
        "|---|---|---|---|---|---|---|---|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
        "",
    ]
