"""`dask-graphql tasks cancel|retry|forget` and `tasks failures`: many tasks at once, over the public api."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dask_graphql.client.async_client import AsyncClient
from dask_graphql.client.bulk import BulkResult, FailureGroup
from dask_graphql.client.submit_command import WAIT_SECONDS
from dask_graphql.client.tasks_command import open_client

Confirm = Callable[[str], bool]


async def act_on_tasks(
    url: str, token: str | None, verb: str, where: Mapping[str, Any], *, dry_run: bool, confirm: Confirm | None
) -> int:
    """Cancels, retries or forgets the tasks that a filter means, and prints what became of them as a line of JSON.

    Args:
        verb: `cancel`, `retry` or `forget`.
        confirm: asks the user, with a sentence about what would be done; None to ask nobody.

    Returns:
        The exit code: 1 if a task was refused, or the user declined.

    Raises:
        ClientError: the api refuses, or does not respond; what was done until then is done.
    """
    async with open_client(url, token, WAIT_SECONDS) as client:
        if dry_run or confirm is not None:
            counted = await _with_progress(client, verb, where, dry_run=True, total=None)
            if dry_run:
                return _finish(counted)
            if not counted.done:
                print(_sentence(counted, verb), file=sys.stderr)
                return _finish(counted)
            if confirm is not None and not confirm(_sentence(counted, verb)):
                return 1
            total: int | None = counted.matched
        else:
            total = None
        return _finish(await _with_progress(client, verb, where, dry_run=False, total=total))


async def _with_progress(
    client: AsyncClient, verb: str, where: Mapping[str, Any], *, dry_run: bool, total: int | None
) -> BulkResult:
    act = getattr(client, f"{verb}_tasks")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} tasks"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        shown = progress.add_task("counting" if dry_run else verb, total=total)

        def on_page(so_far: BulkResult) -> None:
            progress.update(shown, completed=so_far.matched)

        result: BulkResult = await act(where, dry_run=dry_run, on_page=on_page)
    return result


def _sentence(counted: BulkResult, verb: str) -> str:
    """What would be done, for people."""
    others = f", {counted.wanted_by_others} of which others submitted too" if counted.wanted_by_others else ""
    refused = "".join(f"; {each.count} would be refused ({each.code}: {each.message})" for each in counted.refused)
    return f"{counted.matched} tasks are meant: {verb} {counted.done} of them{others}{refused}"


def _finish(result: BulkResult) -> int:
    print(json.dumps(asdict(result)), flush=True)
    return 1 if result.refused else 0


async def print_failures(url: str, token: str | None, where: Mapping[str, Any], *, first: int, as_json: bool) -> None:
    """Prints failed tasks by what went wrong.

    Raises:
        ClientError: the api refuses, or does not respond.
    """
    async with open_client(url, token) as client:
        groups = await client.failures(where, first)
    if as_json:
        for group in groups:
            print(json.dumps(asdict(group), default=str), flush=True)
    else:
        Console().print(render(groups))


def render(groups: list[FailureGroup]) -> Table:
    """The table of failed tasks."""
    table = Table("tasks", "task", "code", "error", "last (UTC)", "key")
    for group in groups:
        kind = f"{group.type}: " if group.type else ""
        table.add_row(
            str(group.count), group.name, group.code, kind + group.message,
            "" if group.newest_at is None else f"{group.newest_at:%Y-%m-%d %H:%M:%S}", group.key,
        )  # fmt: skip
    return table
