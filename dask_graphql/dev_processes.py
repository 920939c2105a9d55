"""The processes of the local system: started, watched, restarted when one ends, and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from cluster.errors import DaskGraphQLError
from cluster.settings import Settings
from cluster.system.child_processes import Child, start_child, start_node, stop_children

logger = logging.getLogger(__name__)

START_SECONDS: Final = 60.0
WORKER_SECONDS: Final = 10.0
"""How long a start waits for the first worker, which imports the task modules."""
STOP_SECONDS: Final = 3.0
FIRST_PAUSE_SECONDS: Final = 0.5
MAX_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A process that ended restarts after FIRST_PAUSE_SECONDS. Each time it ends again within STEADY_SECONDS the pause
doubles, up to MAX_PAUSE_SECONDS."""


class CannotStart(DaskGraphQLError):
    """The local system cannot start; the message says what to do."""


class DevProcesses(contextlib.AbstractAsyncContextManager["DevProcesses"]):
    """The processes of the local system; leaving the block stops them all.

    Args:
        logs: the folder of their logs.
        first_pause_seconds: pause before a process that ended is restarted; doubled each time it ends again soon.
    """

    def __init__(self, logs: Path, first_pause_seconds: float = FIRST_PAUSE_SECONDS) -> None:
        self._logs = logs
        self._first_pause_seconds = first_pause_seconds
        self._children: dict[str, Child] = {}
        self._starts: dict[str, Callable[[], Coroutine[Any, Any, Child]]] = {}
        self._files: dict[str, IO[bytes]] = {}

    def _log(self, name: str) -> IO[bytes]:
        if name not in self._files:
            path = self._logs / f"{name}.log"
            if path.exists() and path.stat().st_size > 10_000_000:
                path.replace(path.with_suffix(".log.1"))
            self._files[name] = path.open("ab")
        return self._files[name]

    async def start(self, role: str, command: Sequence[str]) -> Child:
        """Starts a process from a command line."""
        return await self._start(role, lambda: start_child(role, command, output=self._log(role)))

    async def node(self, settings: Settings, role: str, name: str = "") -> Child:
        """Starts one of our nodes as a process.

        Args:
            name: one of its own, if there are several of this role.
        """
        name = name or role
        return await self._start(name, lambda: start_node(settings, role, output=self._log(name)))

    def child(self, name: str) -> Child:
        """The newest process of a name, usually its role."""
        return self._children[name]

    async def _start(self, name: str, start: Callable[[], Coroutine[Any, Any, Child]]) -> Child:
        self._starts[name] = start
        starting = asyncio.ensure_future(start())
        try:
            self._children[name] = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The process was started all the same, and must be among those that are stopped.
            self._children[name] = await starting
            raise
        return self._children[name]

    async def ready(self, settings: Settings, stop: asyncio.Event) -> None:
        """Returns when the api reports that it is ready and has a scheduler, or when `stop` is set.

        Raises:
            CannotStart: a process ended, or START_SECONDS passed.
        """
        url = f"http://{settings.host}:{settings.port}/readyz"
        try:
            async with asyncio.timeout(START_SECONDS):
                while not stop.is_set() and not (await asyncio.to_thread(read_state, url)).serves:
                    self._check()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise CannotStart(f"the system is not ready after {START_SECONDS:g} s; see {self._logs}") from None

    async def first_worker(self, settings: Settings, stop: asyncio.Event) -> bool:
        """Waits until a worker serves, for at most WORKER_SECONDS, or until `stop` is set. Returns whether one does."""
        url = f"http://{settings.host}:{settings.port}/readyz"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WORKER_SECONDS if settings.min_workers else 0):
                while not stop.is_set():
                    if (await asyncio.to_thread(read_state, url)).has_workers:
                        return True
                    self._check()
                    await asyncio.sleep(0.05)
        return False

    async def until(self, stop: asyncio.Event, *others: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Restarts every process that ends, and does what else goes on until then, until `stop` is set."""
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(name)) for name in self._children]
            keepers += [group.create_task(other()) for other in others]
            await stop.wait()
            for keeper in keepers:
                keeper.cancel()

    async def _keep(self, name: str) -> None:
        pause = self._first_pause_seconds
        while True:
            child, began = self._children[name], time.monotonic()
            code = await child.process.wait()
            if time.monotonic() - began > STEADY_SECONDS:
                pause = self._first_pause_seconds
            logger.warning("%s %s; restarting it in %.1f s%s", name, exit_text(code), pause, self._last_lines(name))
            await asyncio.sleep(pause)
            pause = min(MAX_PAUSE_SECONDS, 2 * pause)
            await self._start(name, self._starts[name])

    def _check(self) -> None:
        try:
            check_running(list(self._children.values()))
        except CannotStart as error:
            ended = next(name for name, child in self._children.items() if child.process.returncode is not None)
            raise CannotStart(f"{error}; see {self._logs}{self._last_lines(ended)}") from None

    def _last_lines(self, name: str) -> str:
        lines = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
        return "".join(f"\n  {name}: {line}" for line in lines)

    async def __aexit__(self, *_: object) -> None:
        # From the outside in: workers leave while the scheduler runs, and every process can still write to Redis.
        for roles in (("api", "controller"), ("scheduler",), ("redis",)):
            children = [child for child in self._children.values() if child.role in roles]
            await stop_children(children, STOP_SECONDS)
        for file in self._files.values():
            file.close()


def check_running(children: Sequence[Child]) -> None:
    """Raises CannotStart if one of the processes has ended."""
    for child in children:
        if child.process.returncode is not None:
            raise CannotStart(f"{child.role} {exit_text(child.process.returncode)}")


def exit_text(code: int) -> str:
    """How a process ended, from asyncio's return code."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


@dataclass(frozen=True, slots=True)
class ApiState:
    """What an api's `/readyz` reports: whether it is ready and has a scheduler, and whether that has workers."""

    serves: bool = False
    has_workers: bool = False


def read_state(url: str) -> ApiState:
    """Asks an api's `/readyz`; an api that does not answer is not ready."""
    try:
        # Without the environment's proxies, which cannot reach this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=1) as response:
            state = json.load(response)
            return ApiState(bool(state["ready"] and state["scheduler"]), state["workerThreads"] > 0)
    except (OSError, ValueError):
        return ApiState()
