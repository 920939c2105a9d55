"""The fleet of this machine: one process per worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cluster.controller.fleets.fleet import Fleet
from cluster.controller.scaling_policy import Policy
from cluster.scheduling.dask_internals import machine_memory
from cluster.settings import Settings
from cluster.system.child_processes import Child, kill_process_group, start_node, stop_children
from cluster.system.ecs_metadata import random_worker_name

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 5.0
"""How long a worker may take to stop beyond its `DRAIN_SECONDS`; then it is ended."""
STEADY_SECONDS: Final = 60.0
"""A worker that has lived for this long started well, however it ends."""
PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
"""Pauses of starts after workers that ended soon, doubled each time."""


@dataclass(slots=True)
class _Worker:
    """One worker node. Times are of the fleet's clock; `end_by`: when it is ended; None before it is asked to stop."""

    child: Child
    began: float
    end_by: float | None = None


class LocalFleet(Fleet):
    """Worker processes that end with their controller."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._workers: dict[str, _Worker] = {}
        self._pause = PAUSE_SECONDS
        self._paused_until = 0.0
        self._problem = ""

    def policy(self) -> Policy:
        # A process comes within a second and costs nothing, but its memory.
        return Policy(self._settings.min_workers, self._settings.max_workers)

    @property
    def problem(self) -> str:
        return self._problem

    async def living(self) -> Mapping[str, bool]:
        now = self._clock()
        for name, worker in list(self._workers.items()):
            code = worker.child.process.returncode
            if code is not None:
                del self._workers[name]
                self._ended(name, worker, code, now)
            elif worker.end_by is not None and now > worker.end_by:
                logger.warning("the worker %s does not stop and is ended", name)
                kill_process_group(worker.child)
            elif now - worker.began > STEADY_SECONDS:
                self._pause, self._problem = PAUSE_SECONDS, ""
        return {name: True for name, worker in self._workers.items() if worker.end_by is None}

    def _ended(self, name: str, worker: _Worker, code: int, now: float) -> None:
        logger.info("the worker %s ended with exit code %d", name, code)
        # Not one that was stopped, be it by the system: that says nothing of the next one.
        if code <= 0 or worker.end_by is not None or now - worker.began > STEADY_SECONDS:
            return
        # The next one would most likely do the same.
        self._paused_until = now + self._pause
        self._problem = (
            f"workers end soon after their start: {name} did after {now - worker.began:.0f} s with exit code {code}, "
            "which its log explains; the next one is started later"
        )
        logger.warning("%s, in %g s", self._problem, self._pause)
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)

    async def start(self, count: int) -> int:
        if self._clock() < self._paused_until:
            return 0
        # Workers of one machine would ask for one port.
        settings = replace(self._settings, metrics_port=0)
        if not settings.worker_memory_bytes:
            # Of the machine or of this container, whichever is less; the workers of a full fleet share it.
            settings = replace(settings, worker_memory_bytes=machine_memory() // settings.max_workers)
        for _ in range(count):
            # A name is never used twice, as Dask refuses a living one and a dead one may still be remembered.
            name = random_worker_name()
            self._workers[name] = _Worker(await start_node(settings, "worker", "--name", name), self._clock())
        return count

    async def stop(self, names: Collection[str]) -> None:
        """Asks them to stop; they end in their own time, and `living` ends those that do not."""
        for name in names:
            worker = self._workers.get(name)
            if worker is not None and worker.end_by is None:
                worker.end_by = self._clock() + self._settings.drain_seconds + STOP_SECONDS
                with contextlib.suppress(ProcessLookupError):
                    worker.child.process.terminate()

    async def stand_down(self) -> None:
        if self._workers:
            logger.info("another controller acts: %d workers of this one are stopped", len(self._workers))
        await self.stop(list(self._workers))
        # Nobody else sees them end, or do not.
        await self.living()

    async def close(self) -> None:
        children = [worker.child for worker in self._workers.values()]
        await asyncio.shield(stop_children(children, self._settings.drain_seconds + STOP_SECONDS))
