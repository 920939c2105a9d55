"""`dask-graphql tasks`, `logs`, `cancel` and `retry`: what a shell asks about tasks, over the public api."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dask_graphql.client.async_client import AsyncClient
from dask_graphql.client.async_handle import AsyncHandle
from dask_graphql.client.html import error_text
from dask_graphql.client.log_lines import LogLine
from dask_graphql.client.submit_command import SUBMIT_SECONDS, WAIT_SECONDS, wait_and_print
from dask_graphql.client.task_list import TaskList

STYLES: Final = {"FAILED": "bold red", "CANCELLED": "yellow", "SUCCEEDED": "green", "RUNNING": "bold"}


def open_client(url: str, token: str | None, patience_seconds: float = SUBMIT_SECONDS) -> AsyncClient:
    """A client for one command: a wrong address fails at once."""
    return AsyncClient(url, token, patience_seconds=patience_seconds, connect_seconds=0)


async def list_tasks(
    url: str, token: str | None, *, first: int, wanted: Mapping[str, str | None], as_json: bool
) -> None:
    """Prints the newest tasks as a table or as lines of JSON.

    Args:
        wanted: `state`, `name` and `tag` of the tasks; None for any.

    Raises:
        ClientError: the api refuses, or does not respond.
    """
    async with open_client(url, token) as client:
        _print_tasks(await client.tasks(first, **wanted), as_json)


async def follow_tasks(
    url: str, token: str | None, *, first: int, wanted: Mapping[str, str | None], as_json: bool
) -> None:
    """As `list_tasks`, and then prints a line for every change, until it is cancelled. The list is printed again if
    changes may have been missed.

    Raises:
        ClientError: the api refuses, or does not respond.
    """
    state, name = wanted["state"], wanted["name"]
    where = {"states": state and [state], "names": name and [name], "tag": wanted["tag"]}
    async with open_client(url, token, WAIT_SECONDS) as client, aclosing(client.changes(where)) as changes:
        async for change in changes:
            if change.reset:
                _print_tasks(await client.tasks(first, **wanted), as_json)
            elif as_json:
                print(json.dumps(asdict(change), default=str), flush=True)
            else:
                name = "" if change.task is None else change.task.name
                print(f"{change.at:%Y-%m-%dT%H:%M:%S}Z {change.kind} {name} {change.task_id}", flush=True)


def _print_tasks(tasks: TaskList, as_json: bool) -> None:
    if as_json:
        for task in tasks:
            print(json.dumps(asdict(task), default=str), flush=True)
    else:
        Console().print(render(tasks))


def render(tasks: TaskList) -> Table:
    """The table of a list of tasks."""
    table = Table("task", "id", "state", "progress", "submitted (UTC)", "waits for, or error")
    for task in tasks:
        table.add_row(
            task.name, task.task_id, Text(task.state, STYLES.get(task.state, "")),
            "" if task.progress is None else f"{task.progress:.0%}", f"{task.submitted_at:%Y-%m-%d %H:%M:%S}",
            Text(str(task.waiting or "") if task.error is None else error_text(task.error)),
        )  # fmt: skip
    return table


async def print_logs(url: str, token: str | None, task_id: str, *, follow: bool) -> None:
    """Prints the lines that a task has printed or logged; with `follow` also those to come, until the task has ended.

    Raises:
        ClientError: the api refuses, does not know the task, or does not respond.
    """
    async with open_client(url, token, WAIT_SECONDS if follow else SUBMIT_SECONDS) as client:
        handle = client.task(task_id)
        if not follow:
            for line in await handle.logs():
                _print_line(line)
            return
        async with aclosing(handle.logs(follow=True)) as lines:
            async for line in lines:
                _print_line(line)


def _print_line(line: LogLine) -> None:
    if line.dropped:
        print(f"({line.dropped} lines before were dropped)", file=sys.stderr, flush=True)
    print(f"{line.at:%Y-%m-%dT%H:%M:%S}Z {line.level} {line.text}", flush=True)


async def cancel_tasks(url: str, token: str | None, task_ids: Sequence[str]) -> int:
    """Cancels tasks and prints a line of JSON for each. Returns the exit code: 1 if one had already ended otherwise.

    Raises:
        ClientError: the api refuses, does not know a task, or does not respond; those before it are cancelled.
    """
    done = True
    async with open_client(url, token) as client:
        for handle in [client.task(task_id) for task_id in task_ids]:
            done = await handle.cancel() and done
            _print_state(handle)
    return 0 if done else 1


async def retry_task(url: str, token: str | None, task_id: str, *, wait: bool) -> int:
    """Submits a task that failed or was cancelled again, and prints what `submit` prints. Returns the exit code.

    Raises:
        ClientError: the api refuses, does not know the task, or does not respond.
    """
    async with open_client(url, token, WAIT_SECONDS if wait else SUBMIT_SECONDS) as client:
        handle = client.task(task_id)
        await handle.retry()
        return await wait_and_print(handle, wait=wait)


def _print_state(handle: AsyncHandle) -> None:
    print(json.dumps({"taskId": handle.task_id, "state": handle.last_state}))
    sys.stdout.flush()
