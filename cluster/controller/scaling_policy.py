"""The scaling policy: how many workers are wanted. A pure function of what was observed, the policy and the time.

- **Demand** of this moment: the busy workers, plus enough to finish the waiting work within `drain_seconds`, a third
  more if no worker serves it yet. No worker is started for work that the others will finish before it could be ready.
- **Retention** for demand to come. For each fleet size, the history has when it was last needed, and the latest gaps in
  its demand. After its last need, a size is kept for `scale_in_delay_seconds`, or for as long as would have cost the
  least over those gaps.
- **Forecast**: where demand recurs, workers are started before it comes (demand_forecast.py).
- **The ceiling in dollars** bounds both, as `max_workers` does, and wins over `min_workers`. Where it leaves no room
  for workers that are busy, they are drained: they get no more tasks, and go when they have none.
- **Workers of an older revision** are replaced: new ones first, where the bounds leave room for them, and the old ones
  once those are ready. Idle ones go first. Busy ones are drained, so that tasks of hours end where they run, a quarter
  of the fleet at a time, and no more than one before a worker of the new revision serves. A worker that has tasks is
  never retired.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from cluster.controller.cost_ceiling import Affordable
from cluster.controller.decision_words import (
    Considered,
    explain_ceiling,
    explain_retirement,
    explain_start,
    explain_state,
)
from cluster.controller.demand_forecast import NOTHING_EXPECTED, Forecast
from cluster.controller.demand_history import DemandHistory

UNSERVED_SHARE: Final = 0.75
"""While no worker is ready for the waiting work, it shall be done within this share of `drain_seconds`: launch times
differ, and the first of several workers is ready sooner."""
PATIENCE_SECONDS: Final = 25.0
"""However soon the workers that run will be done, more are started if they have so much work each: a burst that is a
quarter larger than was foreseen (demand_forecast.SLOT_SECONDS) needs no further workers."""
LAUNCHED_SHARE: Final = 0.5
"""Workers that are being launched count as so many ready ones: on average, half of their launch is over."""
ROLL_STEP: Final = 4
"""Of workers of an older revision, one of so many is replaced at a time."""
REPLACED: Final = "workers of an older revision get no more tasks, and go when theirs have ended."


@dataclass(frozen=True, slots=True)
class Observation:
    """What the controller observes in one round.

    Attributes:
        waiting: Dask tasks that have no worker yet.
        waiting_seconds: Dask's estimate of their work, in seconds of one thread.
        busy: Dask's estimate of the work of each worker that has tasks, in seconds of one thread.
        tasks: the number of Dask tasks that those workers have in all.
        idle: workers without tasks, each with its age in seconds (infinite if it is unknown, and old).
        launching: workers that are being launched.
        threads: threads per worker.
        outdated: workers, of whatever state, that run an older revision than new ones would.
        busy_names: the names of those of `busy`, in the same order; empty if none of them may be drained.
        arriving: the work that came per second of the last minute, in seconds of one thread.
    """

    waiting: int = 0
    waiting_seconds: float = 0.0
    busy: tuple[float, ...] = ()
    tasks: int = 0
    idle: tuple[tuple[str, float], ...] = ()
    launching: int = 0
    threads: int = 1
    outdated: frozenset[str] = frozenset()
    busy_names: tuple[str, ...] = ()
    arriving: float = 0.0

    @property
    def workers(self) -> int:
        """Workers that run or are being launched."""
        return len(self.busy) + len(self.idle) + self.launching

    @property
    def new_revision_serves(self) -> bool:
        """Whether a worker of the newest revision serves."""
        return not self.outdated.issuperset((*self.busy_names, *(name for name, _ in self.idle)))


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds and targets. The defaults fit processes of this machine, which start within a second and cost nothing.

    Attributes:
        min_workers, max_workers: the bounds.
        drain_seconds: target time to finish the waiting work.
        scale_in_delay_seconds: how long workers are kept after the last demand for them.
        restart_seconds: what it costs to stop a worker and to start another later, in seconds of a worker.
        launch_seconds: how long a new worker takes until it is ready.
        minimum_billing_seconds: how long a worker is billed at least; it is kept at least this long.
        forecast: whether workers are started for demand that is foreseen.
        affordable: how many workers the ceiling in dollars allows now; None if there is none.
    """

    min_workers: int
    max_workers: int
    drain_seconds: float = 5.0
    scale_in_delay_seconds: float = 30.0
    restart_seconds: float = 30.0
    launch_seconds: float = 1.0
    minimum_billing_seconds: float = 0.0
    forecast: bool = False
    affordable: Affordable | None = None

    @property
    def limit(self) -> int:
        """How many workers there may be."""
        return self.max_workers if self.affordable is None else min(self.max_workers, self.affordable.workers)


@dataclass(frozen=True, slots=True)
class Decision:
    """How many workers are wanted, how many to start, and which to retire.

    Attributes:
        reason: what is done and why, in a sentence, for people.
        change: why workers are started or retired, to go on after "Added 2 workers: "; empty if none are.
        drain: busy workers that get no more tasks, and are retired once theirs have ended.
        drain_reason: why, in a sentence; empty if there are none.
        unaffordable: workers that would be wanted, and that the ceiling in dollars does not allow.
        problem: the same in a sentence; empty if there are none.
    """

    wanted: int
    start: int
    retire: tuple[str, ...]
    reason: str
    change: str
    history: DemandHistory
    drain: tuple[str, ...] = ()
    drain_reason: str = ""
    unaffordable: int = 0
    problem: str = ""


def plan(
    seen: Observation, policy: Policy, history: DemandHistory, now: float, expected: Forecast = NOTHING_EXPECTED
) -> Decision:
    """Decides how many workers are wanted, and which may go.

    Args:
        now: seconds of any clock, always the same.
        expected: what is foreseen for the time in which a worker that is started now is ready.
    """
    need = _need(seen, policy)
    history = history.updated(min(need.workers, policy.limit), policy.restart_seconds, now)
    retained = history.retained(policy.scale_in_delay_seconds, now)
    affordable_or_not = min(policy.max_workers, max(policy.min_workers, need.workers, retained, expected.workers))
    wanted = min(policy.limit, affordable_or_not)
    replaced = _busy_to_replace(seen, policy, wanted)
    start, retire, rolls = _changes(seen, policy, wanted, len(replaced))
    considered = Considered(
        waiting=seen.waiting,
        tasks=seen.tasks,
        busy=len(seen.busy),
        idle=len(seen.idle),
        launching=seen.launching,
        seconds=need.seconds,
        threads=seen.threads,
        drain_seconds=policy.drain_seconds,
        unserved=need.unserved,
        demand=need.workers,
        wanted=wanted,
        min_workers=policy.min_workers,
        max_workers=policy.limit,
        expected=expected if expected.workers > max(need.workers, retained, policy.min_workers) else NOTHING_EXPECTED,
        ceiling=policy.affordable.ceiling if policy.affordable and policy.limit < policy.max_workers else "",
        rolls=rolls,
    )
    change = explain_start(considered) if start else explain_retirement(considered) if retire else ""
    reason = explain_state(considered, starts=start, retires=len(retire))
    unaffordable = affordable_or_not - wanted
    problem = explain_ceiling(considered, unaffordable) if unaffordable else ""
    if replaced:
        return Decision(wanted, start, retire, reason, change, history, replaced, REPLACED, unaffordable, problem)
    drain = _over_limit(seen, seen.workers - len(retire) - policy.limit)
    drain_reason = (problem or reason) if drain else ""
    return Decision(wanted, start, retire, reason, change, history, drain, drain_reason, unaffordable, problem)


def _over_limit(seen: Observation, over: int) -> tuple[str, ...]:
    """The busy workers that the ceiling in dollars, or a lower maximum, leaves no room for. While tasks wait, a busy
    worker would never become idle. Those with the least work end first."""
    if over <= 0:
        return ()
    by_work = sorted(zip(seen.busy, seen.busy_names, strict=False))
    return tuple(name for _, name in by_work[:over])


def _busy_to_replace(seen: Observation, policy: Policy, wanted: int) -> tuple[str, ...]:
    """The busy workers of an older revision that get no more tasks from now on; those with the least work end first."""
    old = [name for _, name in sorted(zip(seen.busy, seen.busy_names, strict=False)) if name in seen.outdated]
    if not old or seen.launching or any(name in seen.outdated for name, _ in seen.idle):
        return ()
    if seen.new_revision_serves:
        return tuple(old[: max(1, wanted // ROLL_STEP)])
    # Whether the new revision works at all is not known yet.
    return () if policy.limit > seen.workers else tuple(old[:1])


class _Changes(NamedTuple):
    """How many workers to start, which to retire, and whether that is only to replace those of an older revision."""

    start: int
    retire: tuple[str, ...]
    rolls: bool = False


def _changes(seen: Observation, policy: Policy, wanted: int, drained: int) -> _Changes:
    """Args:
    drained: busy workers of an older revision that leave.
    """
    # Workers stay for as long as they are billed; those of an older revision go first, then the oldest.
    may_retire = sorted(
        (worker for worker in seen.idle if worker[1] >= policy.minimum_billing_seconds),
        key=lambda worker: (worker[0] not in seen.outdated, -worker[1]),
    )
    names = tuple(name for name, _ in may_retire)
    old = tuple(name for name in names if name in seen.outdated)
    surplus = seen.workers - drained - wanted
    if surplus > 0:
        # One of an older revision stays until the one that starts in its place is ready.
        return _Changes(0, names[: max(0, surplus - seen.launching) if old else surplus])
    if surplus < 0 or drained or seen.launching:
        return _Changes(-surplus, (), 0 < -surplus <= drained)
    if old:
        step = min(len(old), max(1, wanted // ROLL_STEP))
        room = min(step, policy.limit - seen.workers)
        return _Changes(room, (), True) if room > 0 else _Changes(0, old[:step], True)
    first = (
        not seen.outdated.isdisjoint(seen.busy_names) and not seen.new_revision_serves and policy.limit > seen.workers
    )
    return _Changes(int(first), (), first)


class _Need(NamedTuple):
    """What the work of a moment needs.

    Attributes:
        workers: how many.
        seconds: the work beside long tasks, in seconds of one thread.
        unserved: no worker is ready for it.
    """

    workers: int
    seconds: float
    unserved: bool


def _need(seen: Observation, policy: Policy) -> _Need:
    # Others are free again before a new worker would be ready.
    long_seconds = max(policy.drain_seconds, policy.launch_seconds) * seen.threads
    long_running = [work for work in seen.busy if work > long_seconds]
    rest = seen.waiting_seconds + sum(work for work in seen.busy if work <= long_seconds)
    # Workers for the rest, now or after their launch.
    available = seen.workers - len(long_running)
    unserved = available <= seen.launching
    target_seconds = policy.drain_seconds * (UNSERVED_SHARE if unserved else 1.0)
    # Dask has no duration of a task type before its first run has finished.
    drain = math.ceil(rest / (target_seconds * seen.threads)) or min(1, seen.waiting)
    # There is no use for more workers than tasks.
    drain = min(drain, math.ceil((seen.waiting + max(0, seen.tasks - len(long_running))) / seen.threads))
    if drain > available and rest < _done_in_time(seen, policy, available):
        return _Need(seen.workers, rest, unserved)
    return _Need(max(len(long_running) + drain, len(seen.busy)), rest, unserved)


def _done_in_time(seen: Observation, policy: Policy, available: int) -> float:
    """The work that workers will have done before a new one could be ready, beside what comes until then, in seconds of
    one thread.

    Args:
        available: workers without a long task.
    """
    threads = (available - seen.launching * (1 - LAUNCHED_SHARE)) * seen.threads
    patience_seconds = max(PATIENCE_SECONDS, policy.drain_seconds)
    return min(patience_seconds * threads, policy.launch_seconds * (threads - seen.arriving))
