"""The commands that are clients of an api, as any program is: `submit`, `status`, `usage`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from cluster.settings import Settings, load_settings
from dask_graphql.cli.failure import fail

T = TypeVar("T")


def own_url(settings: Settings) -> str:
    """The URL of the api with these settings."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - as one connects to it
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def api_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every command here has."""
    command = click.option(
        "--token", envvar="DASK_GRAPHQL_TOKEN", show_envvar=True, help="Sent as Authorization: Bearer."
    )(command)
    return click.option(
        "--url", default=None, help="URL of the api. Default: from DASK_GRAPHQL_HOST and DASK_GRAPHQL_PORT."
    )(command)


def run_command(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command that asks an api; if there is none, the error says how to set its address."""
    from dask_graphql.client.errors import ApiUnavailable

    try:
        return asyncio.run(work)
    except ApiUnavailable as error:
        fail(f"{error}; set the api's address with --url, or with DASK_GRAPHQL_HOST and DASK_GRAPHQL_PORT")


@click.command()
@click.option("--account", help="The tenant. Default: your own; another needs a key with the scope `admin`.")
@click.option("--all", "everybody", is_flag=True, help="All tenants, those first that use most bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON instead of a table.")
@api_options
def usage(account: str | None, everybody: bool, as_json: bool, url: str | None, token: str | None) -> None:
    """Shows what a tenant uses and may use, over HTTP. An API key needs the scope `read`."""
    settings = load_settings()
    try:
        from dask_graphql.client.usage_command import show_usage
    except ModuleNotFoundError as error:
        fail(f'usage needs {error.name}: pip install "dask-graphql[client]"')

    run_command(show_usage(url or own_url(settings), token, account, everybody=everybody, as_json=as_json))


@click.command()
@click.argument("task")
@click.argument("arguments", nargs=-1, metavar="[name=value ...]")
@click.option("--file", "files", multiple=True, metavar="name=PATH", help="Upload a file: the same as name=@PATH.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option("--recompute", is_flag=True, help="Run the task again even if a result is kept.")
@click.option(
    "--priority",
    type=click.IntRange(-100, 100),
    default=0,
    help="Tasks with a higher priority run first. Above 0 it needs the scope `priority`.",
)
@click.option("--tag", "tags", multiple=True, help="A text by which you recognise the task; up to 8.")
@click.option("--webhook", metavar="URL", help="Tell this URL of the task's end.")
@click.option(
    "--run-key",
    metavar="TEXT",
    help="Run the task once for this key, whatever results of the same input are kept.",
)
@api_options
def submit(
    task: str,
    arguments: tuple[str, ...],
    files: tuple[str, ...],
    wait: bool,
    recompute: bool,
    priority: int,
    tags: tuple[str, ...],
    webhook: str | None,
    run_key: str | None,
    url: str | None,
    token: str | None,
) -> None:
    """Submits TASK over HTTP, as any client would. Values are JSON; anything else is a string, but @PATH a file to
    upload."""
    settings = load_settings()
    try:
        from dask_graphql.client.submissions import SubmitOptions
        from dask_graphql.client.submit_command import submit_and_print
    except ModuleNotFoundError as error:
        # The image of a worker or a scheduler has no HTTP client.
        fail(f'submit needs {error.name}: pip install "dask-graphql[client]"')

    values: dict[str, Any] = {}
    for argument in files:
        name, equals, path = argument.partition("=")
        if not equals or not name or not path:
            fail(f"expected --file name=PATH, not {argument!r}")
        values[name] = Path(path)
    values |= parse_values(arguments)
    chosen = SubmitOptions(recompute=recompute, priority=priority, tags=tags, webhook=webhook, run_key=run_key)
    options = None if chosen == SubmitOptions() else chosen
    work = submit_and_print(url or own_url(settings), token, task, values, wait=wait, options=options)
    sys.exit(run_command(work))


def parse_values(arguments: Sequence[str]) -> dict[str, Any]:
    """The arguments of a task, each given as `name=value`: JSON, `@PATH` for a file, or else a string."""
    values: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            fail(f"expected an argument of the form name=value, not {argument!r}")
        if text.startswith("@"):
            values[name] = Path(text[1:])
            continue
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


@click.command()
@click.option("--once", is_flag=True, help="Show it once and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON instead of tables.")
@api_options
def status(once: bool, as_json: bool, url: str | None, token: str | None) -> None:
    """Shows scheduler, workers and tasks.

    It reads them over HTTP, and updates the tables until Ctrl-C. A credential needs the scope `read`.
    """
    settings = load_settings()
    try:
        from dask_graphql.client.status_command import show_status
    except ModuleNotFoundError as error:
        fail(f'status needs {error.name}: pip install "dask-graphql[client]"')

    with contextlib.suppress(KeyboardInterrupt):
        run_command(show_status(url or own_url(settings), token, once=once, as_json=as_json))
