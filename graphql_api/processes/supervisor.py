"""The parent of several api processes: starts them, hands connections to them, restarts what ends or hangs, and stops
them together.

The first process starts alone: a wrong setting or task module is reported once, and ends the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cluster.observability import metrics
from cluster.observability.exposition import forget_gauges
from cluster.settings import Settings
from cluster.system.child_processes import Child, start_child
from cluster.system.counts import CountTable
from cluster.system.process_table import Phase, ProcessTable
from graphql_api.processes.decisions import Chooser, History, Limits, gives_up, is_able, judge
from graphql_api.processes.listener import Listener, bind
from graphql_api.processes.member import COUNTS_FILE, TABLE_FILE, create_shared_files

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 0.5
STARTING_SECONDS: Final = 0.1
"""How often the rows of the processes are read, and while one is starting."""
CLOSE_SECONDS: Final = 5.0
"""How long a stopping process may take after SHUTDOWN_SECONDS, to close its connections to Redis and the scheduler."""

MakeCommand = Callable[[int, int], Sequence[str]]
"""Returns the command of a process, from its number and the file descriptor of its channel."""


@dataclass(slots=True)
class Place:
    """One of the processes, over all its starts.

    Attributes:
        channel: the parent's end; None while no process runs.
        handed: connections that the process was handed since it started.
        killed_because: why the parent has killed it; empty if it has not.
        reload_due: whether it must load the task modules anew when it serves: it may have loaded them before a change.
    """

    number: int
    history: History
    child: Child | None = None
    channel: socket.socket | None = None
    handed: int = 0
    starts: int = 0
    served: bool = False
    killed_because: str = ""
    reload_due: bool = False
    began_at: float = field(default=0.0)


class Supervisor:
    """Runs the processes of one command.

    Args:
        folder: for the files that the processes share.
        make_command: makes the commands.
        limits: when a process counts as frozen, and how soon it is started again.
    """

    def __init__(
        self, settings: Settings, folder: Path, make_command: MakeCommand, limits: Limits | None = None
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._make_command = make_command
        self._limits = limits or Limits()
        create_shared_files(folder, settings.api_processes)
        self._table = ProcessTable(folder / TABLE_FILE)
        # It counts nothing, and clears what others have counted.
        self._counts = CountTable(folder / COUNTS_FILE, 0)
        self._places = [Place(number, History(self._limits)) for number in range(settings.api_processes)]
        self._chooser = Chooser(self._limits)
        self._first_serves = asyncio.Event()
        self._exit_code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self, stop: asyncio.Event) -> int:
        """Serves until `stop` is set, then stops all processes. Returns the exit code: that of a process if none can
        be started.

        Raises:
            SettingError: the api cannot listen on its port.
        """
        settings = self._settings
        self._listener = Listener(bind(settings.host, settings.port), self._channel_for_next, self._on_handed)
        work: list[asyncio.Future[Any]] = [asyncio.create_task(self._keep(place)) for place in self._places]
        work.append(asyncio.create_task(self._watch()))
        stopping = asyncio.create_task(stop.wait())
        try:
            ends: list[asyncio.Future[Any]] = [stopping, self._exit_code, *work]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done():
                    task.result()  # raises what ended it
        finally:
            self._listener.close()
            work.append(stopping)
            for task in work:
                task.cancel()
            await asyncio.wait(work)
            await self._stop_all()
        return self._exit_code.result() if self._exit_code.done() else 0

    def reload(self) -> None:
        """Has all processes load the task modules anew."""
        for place in self._places:
            if place.child is None:
                continue
            if self._table.state(place.number).phase == Phase.SERVING:
                self._signal(place, signal.SIGHUP)
            else:
                place.reload_due = True

    def serves(self) -> bool:
        """Whether a process serves."""
        now = time.monotonic()
        return any(is_able(state, now, self._limits) for state in self._table.states())

    # Connections ------------------------------------------------------------------------------------------------------

    def _channel_for_next(self) -> socket.socket | None:
        handed = {place.number: place.handed for place in self._places}
        chosen = self._chooser.choose(self._table.states(), handed, time.monotonic())
        return None if chosen is None else self._places[chosen].channel

    def _on_handed(self, channel: socket.socket) -> None:
        for place in self._places:
            if place.channel is channel:
                place.handed += 1

    # Processes --------------------------------------------------------------------------------------------------------

    async def _keep(self, place: Place) -> None:
        """Starts a process again and again, until the command ends."""
        if place.number:
            await self._first_serves.wait()
        while True:
            try:
                child = await self._start(place)
            except OSError as error:
                # The machine has no room for one more process now.
                if not self._first_serves.is_set():
                    raise
                pause = place.history.pause_after(served=False, ran_seconds=0)
                logger.warning(
                    "api process %d could not be started: %s; trying again in %.1f s", place.number, error, pause
                )
                await asyncio.sleep(pause)
                continue
            code = await child.process.wait()
            self._clear(place)
            pause = place.history.pause_after(served=place.served, ran_seconds=time.monotonic() - place.began_at)
            if not self._first_serves.is_set() or gives_up([p.history for p in self._places], self._table.states()):
                if place.killed_because:
                    logger.error("api process %d cannot be started: %s", place.number, place.killed_because)
                if not self._exit_code.done():
                    self._exit_code.set_result(code if code >= 0 else 128 - code)
                return
            metrics.PROCESS_RESTARTS.labels("frozen" if place.killed_because else "ended").inc()
            how = f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
            reason = f"; {place.killed_because}" if place.killed_because else ""
            logger.warning(
                "api process %d (%d) %s%s; starting it again in %.1f s",
                place.number, child.process.pid, how, reason, pause,
            )  # fmt: skip
            await asyncio.sleep(pause)

    async def _start(self, place: Place) -> Child:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            starting = asyncio.ensure_future(
                start_child(
                    f"api process {place.number}",
                    self._make_command(place.number, theirs.fileno()),
                    environment=self._settings.environment(),
                    pass_fds=(theirs.fileno(),),
                    # Whoever kills the parent's process group ends them too.
                    new_session=False,
                )
            )
            try:
                place.child = await asyncio.shield(starting)
            except asyncio.CancelledError:
                # It was started all the same, and must be stopped.
                place.child, place.channel = await starting, ours
                raise
            except OSError:
                ours.close()
                raise
        place.channel = ours
        place.handed, place.served, place.killed_because = 0, False, ""
        place.began_at = time.monotonic()
        self._table.begin(place.number, place.child.process.pid, restarts=place.starts)
        place.starts += 1
        return place.child

    def _clear(self, place: Place) -> None:
        """Forgets a process that has ended."""
        assert place.channel is not None
        place.channel.close()
        place.child = place.channel = None
        self._table.set_phase(place.number, Phase.ENDED)
        self._counts.clear(place.number)
        forget_gauges(f"api-{place.number}", self._folder)

    async def _watch(self) -> None:
        """Notices which processes serve, and kills those that hang."""
        while True:
            now = time.monotonic()
            for place, state in zip(self._places, self._table.states(), strict=True):
                verdict = judge(state, now, self._limits)
                if verdict.phase == state.phase:
                    continue
                self._table.set_phase(place.number, verdict.phase)
                if verdict.reason:
                    place.killed_because = verdict.reason
                    self._signal(place, signal.SIGKILL)
                elif verdict.phase == Phase.SERVING:
                    self._on_serving(place)
            phases = [state.phase for state in self._table.states()]
            metrics.PROCESSES.labels("serving").set(phases.count(Phase.SERVING))
            await asyncio.sleep(STARTING_SECONDS if Phase.STARTING in phases else WATCH_SECONDS)

    def _on_serving(self, place: Place) -> None:
        place.served = True
        if place.reload_due:
            place.reload_due = False
            self._signal(place, signal.SIGHUP)
        if not self._first_serves.is_set():
            self._first_serves.set()
            self._listener.listen()
            logger.info(
                "%d api processes share http://%s:%d",
                len(self._places), self._settings.host, self._settings.port,
            )  # fmt: skip

    @staticmethod
    def _signal(place: Place, number: signal.Signals) -> None:
        if place.child is not None:
            with contextlib.suppress(ProcessLookupError):
                place.child.process.send_signal(number)

    async def _stop_all(self) -> None:
        running = [place for place in self._places if place.child is not None]
        for place in running:
            self._signal(place, signal.SIGTERM)
        waits = [asyncio.create_task(place.child.process.wait()) for place in running if place.child is not None]
        if waits:
            await asyncio.wait(waits, timeout=max(1.0, self._settings.shutdown_seconds) + CLOSE_SECONDS)
            for place in running:
                self._signal(place, signal.SIGKILL)
            await asyncio.wait(waits)
        for place in running:
            self._clear(place)
