"""The whole system on one machine: a real Redis, a real scheduler, the controller with its local fleet, one api node.

The nodes are the same as in a deployment; this module only chooses ports and starts and stops the processes in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import stat
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cluster.settings import Settings, check_public
from cluster.system.tls import FILES, make_certificates
from dask_graphql.dev_processes import CannotStart, DevProcesses
from dask_graphql.dev_reload import Reloader
from dask_graphql.redis_server import private_redis, redis_binary, security_warning, wait_for_redis

logger = logging.getLogger(__name__)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that is free now."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def check_port_free(host: str, port: int) -> None:
    """Raises CannotStart if the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"port {port} on {host} cannot be used ({error.strerror}); choose another: --port, or make run PORT=..."
            ) from error


async def run_local(
    settings: Settings, stop: asyncio.Event, *, tls: bool = True, dashboard: bool = False, schedulers: int = 1
) -> None:
    """Starts the system, prints its addresses, and stops it when `stop` is set. A process that ends in between is
    restarted; the others keep running.

    Other users of the machine cannot read its files or use its Redis and scheduler. All files that this process and its
    children create from now on are private, those of task functions too.

    Args:
        tls: whether scheduler, workers and clients use TLS, with certificates made in the data folder. Without it,
            every user of this machine can run code as this one.
        dashboard: whether Dask's dashboard is served on a free port of loopback, where every user of this machine sees
            the arguments of tasks; a DASHBOARD of the settings is served in any case, of the first scheduler.
        schedulers: how many there are, each with a controller and workers of its own.

    Raises:
        CannotStart: bokeh is missing for the dashboard, the data folder cannot be used, a port is in use, or a process
            does not start.
    """
    check_public(settings)
    check_port_free(settings.host, settings.port)
    if dashboard and find_spec("bokeh") is None:
        raise CannotStart('Dask\'s dashboard needs bokeh: pip install "dask-graphql[dashboard]"')
    binary = redis_binary()
    folder = Path(settings.data_dir).absolute()
    os.umask(0o077)
    make_private(folder)
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    with _locked(folder):
        redis = private_redis(binary, folder, free_port)
        addresses = tuple(f"{'tls' if tls else 'tcp'}://127.0.0.1:{free_port()}" for _ in range(schedulers))
        tls_files: dict[str, Any] = _certificates(folder / "tls") if tls else dict.fromkeys(FILES, "")
        settings = replace(
            settings,
            data_dir=folder,
            redis_url=redis.url,
            scheduler=addresses[0],
            schedulers=addresses if schedulers > 1 else (),
            scheduler_number=0,
            scheduler_listen="",
            **tls_files,
            dashboard=settings.dashboard or (f"127.0.0.1:{free_port()}" if dashboard else ""),
            # Ctrl-C stops a local system at once; interrupted tasks run again at the next start.
            drain_seconds=min(settings.drain_seconds, 1.0),
            worker_logs=str(logs),
            # A person reads them, also in a container.
            log_format="text" if settings.log_format == "auto" else settings.log_format,
        )
        async with DevProcesses(logs) as processes, Reloader(settings, logs, processes.child) as reloader:
            redis_child = await processes.start("redis", redis.command)
            # The nodes wait for Redis by themselves; starting everything at once keeps the start short.
            for number in range(schedulers):
                # Each node gets a port of its own, counted up from METRICS_PORT.
                port = settings.metrics_port and settings.metrics_port + 2 * number
                own, name = settings.of_scheduler(number), str(number or "")
                own = replace(own, metrics_port=port, dashboard="" if number else settings.dashboard)
                await processes.node(own, "scheduler", f"scheduler{name}")
                own = replace(own, metrics_port=port and port + 1)
                await processes.node(own, "controller", f"controller{name}")
            await processes.node(settings, "api")
            server = await wait_for_redis(redis.url, redis_child, stop)
            if server and (warning := security_warning(server)):
                logger.warning(warning)
            await reloader.checked(stop)
            await processes.ready(settings, stop)
            has_worker = await processes.first_worker(settings, stop)
            if stop.is_set():
                return
            _print_addresses(settings, redis.shown, logs, has_worker=has_worker)
            await processes.until(stop, reloader.run)


def make_private(folder: Path) -> None:
    """Makes a folder that only its owner can enter; one that exists is closed to others.

    Raises:
        CannotStart: it is shared by design, like /tmp, or belongs to somebody else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_mode & stat.S_ISVTX:
            raise CannotStart(f"all users share {folder}: choose a folder of its own as --data-dir")
        folder.chmod(0o700)
    except OSError as error:
        raise CannotStart(
            f"the data folder {folder} cannot be made private ({error.strerror}); choose another one: --data-dir"
        ) from error


def _certificates(folder: Path) -> dict[str, str]:
    """Makes new certificates, which replace those of the last start, and returns their settings."""
    shutil.rmtree(folder, ignore_errors=True)
    return {name: str(path) for name, path in make_certificates(folder, days=3650).items()}


def _print_addresses(settings: Settings, redis: str, logs: Path, *, has_worker: bool) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    print(f"console    http://{host}:{settings.port}/")
    is_default = (settings.host, settings.port) == (Settings.host, Settings.port)
    elsewhere = f" --url http://{host}:{settings.port} (or DASK_GRAPHQL_PORT={settings.port})"
    print(f"submit     dask-graphql submit fibonacci n=90{'' if is_default else elsewhere}")
    print(f"redis      {redis}")
    for address in settings.scheduler_addresses:
        print(f"scheduler  {address}")
    if settings.dashboard:
        print(f"dashboard  http://{settings.dashboard}/status")
    print(f"data       {settings.data_dir}")
    print(f"logs       {logs}")
    if settings.reload_task_modules and settings.task_modules:
        print("reload     changes of the task modules are served at once (--no-reload: not)")
    if not has_worker:
        print(f"worker     {'the first one is starting' if settings.min_workers else 'starts with the first task'}")
    print(f"ready http://{host}:{settings.port}/graphql", flush=True)


@contextlib.contextmanager
def _locked(folder: Path):  # type: ignore[no-untyped-def]
    """Locks the data folder: two systems would write the same append-only file.

    Raises:
        CannotStart: another system holds the lock.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"another system uses the data folder {folder}; stop it, or choose another folder: --data-dir"
            ) from None
        file.write(str(os.getpid()))
        file.flush()
        yield
