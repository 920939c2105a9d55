"""What several schedulers and their controllers say of themselves, put together as one. With a single scheduler it is
what that one says. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

MAX_DECISIONS: Final = 20
"""Decisions that are kept of all controllers together, the newest."""
SUMMED: Final = ("launching", "running", "retiring", "min_workers", "max_workers")
"""Numbers of workers in what a controller publishes, of its fleet and of each pool."""


@dataclass(frozen=True)
class SchedulerState:
    """A scheduler at one moment.

    Attributes:
        number: from 0.
        load: the reply of its `load` handler; empty if it is unavailable.
    """

    number: int
    load: Mapping[str, Any] = field(default_factory=dict)


def merge_loads(states: Sequence[SchedulerState]) -> Mapping[str, Any]:
    """The load of all schedulers; empty if none is available. With several, each worker says its `scheduler`."""
    if len(states) == 1:
        return states[0].load
    available = [state for state in states if state.load]
    if not available:
        return {}
    first = available[0].load
    numbers = ("queued", "no_worker", "processing", "waiting_seconds", "running_threads")
    merged: dict[str, Any] = {name: sum(state.load.get(name, 0) for state in available) for name in numbers}
    for name in ("workers", "finishing", "starting"):
        merged[name] = [{**item, "scheduler": state.number} for state in available for item in state.load.get(name, ())]
    epochs = " ".join(str(state.load["epoch"]) for state in available)
    return merged | {"epoch": epochs, "dashboard": first.get("dashboard")}


def merge_fleets(published: Sequence[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    """The state of all fleets, as their controllers have published it, by the numbers of their schedulers. None if no
    controller runs; the fleet of a scheduler whose controller does not run is left out, and `reason` says so."""
    if len(published) == 1:
        return published[0]
    fleets = {number: fleet for number, fleet in enumerate(published) if fleet is not None}
    if not fleets:
        return None
    reasons = [
        f"Scheduler {number}: {fleets[number]['reason'] if number in fleets else 'no controller runs.'}"
        for number in range(len(published))
    ]
    problems = {number: fleet for number, fleet in fleets.items() if fleet.get("problem")}
    # What is more than a ceiling comes first.
    number = min(problems, key=lambda each: problems[each]["problem"] == problems[each].get("ceiling"), default=0)
    worst = problems.get(number, {})
    decisions = [
        {**decision, "reason": f"Scheduler {number}: {decision['reason']}"}
        for number, fleet in fleets.items()
        for decision in fleet.get("decisions", ())
    ]
    return {
        "at": max(fleet["at"] for fleet in fleets.values()),
        **_merge_numbers(list(fleets.values())),
        "pools": _merge_pools(fleets.values()),
        "reason": " ".join(reasons),
        "problem": f"Scheduler {number}: {worst['problem']}" if worst else "",
        "problem_since": worst.get("problem_since"),
        "ceiling": f"Scheduler {number}: {worst['ceiling']}" if worst.get("ceiling") else "",
        "unaffordable": sum(fleet.get("unaffordable", 0) for fleet in fleets.values()),
        "decisions": sorted(decisions, key=lambda decision: -decision["at"])[:MAX_DECISIONS],
    }


def _merge_pools(fleets: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The pools by name: their numbers of workers and tasks are added up, the rest is as one fleet has it."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for fleet in fleets:
        for pool in fleet.get("pools", ()):
            by_name.setdefault(pool["name"], []).append(pool)
    return [
        {
            **same[0],
            **_merge_numbers(same),
            "waiting": sum(pool["waiting"] for pool in same),
            "processing": sum(pool["processing"] for pool in same),
        }
        for same in by_name.values()
    ]


def _merge_numbers(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What fleets, and pools of the same name, have in common."""
    wanted = [part["wanted"] for part in parts]
    costs = [part["cost_per_hour"] for part in parts if part.get("cost_per_hour") is not None]
    return {
        **{name: sum(part[name] for part in parts) for name in SUMMED},
        "wanted": None if None in wanted else sum(wanted),
        "launch_seconds": max((part["launch_seconds"] for part in parts if part.get("launch_seconds")), default=None),
        "cost_per_hour": sum(costs) if costs else None,
    }
