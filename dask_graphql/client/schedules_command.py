"""`dask-graphql schedules`: what an api submits by itself, over the public api."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping
from typing import Any, Literal
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from dask_graphql.client.schedules import Schedule
from dask_graphql.client.submit_command import check_lists
from dask_graphql.client.task_types import find
from dask_graphql.client.tasks_command import open_client

MOMENT = "%Y-%m-%d %H:%M %Z"


async def list_schedules(url: str, token: str | None, *, as_json: bool) -> None:
    """Prints the schedules as a table, or as lines of JSON.

    Raises:
        ClientError: the api refuses, or does not respond. So do all functions here.
    """
    async with open_client(url, token) as client:
        found = await client.schedules()
    if not as_json:
        Console().print(render(found))
    for schedule in found if as_json else ():
        print_json(schedule)


async def set_schedule(
    url: str, token: str | None, name: str, task: str, values: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    """Sets a schedule, and prints it as a line of JSON.

    Args:
        values: the arguments of the task.
        options: those of `AsyncClient.set_schedule`.
    """
    async with open_client(url, token) as client:
        check_lists(find(await client.task_types(), task), values)
        print_json(await client.set_schedule(name, task, values, **options))


async def change_schedule(url: str, token: str | None, verb: Literal["pause", "resume"], name: str) -> None:
    """Pauses or resumes a schedule, and prints it as a line of JSON."""
    async with open_client(url, token) as client:
        print_json(await (client.pause_schedule if verb == "pause" else client.resume_schedule)(name))


async def delete_schedule(url: str, token: str | None, name: str) -> None:
    """Deletes a schedule."""
    async with open_client(url, token) as client:
        await client.delete_schedule(name)


async def print_next(url: str, token: str | None, name: str) -> None:
    """Prints the next ticks of a schedule, in its time zone, one a line."""
    async with open_client(url, token) as client:
        schedule = await client.schedule(name)
    for at in schedule.next_runs:
        print(at.astimezone(ZoneInfo(schedule.time_zone)).isoformat())


async def print_preview(
    url: str,
    token: str | None,
    cron: str | None,
    every_seconds: float | None,
    time_zone: str,
    after: datetime.datetime | None,
    first: int,
) -> None:
    """Prints when a schedule would run, in its time zone, one a line."""
    if after is not None and after.tzinfo is None:
        after = after.replace(tzinfo=ZoneInfo(time_zone))
    async with open_client(url, token) as client:
        ticks = await client.preview_schedule(
            cron=cron, every_seconds=every_seconds, time_zone=time_zone, after=after, first=first
        )
    for at in ticks:
        print(at.astimezone(ZoneInfo(time_zone)).isoformat())


async def run_schedule(url: str, token: str | None, name: str) -> None:
    """Submits what a schedule submits, and prints the task's id."""
    async with open_client(url, token) as client:
        print((await client.run_schedule(name)).task_id)


def print_json(schedule: Schedule) -> None:
    print(json.dumps(dataclasses.asdict(schedule), default=datetime.datetime.isoformat), flush=True)


def render(schedules: list[Schedule]) -> Table:
    """The table of some schedules."""
    table = Table("schedule", "task", "when", "next", "last")
    for schedule in schedules:
        zone = ZoneInfo(schedule.time_zone)
        when = (
            f"every {schedule.every_seconds:g} s" if schedule.cron is None else f"{schedule.cron} {schedule.time_zone}"
        )
        upcoming = [f"{at.astimezone(zone):{MOMENT}}" for at in schedule.next_runs[:1]]
        last = [f"{run.outcome} {run.at.astimezone(zone):{MOMENT}}" for run in schedule.runs[:1]]
        table.add_row(
            schedule.name, schedule.task, when, "paused" if schedule.paused_at else "".join(upcoming) or "never",
            schedule.problem or "".join(last),
        )  # fmt: skip
    return table
