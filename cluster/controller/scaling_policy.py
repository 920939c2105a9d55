"""The plan: how many workers are wanted. A pure function of what was observed, the policy and the time.

Two things make it.

- The **need** of this moment: who works now, and so many that what waits is done in `drain_seconds`, a third more where
  nobody serves it yet; but nobody is bought for work that is done before a new worker could come.
- What is **kept** for needs to come. Think of the fleet as levels, the first worker, the second, and so on. A level
  that is not needed any more is kept for as long as it was missed the last time, and half as long again: where demand
  comes and goes within seconds, nobody is sent away to be bought again. Where it stayed away longer than
  `keep_seconds`, or never came back yet, the level goes after `patience_seconds`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

AWAY_SECONDS: Final = 5.0
"""A need that was away for less has not been away."""
SOONER: Final = 3
"""Where nobody serves yet what waits, one worker more is asked for with so many."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the controller sees in one turn.

    Attributes:
        waiting: Dask tasks that no worker has yet.
        waiting_seconds: Dask's estimate of their work, in seconds of one thread.
        busy: Dask's estimate of the work that each worker with tasks holds, in seconds of one thread.
        tasks: how many Dask tasks those workers hold in all.
        idle: workers without any task, each with its age in seconds (infinite: unknown, and old).
        launching: workers that are on their way.
        threads: of one worker.
    """

    waiting: int = 0
    waiting_seconds: float = 0.0
    busy: tuple[float, ...] = ()
    tasks: int = 0
    idle: tuple[tuple[str, float], ...] = ()
    launching: int = 0
    threads: int = 1

    @property
    def living(self) -> int:
        """Workers that the fleet runs or launches."""
        return len(self.busy) + len(self.idle) + self.launching


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds and aims; the defaults are for processes of this machine, which come within a second and cost nothing.

    Attributes:
        min_workers, max_workers: the bounds.
        drain_seconds: in which what waits shall be done.
        patience_seconds: for which a level is kept of which nothing is known.
        keep_seconds: for which a level is kept at most.
        launch_seconds: how long a new worker takes until it serves.
        paid_seconds: what a worker costs at least, whenever it goes: it stays that long.
    """

    min_workers: int
    max_workers: int
    drain_seconds: float = 5.0
    patience_seconds: float = 30.0
    keep_seconds: float = 30.0
    launch_seconds: float = 1.0
    paid_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What the plan remembers of each level, the first worker's at index 0: when it was needed last, in seconds, and
    how long it had been missed before it was needed again (infinite: never)."""

    levels: tuple[tuple[float, float], ...] = ()

    def after(self, need: int, now: float) -> Memory:
        """With a need of this moment taken in."""
        past = self.levels + ((now, math.inf),) * (need - len(self.levels))
        missed = (
            ((now, now - at if now - at > AWAY_SECONDS else gap) if level < need else (at, gap))
            for level, (at, gap) in enumerate(past)
        )
        return Memory(tuple(missed))

    def kept(self, policy: Policy, now: float) -> int:
        """How many levels are kept."""
        for level in range(len(self.levels), 0, -1):
            at, gap = self.levels[level - 1]
            again = 1.5 * gap if gap <= policy.keep_seconds else 0.0
            if now - at <= max(policy.patience_seconds, again):
                return level
        return 0


@dataclass(frozen=True, slots=True)
class Decision:
    """How many workers are wanted, which ones may go, and why, in words."""

    wanted: int
    start: int
    retire: tuple[str, ...]
    reason: str
    memory: Memory


def plan(seen: Observation, policy: Policy, memory: Memory, now: float) -> Decision:
    """Decides."""
    need, why = _need(seen, policy)
    memory = memory.after(min(need, policy.max_workers), now)
    kept = memory.kept(policy, now)
    wanted = min(policy.max_workers, max(policy.min_workers, need, kept))
    if kept > need:
        why += f"; {kept} are kept, as such needs come again"
    reason = f"{why}; bounds {policy.min_workers} to {policy.max_workers}"
    surplus = max(0, seen.living - wanted)
    # What is paid for may stay; the oldest go first.
    may_go = sorted((worker for worker in seen.idle if worker[1] >= policy.paid_seconds), key=lambda worker: -worker[1])
    retire = tuple(name for name, _ in may_go[:surplus])
    return Decision(wanted, max(0, wanted - seen.living), retire, reason, memory)


def _need(seen: Observation, policy: Policy) -> tuple[int, str]:
    """How many workers the work of this moment needs, and why."""
    long = [work for work in seen.busy if work > policy.drain_seconds * seen.threads]
    rest = seen.waiting_seconds + sum(work for work in seen.busy if work <= policy.drain_seconds * seen.threads)
    # Those that are free for it, now or when their launch is over.
    free = seen.living - len(long)
    # Dask knows no duration of a task type before its first run ends.
    drain = math.ceil(rest / (policy.drain_seconds * seen.threads)) or min(1, seen.waiting)
    nobody = free <= seen.launching
    if nobody:
        # Launches differ, and of more workers the first ones come sooner.
        drain += math.ceil(drain / SOONER)
    # A worker runs one task at least.
    drain = min(drain, math.ceil((seen.waiting + max(0, seen.tasks - len(long))) / seen.threads))
    why = f"{seen.waiting + seen.tasks} tasks, {rest:.1f} s of work beside {len(long)} long: "
    in_time = (free - seen.launching) * seen.threads * min(policy.launch_seconds, policy.drain_seconds)
    if drain > free and rest < in_time:
        return seen.living, why + f"done before a new worker comes in {policy.launch_seconds:.0f} s"
    need = max(len(long) + drain, len(seen.busy))
    sooner = ", and more as nobody serves it yet" if nobody and seen.waiting else ""
    return need, why + f"{need} to drain it in {policy.drain_seconds:g} s{sooner}"
