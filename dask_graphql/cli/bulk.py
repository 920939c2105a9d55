"""The commands about many tasks at once: `tasks cancel`, `tasks retry`, `tasks forget`, `tasks failures`."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import click

from cluster.settings import load_settings
from cluster.store.record import TaskState
from dask_graphql.cli.failure import fail
from dask_graphql.cli.over_http import api_options, own_url, run_command

UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
"""Seconds of the units of a time span."""


def parse_time(text: str, now: datetime.datetime) -> datetime.datetime:
    """A time: a span before now (`90s`, `30m`, `24h`, `7d`), or ISO 8601; without a zone it is that of this machine.

    Raises:
        ValueError: it is neither.
    """
    span = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if span:
        return now - datetime.timedelta(seconds=int(span[1]) * UNITS[span[2]])
    return datetime.datetime.fromisoformat(text).astimezone()


class _Time(click.ParamType):  # type: ignore[type-arg] # not generic in earlier releases
    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime.datetime:
        try:
            return parse_time(value, datetime.datetime.now(datetime.UTC))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither a time span (90s, 30m, 24h, 7d) nor a time in ISO 8601", param, ctx)


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options by which tasks are chosen; `where_of` makes a filter of them."""
    states = click.Choice(list(TaskState), case_sensitive=False)
    for option in (
        click.option("--id", "ids", multiple=True, help="With this task id; may be repeated, as those below."),
        click.option("--state", "states", type=states, multiple=True, help="In this state."),
        click.option("--type", "names", multiple=True, help="Of this task type."),
        click.option("--tag", "tags", multiple=True, help="With this tag."),
        click.option("--error", "error_codes", multiple=True, metavar="CODE", help="With an error of this code."),
        click.option(
            "--failure", "failure_group", metavar="KEY", help="Failed as those of a group: a key of `tasks failures`."
        ),
        click.option("--worker", help="Whose latest attempt ran on this worker."),
        click.option("--by", "submitted_by", help="Submitted by this caller."),
        click.option("--text", help="With this text in id, type, input, tags or error."),
        click.option("--since", "submitted_after", type=_Time(), help="Submitted then or later: 24h ago, or ISO 8601."),
        click.option("--until", "submitted_before", type=_Time(), help="Submitted before then."),
    ):
        command = option(command)
    return command


def where_of(options: dict[str, Any]) -> dict[str, Any]:
    """The filter of `filter_options`, without what was not given."""
    where = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if value}
    if "states" in where:
        where["states"] = [state.value for state in where["states"]]
    return where


def _bulk_command(verb: str, text: str) -> click.Command:
    @click.command(verb, help=text)
    @filter_options
    @click.option("--dry-run", is_flag=True, help="Change nothing, and print what would be done.")
    @click.option("--yes", is_flag=True, help="Do not count first and ask.")
    @api_options
    def command(dry_run: bool, yes: bool, url: str | None, token: str | None, **options: Any) -> None:
        where = where_of(options)
        if not where:
            fail(f"choose tasks, such as with --state or --id: `dask-graphql tasks {verb} --help`")
        work = _commands().act_on_tasks(
            url or own_url(load_settings()), token, verb, where, dry_run=dry_run,
            confirm=None if yes else lambda sentence: click.confirm(f"{sentence}. Go on?", err=True),
        )  # fmt: skip
        sys.exit(run_command(work))

    return command


cancel_many = _bulk_command("cancel", "Cancels the open tasks that are chosen.")
retry_many = _bulk_command("retry", "Submits the tasks that are chosen and failed or were cancelled again.")
forget_many = _bulk_command("forget", "Deletes the tasks that are chosen and have ended, with their results.")


@click.command("failures")
@filter_options
@click.option("--first", type=click.IntRange(1, 100), default=20, show_default=True, help="How many groups at most.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON instead of a table.")
@api_options
def failures(first: int, as_json: bool, url: str | None, token: str | None, **options: Any) -> None:
    """Groups failed tasks by what went wrong, of those chosen the 2,000 that were submitted last."""
    address = url or own_url(load_settings())
    run_command(_commands().print_failures(address, token, where_of(options), first=first, as_json=as_json))


def _commands() -> ModuleType:
    """What the commands do; an image of a worker or a scheduler has no HTTP client."""
    try:
        from dask_graphql.client import bulk_command
    except ModuleNotFoundError as error:
        fail(f'this needs {error.name}: pip install "dask-graphql[client]"')
    return bulk_command
