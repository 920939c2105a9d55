"""The commands about schedules: `schedules list|set|pause|resume|run|delete|next|preview`."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from cluster.settings import load_settings
from dask_graphql.cli.failure import fail
from dask_graphql.cli.over_http import api_options, own_url, parse_values, run_command

F = TypeVar("F", bound=Callable[..., Any])


def timing_options(command: F) -> F:
    """Adds the options that say when a schedule runs."""
    for option in (
        click.option("--time-zone", default="UTC", show_default=True, callback=_check_zone,
                     help="Of --cron: an IANA name such as Europe/Berlin."),
        click.option("--every", "every_seconds", type=float, metavar="SECONDS",
                     help="An interval instead, of at least 10 s."),
        click.option("--cron", metavar="FIELDS",
                     help="Minute, hour, day of the month, month, day of the week: '30 2 * * *'."),
    ):  # fmt: skip
        command = option(command)
    return command


def _check_zone(context: click.Context, option: click.Parameter, value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError):
        raise click.BadParameter(f"{value!r} is no time zone; expected an IANA name such as Europe/Berlin") from None
    return value


@click.group("schedules")
def schedules() -> None:
    """Tasks that the api submits by itself, at set times. It asks over HTTP; a credential needs the scopes `submit` and
    `read`."""


@schedules.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON instead of a table.")
@api_options
def list_all(as_json: bool, url: str | None, token: str | None) -> None:
    """Lists the schedules with their next and last run."""
    run_command(_commands().list_schedules(url or own_url(load_settings()), token, as_json=as_json))


@schedules.command("set")
@click.argument("name")
@click.argument("task")
@click.argument("arguments", nargs=-1, metavar="[name=value ...]")
@timing_options
@click.option(
    "--overlap",
    type=click.Choice(["SKIP", "ALLOW", "CANCEL_PREVIOUS"], case_sensitive=False),
    default="SKIP",
    show_default=True,
    help="What happens to a run while the task of the one before is open.",
)
@click.option("--catch-up", "catch_up_seconds", type=float, metavar="SECONDS", help="How late a run may begin; 3600.")
@click.option("--priority", type=click.IntRange(-100, 100), default=0, help="Of its tasks, as of `submit`.")
@click.option("--tag", "tags", multiple=True, help="Of its tasks, beside schedule:NAME; up to 7.")
@api_options
def set_one(
    name: str, task: str, arguments: tuple[str, ...], url: str | None, token: str | None, **options: Any
) -> None:
    """Sets the schedule NAME, which submits TASK; values are JSON, anything else is a string, but @PATH a file."""
    address, values = url or own_url(load_settings()), parse_values(arguments)
    run_command(_commands().set_schedule(address, token, name, task, values, options))


@schedules.command("pause")
@click.argument("name")
@api_options
def pause(name: str, url: str | None, token: str | None) -> None:
    """Pauses a schedule: it submits nothing."""
    run_command(_commands().change_schedule(url or own_url(load_settings()), token, "pause", name))


@schedules.command("resume")
@click.argument("name")
@api_options
def resume(name: str, url: str | None, token: str | None) -> None:
    """Resumes a schedule, from now on."""
    run_command(_commands().change_schedule(url or own_url(load_settings()), token, "resume", name))


@schedules.command("run")
@click.argument("name")
@api_options
def run(name: str, url: str | None, token: str | None) -> None:
    """Submits what a schedule submits now, beside its ticks, and prints the task's id."""
    run_command(_commands().run_schedule(url or own_url(load_settings()), token, name))


@schedules.command("delete")
@click.argument("name")
@api_options
def delete(name: str, url: str | None, token: str | None) -> None:
    """Deletes a schedule. The tasks that it has submitted stay."""
    run_command(_commands().delete_schedule(url or own_url(load_settings()), token, name))


@schedules.command("next")
@click.argument("name")
@api_options
def print_next(name: str, url: str | None, token: str | None) -> None:
    """Prints when a schedule runs next, five times, in its time zone."""
    run_command(_commands().print_next(url or own_url(load_settings()), token, name))


@schedules.command("preview")
@timing_options
@click.option("--after", type=click.DateTime(), help="Preview from this time on, in the time zone; by default now.")
@click.option("--first", type=click.IntRange(1, 50), default=5, show_default=True, help="How many runs.")
@api_options
def preview(url: str | None, token: str | None, **options: Any) -> None:
    """Prints when a schedule with these options would run, without setting one."""
    run_command(_commands().print_preview(url or own_url(load_settings()), token, **options))


def _commands() -> ModuleType:
    """What the commands do; an image of a worker or a scheduler has no HTTP client."""
    try:
        from dask_graphql.client import schedules_command
    except ModuleNotFoundError as error:
        fail(f'this needs {error.name}: pip install "dask-graphql[client]"')
    return schedules_command
