"""Runs a trace with a policy, with several draws of launch times."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from benchmarks.autoscaling.world import MINIMUM_BILLING_SECONDS, Task, World

STEP_SECONDS: Final = 0.5


class Trace(NamedTuple):
    """Tasks in the order of their times, how long they are watched, in seconds, and whether workers are Spot."""

    tasks: Sequence[Task]
    seconds: float
    spot: bool = False


class Scaler(Protocol):
    """What decides how many workers there are.

    Attributes:
        interval_seconds: how often it decides.
        empty_interval_seconds: how often it decides while there is neither a worker nor a task.
    """

    interval_seconds: float
    empty_interval_seconds: float

    def scale(self, world: World) -> None:
        """Starts and stops workers."""


@dataclass(frozen=True)
class Outcome:
    """The cost of one run in worker-seconds, and how long tasks waited.

    Attributes:
        launches: of the bill, the time until workers were ready.
        started: number of workers.
    """

    bill: float
    work: float
    launches: float
    started: int
    waits: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The bill in multiples of the work."""
        return self.bill / self.work

    @property
    def mean_wait(self) -> float:
        """The mean of the waits, in seconds."""
        return statistics.fmean(self.waits)

    def wait(self, share: float) -> float:
        """A quantile of the waits, in seconds."""
        return sorted(self.waits)[min(len(self.waits) - 1, int(share * len(self.waits)))]


def simulate(trace: Trace, scaler: Scaler, seed: int = 1) -> Outcome:
    """Runs one trace until all tasks are done."""
    world, todo, scale_at = World(seed, trace.spot), deque(trace.tasks), 0.0
    while world.now < trace.seconds or todo or world.queue or any(worker.task for worker in world.workers.values()):
        while todo and todo[0].at <= world.now:
            world.add(todo.popleft())
        world.step()
        if world.now >= scale_at:
            scaler.scale(world)
            scale_at = world.now + scaler.interval_seconds
        if world.is_empty:
            # Nothing happens until then; each decides at the times of its own clock.
            pause = scaler.empty_interval_seconds
            awake = min(todo[0].at if todo else trace.seconds, world.now + pause if pause else math.inf)
            world.now = max(world.now + STEP_SECONDS, _on_grid(awake, STEP_SECONDS))
            scale_at = _on_grid(world.now, scaler.interval_seconds)
        else:
            world.now += STEP_SECONDS
    left = world.workers.values()
    billed = world.billed + sum(max(MINIMUM_BILLING_SECONDS, world.now - worker.started) for worker in left)
    launches = world.launch_billed + sum(min(worker.ready, world.now) - worker.started for worker in left)
    return Outcome(billed, sum(task.seconds for task in trace.tasks), launches, world.started, tuple(world.waits))


def _on_grid(at: float, step: float) -> float:
    return math.ceil(at / step - 1e-9) * step


def simulate_all(trace: Trace, make: Callable[[], Scaler], draws: int) -> Outcome:
    """The combined outcome of one trace with several draws of launch times; `started` is their mean."""
    outcomes = [simulate(trace, make(), seed=seed) for seed in range(draws)]
    return Outcome(
        sum(outcome.bill for outcome in outcomes),
        sum(outcome.work for outcome in outcomes),
        sum(outcome.launches for outcome in outcomes),
        round(statistics.mean(outcome.started for outcome in outcomes)),
        tuple(wait for outcome in outcomes for wait in outcome.waits),
    )
