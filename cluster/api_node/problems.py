"""What is wrong with the cluster and what to do, in plain words. Pure: decided from what the node has read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cluster.api_node.history_counts import EndedTasks
from cluster.api_node.merged_state import SchedulerState
from cluster.api_node.store_memory import FULL_FRACTION
from cluster.store.schedules import TroubledSchedule

NEARLY_FULL_FRACTION: Final = 0.8
"""The part of Redis's `maxmemory` beyond which it is a problem; at FULL_FRACTION new tasks are refused."""
LONG_WAIT_SECONDS: Final = 60.0
"""How long a task may wait before a fleet that cannot grow is a problem."""
FAILURE_SECONDS: Final = 900
"""The time in which failures of a task type are counted."""
MANY_FAILURES: Final = 5
FAILURE_SHARE: Final = 0.2
"""A task type has a problem if at least MANY_FAILURES of its tasks failed, and at least this share of them."""
MAX_PER_CODE: Final = 10
"""Problems with the same code that are told."""

UNKNOWN_ADVICE: Final = (
    "Serve the module of this task type (DASK_GRAPHQL_TASK_MODULES) on all api nodes, or delete the schedule."
)
REFUSED_ADVICE: Final = (
    "What is due is tried again every 10 s, for as long as its `catchUpSeconds` allow. If its input is refused, set "
    "the schedule anew."
)


class ProblemCode(StrEnum):
    """What kind of problem it is."""

    SCHEDULER_UNAVAILABLE = "SCHEDULER_UNAVAILABLE"
    NO_WORKERS = "NO_WORKERS"
    WORKERS_CANNOT_START = "WORKERS_CANNOT_START"
    FLEET_AT_MAXIMUM = "FLEET_AT_MAXIMUM"
    REDIS_NEARLY_FULL = "REDIS_NEARLY_FULL"
    TASK_TYPE_FAILS = "TASK_TYPE_FAILS"
    TASK_TYPE_PAUSED = "TASK_TYPE_PAUSED"
    SCHEDULE_FAILS = "SCHEDULE_FAILS"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        message: what is wrong, a sentence or two.
        advice: what to do about it.
        since: when it began, seconds since 1970; None if that is not known.
        name: the task type that it is about, if it is about one.
        worker: the worker that it is about, if it is about one.
        schedule: the schedule that it is about, if it is about one.
    """

    code: ProblemCode
    message: str
    advice: str
    since: float | None = None
    name: str | None = None
    worker: str | None = None
    schedule: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What the node knows.

    Attributes:
        now: seconds since 1970.
        load: the reply of the scheduler's `load` handler, of all schedulers together; empty if none is available.
        fleet: what the controllers have published, of all fleets together; None if none runs.
        waiting: QUEUED tasks that the caller may see.
        oldest_seconds: how long the oldest of them has waited; None if there is none.
        paused: paused task types, and when each was paused, in seconds since 1970.
        memory: the bytes that Redis uses, and its limit, 0 for none.
        ended: how tasks of each type have ended in the last FAILURE_SECONDS.
        schedules: those that cannot do their work.
        schedulers: each scheduler by itself; empty stands for a single one.
    """

    now: float
    load: Mapping[str, Any] = field(default_factory=dict)
    fleet: Mapping[str, Any] | None = None
    waiting: int = 0
    oldest_seconds: float | None = None
    paused: Mapping[str, float] = field(default_factory=dict)
    memory: tuple[int, int] = (0, 0)
    ended: Mapping[str, EndedTasks] = field(default_factory=dict)
    schedules: Sequence[TroubledSchedule] = ()
    schedulers: Sequence[SchedulerState] = ()


def find_problems(seen: ClusterState) -> list[Problem]:
    """Everything that is wrong, the most urgent first."""
    return [
        *_scheduler(seen), *_workers(seen), *_redis(seen), *_failing_types(seen), *_schedules(seen),
        *_paused_types(seen),
    ]  # fmt: skip


def _tasks_wait(seen: ClusterState) -> str:
    return f"{seen.waiting:,} {'task waits' if seen.waiting == 1 else 'tasks wait'}"


def _scheduler(seen: ClusterState) -> Sequence[Problem]:
    if len(seen.schedulers) > 1:
        return [
            Problem(
                ProblemCode.SCHEDULER_UNAVAILABLE,
                f"This api node has no connection to scheduler {scheduler.number}. Its tasks are accepted and wait; "
                "those of the other schedulers run.",
                "If this lasts for more than a minute, check that this scheduler runs and that "
                "DASK_GRAPHQL_SCHEDULERS has its address.",
            )
            for scheduler in seen.schedulers
            if not scheduler.load
        ]
    if seen.load:
        return ()
    return [
        Problem(
            ProblemCode.SCHEDULER_UNAVAILABLE,
            "This api node has no connection to the scheduler. New tasks are accepted and wait.",
            "If this lasts for more than a minute, check that the scheduler runs and that DASK_GRAPHQL_SCHEDULER is "
            "its address.",
        )
    ]


def _workers(seen: ClusterState) -> list[Problem]:
    fleet = seen.fleet or {}
    found = []
    since = None if seen.oldest_seconds is None else seen.now - seen.oldest_seconds
    launching = fleet.get("launching") or any(not worker["error"] for worker in seen.load.get("starting", ()))
    if seen.load and not seen.load["workers"] and seen.waiting and not launching:
        advice = (
            "Start a controller, or workers by `dask-graphql worker`."
            if seen.fleet is None
            else "The controller starts workers within seconds; if it does not, see its reason and its log."
        )
        found.append(Problem(ProblemCode.NO_WORKERS, f"{_tasks_wait(seen)} and no worker runs.", advice, since))
    elif not launching:
        found += [
            Problem(
                ProblemCode.NO_WORKERS,
                f"Tasks wait and no worker of scheduler {scheduler.number} runs; the others have workers.",
                f"Start a controller of it, or workers, with DASK_GRAPHQL_SCHEDULER_NUMBER={scheduler.number}.",
                since,
            )
            for scheduler in seen.schedulers
            if scheduler.load and not scheduler.load["workers"]
            if scheduler.load["queued"] + scheduler.load["no_worker"]
        ]
    if fleet.get("problem") and fleet["problem"] == fleet.get("ceiling"):
        found.append(
            Problem(
                ProblemCode.FLEET_AT_MAXIMUM, _sentence(fleet["problem"]),
                "Raise DASK_GRAPHQL_MAX_COST_PER_HOUR or DASK_GRAPHQL_MAX_COST_PER_DAY if tasks should start sooner. "
                "A day's ceiling is free again at midnight UTC.",
                fleet.get("problem_since"),
            )
        )  # fmt: skip
    elif fleet.get("problem"):
        found.append(
            Problem(
                ProblemCode.WORKERS_CANNOT_START, _sentence(fleet["problem"]),
                "The controller tries again by itself. Tasks wait until then, or run on the workers that are left.",
                fleet.get("problem_since"),
            )
        )  # fmt: skip
    failed = [worker for worker in seen.load.get("starting", ()) if worker["error"]]
    found += [
        Problem(
            ProblemCode.WORKERS_CANNOT_START,
            f"The worker {worker['name']} could not start: {_sentence(worker['error'])}",
            "Mend the task modules or the worker states that it names. Another worker is started by itself.",
            seen.now - worker["seconds"],
            worker=worker["name"],
        )
        for worker in failed[:MAX_PER_CODE]
    ]
    maximum = fleet.get("max_workers") or 0
    if seen.waiting and (seen.oldest_seconds or 0) > LONG_WAIT_SECONDS and 0 < maximum <= (fleet.get("running") or 0):
        found.append(
            Problem(
                ProblemCode.FLEET_AT_MAXIMUM,
                f"All {maximum} workers that are allowed run, and {_tasks_wait(seen)}, the oldest for "
                f"{_duration(seen.oldest_seconds or 0)}.",
                "Raise DASK_GRAPHQL_MAX_WORKERS if they should start sooner.",
                since,
            )
        )
    return found


def _redis(seen: ClusterState) -> Sequence[Problem]:
    used, limit = seen.memory
    if not limit or used < NEARLY_FULL_FRACTION * limit:
        return ()
    effect = (
        "New tasks are refused"
        if used > FULL_FRACTION * limit
        else f"New tasks are refused from {FULL_FRACTION:.0%} on"
    )
    return [
        Problem(
            ProblemCode.REDIS_NEARLY_FULL,
            f"Redis uses {used / limit:.0%} of its memory ({used / 2**20:,.0f} of {limit / 2**20:,.0f} MB). {effect}.",
            "Give Redis more memory (`maxmemory`), keep results for less long (DASK_GRAPHQL_RESULT_TTL_SECONDS), or "
            "forget tasks that nobody needs.",
        )
    ]


def _failing_types(seen: ClusterState) -> list[Problem]:
    failing = {
        name: ended for name, ended in seen.ended.items()
        if ended.failed >= MANY_FAILURES and ended.failed >= FAILURE_SHARE * ended.count
    }  # fmt: skip
    found = []
    for name, ended in sorted(failing.items(), key=lambda item: -item[1].failed)[:MAX_PER_CODE]:
        code, count = ended.errors.most_common(1)[0] if ended.errors else ("", 0)
        mostly = f", {count:,} of them with {code}" if code else ""
        found.append(
            Problem(
                ProblemCode.TASK_TYPE_FAILS,
                f"{ended.failed:,} of {ended.count:,} tasks of {name} failed in the last {FAILURE_SECONDS // 60} "
                f"minutes{mostly}.",
                "Look at the errors of its failed tasks. Pause the type if its tasks must not be tried meanwhile.",
                name=name,
            )
        )
    return found


def _schedules(seen: ClusterState) -> list[Problem]:
    found = []
    for schedule in seen.schedules[:MAX_PER_CODE]:
        reason, advice = schedule.problem, REFUSED_ADVICE
        if schedule.unknown:
            reason, advice = f"this api node has no task type {schedule.task}", UNKNOWN_ADVICE
        found.append(
            Problem(
                ProblemCode.SCHEDULE_FAILS,
                f"The schedule {schedule.name} cannot submit {schedule.task}: {_sentence(reason)}",
                advice,
                None if schedule.due_at is None else schedule.due_at / 1000,
                name=schedule.task,
                schedule=schedule.name,
            )
        )
    return found


def _paused_types(seen: ClusterState) -> list[Problem]:
    return [
        Problem(
            ProblemCode.TASK_TYPE_PAUSED,
            f"{name} is paused: its tasks are accepted and wait.",
            f"Resume it by `dask-graphql types resume {name}`.",
            at,
            name=name,
        )
        for name, at in sorted(seen.paused.items(), key=lambda item: item[1])[:MAX_PER_CODE]
    ]


def _sentence(text: str) -> str:
    """A text as a sentence."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in '.!?' else '.'}"


def _duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
