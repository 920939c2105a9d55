"""`dask-graphql dev` watches the files of the task modules, checks each change, and has the nodes load it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self, TypeAlias

from cluster.api_node.reloads import Order, order_path, read_order, report_path, write_order
from cluster.settings import Settings
from cluster.system.child_processes import Child, kill_process_group, with_parent_death_signal
from dask_graphql.dev_processes import CannotStart

LOOK_SECONDS: Final = 0.2
"""How often the files are looked at."""
SETTLE_SECONDS: Final = 0.05
"""A change is complete when nothing has changed for so long: an editor writes in steps."""
IMPORT_SECONDS: Final = 60.0
"""How long task modules may take to be imported."""
SERVE_SECONDS: Final = 20.0
"""How long the nodes may take to load a change."""
MAX_FILES: Final = 2_000
"""Files that are watched at most while a module cannot be imported: those beside its own."""

Snapshot: TypeAlias = dict[str, tuple[int, int] | None]
"""Modification time and size by file; None for one that is missing."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What importing the task modules gave.

    Attributes:
        error: what is wrong, with file and line; empty if nothing is.
        files: the files of the modules.
        others: the further modules that they have imported, in order, for the next process to import beforehand.
    """

    error: str
    files: list[str]
    others: list[str]


def snapshot(files: Iterable[str]) -> Snapshot:
    """How the files are now."""
    found: Snapshot = {}
    for file in files:
        try:
            status = os.stat(file)
            found[file] = status.st_mtime_ns, status.st_size
        except OSError:
            found[file] = None
    return found


def with_neighbours(files: Iterable[str]) -> set[str]:
    """The files, and the modules beside them: one of these may be what a broken module lacks."""
    found = set(files)
    for folder in {Path(file).parent for file in found}:
        found |= {str(path) for path in sorted(folder.glob("*.py"))[: max(0, MAX_FILES - len(found))]}
    return found


class Prober:
    """Checks the task modules in a fresh process each time. One waits with everything else imported.

    Args:
        output: what the modules print.
    """

    def __init__(self, settings: Settings, output: IO[bytes]) -> None:
        self._settings = settings
        self._output = output
        self._waiting: asyncio.subprocess.Process | None = None
        self._others: list[str] = []

    async def prepare(self) -> None:
        """Starts the process that the next check needs."""
        if self._waiting is not None:
            return
        command = with_parent_death_signal([sys.executable, "-P", "-m", "dask_graphql.dev_probe"])
        self._waiting = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **self._settings.environment()},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._output,
            start_new_session=True,
            limit=10_000_000,
        )
        assert self._waiting.stdin is not None
        self._waiting.stdin.write(json.dumps(self._others).encode() + b"\n")

    async def check(self) -> Probe:
        """Imports the task modules as they are now."""
        await self.prepare()
        process, self._waiting = self._waiting, None
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(IMPORT_SECONDS):
                process.stdin.write(b"\n")
                line = await process.stdout.readline()
                code = await process.wait()
        except TimeoutError:
            return Probe(f"the task modules are not imported within {IMPORT_SECONDS:g} s", [], [])
        finally:
            if process.returncode is None:
                kill_process_group(Child("probe", process))
                await process.wait()
        if not line:
            return Probe(f"the task modules end the process that imports them (exit code {code})", [], [])
        result = Probe(**json.loads(line))
        self._others = result.others or self._others
        return result

    async def close(self) -> None:
        """Ends the process that waits."""
        if self._waiting is not None and self._waiting.returncode is None:
            kill_process_group(Child("probe", self._waiting))
            await self._waiting.wait()
        self._output.close()


class Reloader(contextlib.AbstractAsyncContextManager["Reloader"]):
    """Watches the files of the task modules of a running system; within the block.

    Args:
        logs: the folder of the logs, for what the modules print while they are checked.
        child: returns the process of a role.
    """

    def __init__(self, settings: Settings, logs: Path, child: Callable[[str], Child]) -> None:
        self._settings = settings
        self._logs = logs
        self._child = child
        self._enabled = settings.reload_task_modules and bool(settings.task_modules)
        self._number = 0
        self._files: set[str] = set()
        self._broken = False
        self._seen: Snapshot = {}

    async def __aenter__(self) -> Self:
        if self._enabled:
            for path in order_path(self._settings).parent.glob("reload*.json"):
                path.unlink()
            self._prober = Prober(self._settings, (self._logs / "reload.log").open("ab"))
            self._first = asyncio.create_task(self._prober.check())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._enabled:
            self._first.cancel()
            await asyncio.wait({self._first})
            await self._prober.close()

    async def checked(self, stop: asyncio.Event) -> None:
        """Returns when the task modules have been imported once, or when `stop` is set.

        Raises:
            CannotStart: they cannot be imported.
        """
        if not self._enabled:
            return
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({self._first, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._first.done():
            result = self._first.result()
            if result.error:
                raise CannotStart(result.error)
            self._files = set(result.files)
            self._seen = snapshot(self._files)

    async def run(self) -> None:
        """Serves each change, until it is cancelled."""
        while self._enabled:
            await self._prober.prepare()
            changed = await self._next_change()
            await self._serve(changed)

    async def _next_change(self) -> list[str]:
        """Returns the files that have changed, when they have settled."""
        before, settled = self._seen, False
        while not settled or self._seen == before:
            await asyncio.sleep(LOOK_SECONDS if self._seen == before else SETTLE_SECONDS)
            now = snapshot(self._watched())
            settled, self._seen = now == self._seen, now
        return [file for file in self._seen if self._seen[file] != before.get(file)]

    def _watched(self) -> set[str]:
        return with_neighbours(self._files) if self._broken else self._files

    async def _serve(self, changed: list[str]) -> None:
        began = time.monotonic()
        names = ", ".join(sorted({Path(file).name for file in changed})[:5])
        result = await self._prober.check()
        self._broken = bool(result.error)
        self._files = {*result.files, *(self._files if self._broken else ())}
        watched = self._watched()
        # What has changed during the check is another change.
        self._seen = snapshot(watched) | {file: seen for file, seen in self._seen.items() if file in watched}
        error = await self._order(result.error)
        if error:
            print(
                f"not reloaded: {names} has an error; the system serves what it had before\n{indented(error)}",
                flush=True,
            )
        else:
            print(f"reloaded   {names} in {time.monotonic() - began:.1f} s", flush=True)

    async def _order(self, error: str) -> str:
        """Tells the api node; returns the error, or one that a process of the node had."""
        self._number += 1
        write_order(order_path(self._settings), Order(self._number, error))
        child = self._child("api")
        if child.process.returncode is not None:
            return error  # it starts anew, with the modules as they are
        child.process.send_signal(signal.SIGHUP)
        try:
            async with asyncio.timeout(SERVE_SECONDS):
                while len(reports := self._reports()) < self._settings.api_processes:
                    if child.process.returncode is not None:
                        return error
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return error or f"the api node has not loaded the change within {SERVE_SECONDS:g} s; see its log"
        return next((report.error for report in reports if report.error), "")

    def _reports(self) -> list[Order]:
        """What the processes of the api node have answered so far."""
        paths = [report_path(self._settings, process) for process in range(self._settings.api_processes)]
        reports = [report for path in paths if (report := read_order(path)) is not None]
        return [report for report in reports if report.number >= self._number]


def indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
