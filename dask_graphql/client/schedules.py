"""Schedules: what an api submits by itself."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

FIELDS: Final = """name task input cron everySeconds timeZone overlap catchUpSeconds priority tags ttlSeconds pausedAt
  nextRuns(first: 5) runs { at outcome taskId } problem setBy setAt"""
SCHEDULES: Final = f"{{ schedules {{ {FIELDS} }} }}"
SCHEDULE: Final = f"query($name: String!) {{ schedule(name: $name) {{ {FIELDS} }} }}"
SET: Final = f"""mutation($name: String!, $schedule: ScheduleDefinition!) {{
  schedule: setSchedule(name: $name, schedule: $schedule) {{ {FIELDS} }} }}"""
PAUSE: Final = f"mutation($name: String!) {{ schedule: pauseSchedule(name: $name) {{ {FIELDS} }} }}"
RESUME: Final = f"mutation($name: String!) {{ schedule: resumeSchedule(name: $name) {{ {FIELDS} }} }}"
RUN: Final = "mutation($name: String!) { submission: runSchedule(name: $name) { taskId } }"
PREVIEW: Final = """query($cron: String, $everySeconds: Float, $timeZone: String!, $after: DateTime, $first: Int!) {
  ticks: schedulePreview(cron: $cron, everySeconds: $everySeconds, timeZone: $timeZone, after: $after,
    first: $first) }"""
DELETE: Final = "mutation($name: String!) { deleteSchedule(name: $name) }"


@dataclass(frozen=True)
class ScheduleRun:
    """A tick that is over.

    Attributes:
        at: when it was due.
        outcome: SUBMITTED, SKIPPED or MISSED.
        task_id: the task that it submitted; None if it submitted none.
    """

    at: datetime.datetime
    outcome: str
    task_id: str | None


@dataclass(frozen=True)
class Schedule:
    """A schedule of the api. Times are in UTC.

    Attributes:
        task: name of the task type.
        input: the arguments in canonical form.
        cron: five fields, in `time_zone`; None if it has an interval.
        every_seconds: the interval; None if it has `cron`.
        overlap: what happens while the task of the tick before is open: SKIP, ALLOW or CANCEL_PREVIOUS.
        catch_up_seconds: how late a tick is still submitted.
        paused_at: since when it is paused; None if it is not.
        next_runs: the next five ticks; none while it is paused.
        runs: its last ten ticks, the newest first.
        problem: why the tick that is due could not be submitted yet, or was missed; None if there is none.
        set_by: who set it last; None if the caller may not know.
    """

    name: str
    task: str
    input: dict[str, Any]
    cron: str | None
    every_seconds: float | None
    time_zone: str
    overlap: str
    catch_up_seconds: float
    priority: int
    tags: tuple[str, ...]
    ttl_seconds: float | None
    paused_at: datetime.datetime | None
    next_runs: tuple[datetime.datetime, ...]
    runs: tuple[ScheduleRun, ...]
    problem: str | None
    set_by: str | None
    set_at: datetime.datetime


def to_schedule(wire: Mapping[str, Any]) -> Schedule:
    """A schedule as the api sent it."""
    time = datetime.datetime.fromisoformat
    return Schedule(
        name=wire["name"], task=wire["task"], input=wire["input"], cron=wire["cron"],
        every_seconds=wire["everySeconds"], time_zone=wire["timeZone"], overlap=wire["overlap"],
        catch_up_seconds=wire["catchUpSeconds"], priority=wire["priority"], tags=tuple(wire["tags"]),
        ttl_seconds=wire["ttlSeconds"], paused_at=None if wire["pausedAt"] is None else time(wire["pausedAt"]),
        next_runs=tuple(map(time, wire["nextRuns"])),
        runs=tuple(ScheduleRun(time(run["at"]), run["outcome"], run["taskId"]) for run in wire["runs"]),
        problem=wire["problem"], set_by=wire["setBy"], set_at=time(wire["setAt"]),
    )  # fmt: skip


def to_definition(
    task: str,
    plain: Mapping[str, Any],
    *,
    cron: str | None,
    every_seconds: float | None,
    time_zone: str,
    overlap: str,
    catch_up_seconds: float | None,
    priority: int,
    tags: Sequence[str],
    ttl_seconds: float | None,
) -> dict[str, Any]:
    """The GraphQL input `ScheduleDefinition`."""
    made = {
        "task": task, "input": dict(plain), "cron": cron, "everySeconds": every_seconds, "timeZone": time_zone,
        "overlap": overlap, "priority": priority, "tags": list(tags), "ttlSeconds": ttl_seconds,
    }  # fmt: skip
    return made if catch_up_seconds is None else made | {"catchUpSeconds": catch_up_seconds}


def preview_request(
    cron: str | None, every_seconds: float | None, time_zone: str, after: datetime.datetime | None, first: int
) -> tuple[str, dict[str, Any]]:
    """The document and the variables of a preview. `after` without a time zone is local time, as Python has it."""
    moment = None if after is None else after.astimezone(datetime.UTC).isoformat()
    return PREVIEW, {
        "cron": cron, "everySeconds": every_seconds, "timeZone": time_zone, "after": moment, "first": first,
    }  # fmt: skip


def to_ticks(data: Mapping[str, Any]) -> list[datetime.datetime]:
    """The answer to a preview."""
    return [datetime.datetime.fromisoformat(tick) for tick in data["ticks"]]
