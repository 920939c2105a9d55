"""The fleet of this machine: one process per worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from cluster.controller.fleets.fleet import Fleet
from cluster.controller.scaling_policy import Policy
from cluster.scheduling.dask_internals import machine_memory
from cluster.settings import Settings
from cluster.settings.pools import DEFAULT_POOL, Pool
from cluster.system.child_processes import Child, kill_process_group, start_node, stop_children
from cluster.system.ecs_metadata import random_worker_name

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 5.0
"""How much longer than `DRAIN_SECONDS` a worker may take to stop; then it is killed."""
STEADY_SECONDS: Final = 60.0
"""A worker that has run for this long has started successfully, however it ends."""
KEPT_LOGS: Final = 50
"""Logs of workers in their folder, those of running ones included: as each worker has a name of its own, they would
pile up."""
BACKOFF_SECONDS: Final = 1.0
MAX_BACKOFF_SECONDS: Final = 60.0
"""Pause before the next start after a worker ended soon after its start; doubled each time."""


@dataclass(slots=True)
class _Worker:
    """One worker node. Times are of the fleet's clock; `kill_at` is None until the worker is asked to stop."""

    child: Child
    pool: str
    started_at: float
    kill_at: float | None = None


def open_worker_log(folder: str, name: str) -> contextlib.AbstractContextManager[IO[bytes] | None]:
    """The log of a worker, in a folder of which the newest KEPT_LOGS are kept; None if there is no folder: the worker
    then writes to the controller's output."""
    if not folder:
        return contextlib.nullcontext()
    logs = Path(folder)
    logs.mkdir(parents=True, exist_ok=True)
    known = sorted(logs.glob("worker-*.log"), key=lambda log: log.stat().st_mtime, reverse=True)
    for old in known[KEPT_LOGS - 1 :]:
        old.unlink(missing_ok=True)
    return (logs / f"worker-{name.removeprefix('worker-')}.log").open("ab")


class LocalFleet(Fleet):
    """Worker processes that end with their controller."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._workers: dict[str, _Worker] = {}
        self._backoff = BACKOFF_SECONDS
        self._paused_until = 0.0
        self._problem = ""

    def policy(self, pool: Pool) -> Policy:
        # A process starts within a second and costs nothing but its memory.
        return Policy(pool.min_workers, pool.max_workers)

    def pool_of(self, name: str) -> str:
        return self._workers[name].pool

    @property
    def problem(self) -> str:
        return self._problem

    async def list_workers(self) -> Mapping[str, bool]:
        now = self._clock()
        for name, worker in list(self._workers.items()):
            code = worker.child.process.returncode
            if code is not None:
                del self._workers[name]
                self._ended(name, worker, code, now)
            elif worker.kill_at is not None and now > worker.kill_at:
                logger.warning("the worker %s does not stop and is killed", name)
                kill_process_group(worker.child)
            elif now - worker.started_at > STEADY_SECONDS:
                self._backoff, self._problem = BACKOFF_SECONDS, ""
        return {name: True for name, worker in self._workers.items() if worker.kill_at is None}

    def _ended(self, name: str, worker: _Worker, code: int, now: float) -> None:
        logger.info("the worker %s ended with exit code %d", name, code)
        # A worker that was stopped or killed says nothing about the next one.
        if code <= 0 or worker.kill_at is not None or now - worker.started_at > STEADY_SECONDS:
            return
        # The next one would probably do the same.
        self._paused_until = now + self._backoff
        self._problem = (
            f"Workers end soon after their start. {name} ended after {now - worker.started_at:.0f} s with exit code "
            f"{code}; its log says why. The next one is started later."
        )
        logger.warning("%s (in %g s)", self._problem, self._backoff)
        self._backoff = min(MAX_BACKOFF_SECONDS, self._backoff * 2)

    async def start(self, count: int, pool: str = DEFAULT_POOL) -> int:
        if self._clock() < self._paused_until:
            return 0
        pools = self._settings.all_pools
        # Of the machine or of this container, whichever is less; the workers of a full fleet share it, and
        # so do the fleets of several schedulers.
        fleets, largest = len(self._settings.scheduler_addresses), sum(each.max_workers for each in pools.values())
        memory = pools[pool].memory_bytes or machine_memory() // (fleets * largest)
        # Workers on one machine would all use the same port. `default` is declared, as its memory is not this worker's.
        settings = replace(
            self._settings, metrics_port=0, pool=pool, worker_memory_bytes=memory, pools=self._settings.declared_pools
        )
        for _ in range(count):
            # A name is never reused: Dask refuses that of a running worker, and may still remember that of a dead one.
            name = random_worker_name()
            with open_worker_log(settings.worker_logs, name) as output:
                child = await start_node(settings, "worker", "--name", name, output=output)
            self._workers[name] = _Worker(child, pool, self._clock())
        return count

    async def stop(self, names: Collection[str]) -> None:
        """Asks them to stop, without waiting; `list_workers` kills those that do not stop in time."""
        for name in names:
            worker = self._workers.get(name)
            if worker is not None and worker.kill_at is None:
                worker.kill_at = self._clock() + self._settings.drain_seconds + STOP_SECONDS
                with contextlib.suppress(ProcessLookupError):
                    worker.child.process.terminate()

    async def on_leadership_lost(self) -> None:
        if self._workers:
            logger.info("another controller leads: %d workers of this one are stopped", len(self._workers))
        await self.stop(list(self._workers))
        # No other controller can see whether they stop.
        await self.list_workers()

    async def close(self) -> None:
        children = [worker.child for worker in self._workers.values()]
        await asyncio.shield(stop_children(children, self._settings.drain_seconds + STOP_SECONDS))
