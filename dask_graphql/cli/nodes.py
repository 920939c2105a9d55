"""The commands that run nodes: the whole system on this machine, or one node of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cluster.observability.multiprocess import count_as, multiprocess_metrics
from cluster.scheduling.dask_config import keep_dask_in
from cluster.settings import Settings, load_settings, variable_of
from cluster.settings.parsers import MAX_SCHEDULERS, InvalidValue, process_count
from cluster.system.event_loop import new_loop
from cluster.task_types.task_modules import located


def serve(
    settings: Settings, role: str, run: Callable[[asyncio.Event], Coroutine[Any, Any, None]], name: str = ""
) -> None:
    """Runs a node until SIGTERM or Ctrl-C.

    Args:
        role: `scheduler`, `worker`, `controller`, or `dev` for all of them.
        name: the node's name, if it has one.
    """
    keep_dask_in(Path(settings.data_dir).absolute())
    # Imported here: `shared_counts` of a worker must have set the metrics directory of its processes first.
    from cluster.observability.logs import set_up_logging
    from cluster.observability.metrics_server import serve_metrics
    from cluster.system.cloudwatch_metrics import publish_metrics

    set_up_logging(settings, role, name)

    async def body() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with serve_metrics(settings, role), publish_metrics(settings, role):
            await run(stop)

    with asyncio.Runner(loop_factory=new_loop if role == "scheduler" else None) as runner:
        runner.run(body())


class ProcessCount(click.ParamType[int]):
    """A number of processes, or `auto`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return process_count(str(value))
        except InvalidValue as invalid:
            self.fail(str(invalid), param, ctx)


PROCESSES_OPTION = click.option(
    "--processes", type=ProcessCount(), help="Number of api processes that share the port, or auto: one for each core."
)


@click.command()
@click.argument("task_modules", nargs=-1, metavar="[FILE.py | MODULE]...")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the api.")
@click.option("--host", help="Address that the api listens on.")
@PROCESSES_OPTION
@click.option("--max-workers", type=click.IntRange(1), help="Maximum number of worker processes, of each scheduler.")
@click.option(
    "--schedulers",
    type=click.IntRange(1, MAX_SCHEDULERS),
    default=1,
    help="How many schedulers share the tasks (1 by default), each with a controller and workers of its own.",
)
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder of data and logs.")
@click.option(
    "--tls/--no-tls",
    default=True,
    help="TLS between scheduler, workers and clients, with certificates made at each start (the default). Without it, "
    "every user of this machine can run code on the workers.",
)
@click.option(
    "--reload/--no-reload",
    default=True,
    help="Serve each change of the task modules within seconds (the default); tasks that run start again.",
)
@click.option("--dashboard", is_flag=True, help="Dask's dashboard on a free port of this machine (needs bokeh).")
def dev(
    task_modules: tuple[str, ...],
    port: int | None,
    host: str | None,
    processes: int | None,
    max_workers: int | None,
    schedulers: int,
    data_dir: Path | None,
    tls: bool,
    reload: bool,
    dashboard: bool,
) -> None:
    """Runs the whole system on this machine, with the task functions of these files, packages and modules.

    It starts Redis, the scheduler, a controller with local workers, and an api node. Modules that
    DASK_GRAPHQL_TASK_MODULES names are served too. In this system the version of each task type ends with a hash of its
    source, so that a changed function never serves an old result, and tasks keep their tracebacks.
    """
    settings = load_settings(port=port, host=host, api_processes=processes, max_workers=max_workers, data_dir=data_dir)
    entries = (*settings.task_modules, *(located(text, Path.cwd()) for text in task_modules))
    # What is set in the environment stays as it is set.
    settings = replace(
        settings,
        task_modules=tuple(dict.fromkeys(entries)),
        reload_task_modules=reload,
        source_versions=settings.source_versions or not os.environ.get(variable_of("source_versions")),
        expose_tracebacks=settings.expose_tracebacks or not os.environ.get(variable_of("expose_tracebacks")),
    )
    from dask_graphql.dev_system import run_local

    serve(
        replace(settings, metrics_port=0),
        "dev",
        lambda stop: run_local(settings, stop, tls=tls, dashboard=dashboard, schedulers=schedulers),
    )


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the api.")
@click.option("--host", help="Address that the api listens on.")
@PROCESSES_OPTION
@click.option("--process", "number", type=int, hidden=True)
@click.option("--channel", type=int, hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def api(
    port: int | None,
    host: str | None,
    processes: int | None,
    number: int | None,
    channel: int | None,
    folder: Path | None,
) -> None:
    """Runs one api node, in one process or in several that share the port."""
    settings = load_settings(port=port, host=host, api_processes=processes)
    keep_dask_in(Path(settings.data_dir).absolute())
    if number is not None and channel is not None and folder is not None:
        count_as(f"api-{number}")
        from graphql_api.processes.member import Member
        from graphql_api.serve import run_api

        run_api(settings, Member(folder, number, channel))
    elif settings.api_processes == 1:
        from graphql_api.serve import run_api

        run_api(settings)
    else:
        count_as("api-parent")
        with multiprocess_metrics(settings, "api-") as shared:
            from graphql_api.processes.command import run_processes

            run_processes(settings, shared)


@click.command()
def scheduler() -> None:
    """Runs the Dask scheduler."""
    settings = load_settings()
    from cluster.scheduling.scheduler_node import run_scheduler

    serve(settings, "scheduler", lambda stop: run_scheduler(settings, stop))


@click.command()
@click.option("--name", help="Name of the worker, unique among running workers.")
def worker(name: str | None) -> None:
    """Runs one Dask worker."""
    settings = load_settings()
    keep_dask_in(Path(settings.data_dir).absolute())
    counted = settings.metrics_port or settings.cloudwatch_namespace
    with multiprocess_metrics(settings) if counted else contextlib.nullcontext():
        from cluster.worker.node import run_worker

        serve(settings, "worker", lambda stop: run_worker(settings, stop, name=name), name or "")


@click.command()
def controller() -> None:
    """Starts and stops workers.

    The workers are processes on this machine, or tasks of an ECS cluster (DASK_GRAPHQL_FLEET).
    """
    settings = load_settings()
    from cluster.controller.fleets.ecs import EcsFleet
    from cluster.controller.fleets.local import LocalFleet
    from cluster.controller.reconciler import run_controller

    fleet = EcsFleet(settings) if settings.fleet == "ecs" else LocalFleet(settings)
    serve(settings, "controller", lambda stop: run_controller(settings, fleet, stop))
