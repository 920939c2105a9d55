"""The commands about submitted tasks, which are clients of an api: `tasks`, with those of `bulk.py` below it, `logs`,
`cancel`, `retry`."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType

import click

from cluster.settings import load_settings
from cluster.store.record import TaskState
from dask_graphql.cli import bulk
from dask_graphql.cli.failure import fail
from dask_graphql.cli.over_http import api_options, own_url, run_command


@click.group(invoke_without_command=True)
@click.option("--first", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many at most.")
@click.option("--state", type=click.Choice(list(TaskState), case_sensitive=False), help="Only tasks in this state.")
@click.option("--name", help="Only tasks of this task type.")
@click.option("--tag", help="Only tasks with this tag.")
@click.option("--follow", "-f", is_flag=True, help="Continue with every change of these tasks, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON instead of a table.")
@api_options
@click.pass_context
def tasks(
    context: click.Context,
    first: int,
    state: TaskState | None,
    name: str | None,
    tag: str | None,
    follow: bool,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Lists tasks over HTTP, newest first; its own commands are about many tasks at once. A credential needs the scope
    `read`."""
    if context.invoked_subcommand is not None:
        return
    commands = _commands("tasks")
    address = url or own_url(load_settings())
    wanted = {"state": None if state is None else state.value, "name": name, "tag": tag}
    with contextlib.suppress(KeyboardInterrupt):
        if follow:
            run_command(commands.follow_tasks(address, token, first=first, wanted=wanted, as_json=as_json))
        else:
            run_command(commands.list_tasks(address, token, first=first, wanted=wanted, as_json=as_json))


for _each in (bulk.cancel_many, bulk.retry_many, bulk.forget_many, bulk.failures):
    tasks.add_command(_each)


@click.command()
@click.argument("task_id")
@click.option("--follow", "-f", is_flag=True, help="Continue until the task has ended.")
@api_options
def logs(task_id: str, follow: bool, url: str | None, token: str | None) -> None:
    """Prints the newest lines that a task has printed or logged. A credential needs the scope `read`."""
    commands = _commands("logs")
    with contextlib.suppress(KeyboardInterrupt):
        run_command(commands.print_logs(url or own_url(load_settings()), token, task_id, follow=follow))


@click.command()
@click.argument("task_ids", nargs=-1, required=True, metavar="TASK_ID...")
@api_options
def cancel(task_ids: tuple[str, ...], url: str | None, token: str | None) -> None:
    """Cancels tasks. The exit status is 1 if one of them had already ended otherwise."""
    commands = _commands("cancel")
    sys.exit(run_command(commands.cancel_tasks(url or own_url(load_settings()), token, task_ids)))


@click.command()
@click.argument("task_id")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@api_options
def retry(task_id: str, wait: bool, url: str | None, token: str | None) -> None:
    """Submits a task that failed or was cancelled again, with the same input."""
    commands = _commands("retry")
    sys.exit(run_command(commands.retry_task(url or own_url(load_settings()), token, task_id, wait=wait)))


def _commands(name: str) -> ModuleType:
    """What the commands do; an image of a worker or a scheduler has no HTTP client."""
    try:
        from dask_graphql.client import tasks_command
    except ModuleNotFoundError as error:
        fail(f'{name} needs {error.name}: pip install "dask-graphql[client]"')
    return tasks_command
