"""The controller's decisions in plain words, for people. Pure: from the numbers of one round to a sentence or two."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.controller.demand_forecast import NOTHING_EXPECTED, Forecast


@dataclass(frozen=True, slots=True)
class Considered:
    """The numbers that one round has decided from.

    Attributes:
        waiting: tasks, or parts of graphs, that have no worker yet.
        tasks: those that workers have.
        busy, idle, launching: workers.
        seconds: work that waits, or that a worker has beside long tasks, in seconds of one thread.
        threads: of a worker.
        drain_seconds: target time to finish it.
        unserved: no worker is ready for what waits.
        demand: workers that the work of this moment needs, whatever the bounds.
        wanted: workers that are wanted.
        min_workers, max_workers: the bounds; the second is what the ceiling in dollars allows, if that is less.
        expected: what is foreseen, if more workers are wanted for it than for anything else.
        ceiling: that ceiling, in words, if it is the one that binds; else empty.
        rolls: workers are started or retired only to replace those of an older revision.
    """

    waiting: int
    tasks: int
    busy: int
    idle: int
    launching: int
    seconds: float
    threads: int
    drain_seconds: float
    unserved: bool
    demand: int
    wanted: int
    min_workers: int
    max_workers: int
    expected: Forecast = NOTHING_EXPECTED
    ceiling: str = ""
    rolls: bool = False

    @property
    def workers(self) -> int:
        """Workers that run or start."""
        return self.busy + self.idle + self.launching


def explain_start(seen: Considered) -> str:
    """Why more workers are wanted than there are: goes on after "Added 2 workers: "."""
    if seen.rolls:
        return "they replace workers of an older revision."
    if seen.demand <= seen.workers:
        if seen.wanted == seen.min_workers:
            return f"{count(seen.min_workers, 'worker')} is the minimum."
        if seen.expected.workers:
            return _foreseen(seen.expected)
        return f"work for {count(seen.wanted, 'worker')} is likely to return soon."
    maximum = f" {_sentence(_maximum(seen))}" if seen.demand > seen.max_workers else ""
    if not seen.waiting:
        return f"the work that has begun needs {count(seen.demand, 'worker')}.{maximum}"
    if seen.unserved:
        nobody = "nobody runs it" if seen.waiting == 1 else "nobody runs them"
        free = nobody if not seen.busy else "all workers have long tasks"
        return f"{_wait(seen.waiting)} and {free}.{maximum}"
    serving = max(1, seen.busy + seen.idle)
    takes = duration(seen.seconds / (serving * seen.threads))
    return (
        f"{_wait(seen.waiting)}, which would take {takes} with {count(serving, 'worker')}; the target is "
        f"{duration(seen.drain_seconds)}.{maximum}"
    )


def explain_retirement(seen: Considered) -> str:
    """Why workers are retired: goes on after "Retired 2 workers: "."""
    if seen.rolls:
        return "workers of a newer revision take their place."
    if seen.ceiling and seen.demand > seen.max_workers:
        return _maximum(seen)
    if not seen.waiting and not seen.tasks:
        kept = (
            f" Keeping {seen.min_workers}, the minimum." if seen.min_workers and seen.wanted == seen.min_workers else ""
        )
        return f"nothing is left to do.{kept}"
    return f"the work that is left needs {count(seen.wanted, 'worker')}."


def explain_state(seen: Considered, *, starts: int, retires: int) -> str:
    """What the controller does now, and why."""
    if starts:
        return f"Adding {count(starts, 'worker')}: {explain_start(seen)}"
    if retires:
        return f"Retiring {count(retires, 'worker')}: {explain_retirement(seen)}"
    if not seen.waiting and not seen.tasks:
        return f"Idle. {_why_kept(seen)}"
    if seen.waiting and seen.launching:
        return f"{_wait(seen.waiting)}. {count(seen.launching, 'worker')} {_verb(seen.launching, 'start')}."
    if seen.waiting and seen.demand > seen.max_workers:
        if seen.ceiling:
            return f"{_wait(seen.waiting)}. {_sentence(_maximum(seen))}"
        return f"{_wait(seen.waiting)}. All {count(seen.max_workers, 'worker')} run that are allowed."
    if seen.busy == seen.workers:
        busy = "The worker is" if seen.busy == 1 else f"All {seen.busy:,} workers are"
    else:
        busy = f"{seen.busy:,} of {count(seen.workers, 'worker')} {_verb(seen.busy, 'be')}"
    return f"{busy} busy, which is enough for now."


def explain_ceiling(seen: Considered, unaffordable: int) -> str:
    """What the ceiling in dollars holds back."""
    return f"{_sentence(_maximum(seen))[:-1]}, {unaffordable:,} fewer than are wanted."


def _maximum(seen: Considered) -> str:
    """What bounds the number of workers."""
    if seen.ceiling:
        return f"{seen.ceiling} allows {count(seen.max_workers, 'worker')}."
    return f"{seen.max_workers} is the maximum."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _why_kept(seen: Considered) -> str:
    """Why an idle fleet has the workers that it has."""
    if not seen.workers:
        return "No worker runs until there is a task."
    kept = f"Keeping {count(seen.workers, 'worker')}"
    if seen.launching:
        return f"{count(seen.launching, 'worker')} {_verb(seen.launching, 'be')} still starting."
    if seen.workers > seen.wanted:
        return f"{kept}, as the minute that is billed for {'it' if seen.workers == 1 else 'them'} is not over."
    if seen.wanted == seen.min_workers:
        return f"{kept}, the minimum."
    if seen.expected.workers:
        return f"{kept}: {_foreseen(seen.expected)}"
    return f"{kept} for a while, as work is likely to return."


def _foreseen(expected: Forecast) -> str:
    period = 60.0 * expected.period_minutes
    return (
        f"work for {count(expected.workers, 'worker')} is expected about now, as it came {duration(period)} and "
        f"{duration(2 * period)} ago."
    )


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 worker`, `2 workers`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _verb(number: int, verb: str) -> str:
    if verb == "be":
        return "is" if number == 1 else "are"
    return f"{verb}s" if number == 1 else verb


def _wait(number: int) -> str:
    """`1 task waits`, `1,200 tasks wait`."""
    return f"{count(number, 'task')} {_verb(number, 'wait')}"


def duration(seconds: float) -> str:
    """A duration in whole units: `8 s`, `9 min`, `2 h`."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.0f} h"
