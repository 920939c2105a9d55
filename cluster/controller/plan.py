"""The plan: how many workers are wanted. A pure function of what was observed, the policy and the time."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observation:
    """What the controller sees in one turn.

    Attributes:
        waiting: attempts that no worker has yet.
        processing: attempts that are with workers.
        occupancy_seconds: Dask's estimate of the work that is with workers and waits, in seconds of one thread.
        threads: of one worker.
        living: workers that the fleet runs or launches.
        idle: names of workers without any task, the longest idle last.
    """

    waiting: int
    processing: int
    occupancy_seconds: float
    threads: int
    living: int
    idle: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds and aims. A backlog drains in `drain_seconds`; a worker is kept `idle_seconds` after the demand."""

    min_workers: int
    max_workers: int
    drain_seconds: float = 5.0
    idle_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What the plan remembers: the demands of late that no later one has reached, each with when it was last made
    (seconds), so the highest and oldest stands first."""

    peaks: tuple[tuple[float, int], ...] = ()

    @property
    def demand(self) -> int:
        """The highest demand of late."""
        return self.peaks[0][1] if self.peaks else 0


@dataclass(frozen=True, slots=True)
class Decision:
    """How many workers are wanted, which ones may go, and why, in words."""

    wanted: int
    start: int
    retire: tuple[str, ...]
    reason: str
    memory: Memory


def plan(seen: Observation, policy: Policy, memory: Memory, now: float) -> Decision:
    """Decides.

    Enough workers for the backlog to drain in `drain_seconds`, but no more than there are tasks; at least what the last
    `idle_seconds` asked for, so that a pause between two bursts does not cost the workers.
    """
    tasks = seen.waiting + seen.processing
    by_tasks = math.ceil(tasks / seen.threads)
    by_time = math.ceil(seen.occupancy_seconds / (policy.drain_seconds * seen.threads))
    # Dask knows no duration of a task type before its first run ends: a waiting task then asks for a worker of its own.
    demand = min(by_tasks, max(by_time, min(by_tasks, seen.waiting and seen.living + 1)))
    kept = ((at, peak) for at, peak in memory.peaks if now - at <= policy.idle_seconds and peak > demand)
    memory = Memory((*kept, (now, demand)))
    wanted = min(policy.max_workers, max(policy.min_workers, memory.demand, demand))
    reason = (
        f"{tasks} tasks, {seen.occupancy_seconds:.1f} s of work: {demand} to drain it in {policy.drain_seconds:g} s, "
        f"{memory.demand} in the last {policy.idle_seconds:g} s, bounds {policy.min_workers} to {policy.max_workers}"
    )
    surplus = max(0, seen.living - wanted)
    return Decision(wanted, max(0, wanted - seen.living), seen.idle[:surplus], reason, memory)
