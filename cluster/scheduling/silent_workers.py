"""Workers that the scheduler has not heard from.

Dask hears from a worker through the event loop of the worker process, which a task can block for as long as it likes.
And a worker whose machine freezes stays registered with Dask for ever. So the nanny process sends heartbeats as well:

- after SILENT_SECONDS without a message to Dask the worker gets no more work, and attempts that it has not started are
  requeued;
- after FROZEN_SECONDS without a nanny heartbeat either, running attempts are requeued too, which does not count against
  their tasks, and the worker is removed. If it wakes up, the fence refuses its results, and it exits, as every worker
  does that loses its scheduler.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cluster import attempt_errors
from cluster.observability import metrics
from cluster.scheduling.attempt_keys import AttemptId, parse_attempt_key
from cluster.scheduling.dask_internals import pause_worker, resume_worker
from cluster.store.async_store import Store
from cluster.store.task_calls import LossReason

if TYPE_CHECKING:
    from distributed import Scheduler

logger = logging.getLogger(__name__)

ROUND_SECONDS: Final = 1.0
"""Pause between two rounds."""
SILENT_SECONDS: Final = 20.0
"""How long a worker may send Dask nothing and still get work; it normally sends something twice a second."""
FROZEN_SECONDS: Final = 60.0
"""How long both a worker that runs attempts and its nanny may be silent."""
STALL_SECONDS: Final = 5.0
"""A round that is this late means that this process stalled or that its clock was set. Then no worker is considered
silent until all have had this long to report."""


class SilentWorkers:
    """Checks how long workers have been silent.

    Args:
        clock: seconds since 1970; Dask records by the same clock when it last heard from a worker.
    """

    def __init__(self, scheduler: Scheduler, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._scheduler = scheduler
        self._store = store
        self._clock = clock
        self._nanny_heartbeats: dict[str, float] = {}
        self._paused: set[str] = set()
        self._leaving: set[str] = set()
        self.draining: set[str] = set()
        """Addresses of workers that end what they have and get no more, because the controller asked for it."""
        self._requeued: dict[tuple[str, LossReason], set[AttemptId]] = {}
        self._last_round = clock()
        self._check_from = 0.0

    async def on_nanny_heartbeat(self, worker: str, **_: Any) -> None:
        """A nanny reports that its worker process is alive."""
        self._nanny_heartbeats[worker] = self._clock()

    async def on_worker_leaving(self, worker: str, leaving: bool, **_: Any) -> None:
        """A nanny is about to end its worker process, or (`leaving` is False) has changed its mind."""
        if leaving and pause_worker(self._scheduler, worker):
            self._leaving.add(worker)
        elif not leaving and worker in self._leaving:
            self._leaving.discard(worker)
            resume_worker(self._scheduler, worker)

    async def on_worker_draining(self, worker: str, **_: Any) -> None:
        """The controller ends a worker once its tasks have ended."""
        if pause_worker(self._scheduler, worker):
            self.draining.add(worker)

    async def round(self) -> None:
        """Checks every worker.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        now, last = self._clock(), self._last_round
        self._last_round = now
        if not 0 <= now - last <= STALL_SECONDS:
            self._check_from = now + STALL_SECONDS
        workers = dict(self._scheduler.workers)
        self._nanny_heartbeats = {address: at for address, at in self._nanny_heartbeats.items() if address in workers}
        self._requeued = {about: attempts for about, attempts in self._requeued.items() if about[0] in workers}
        self._paused &= workers.keys()
        self._leaving &= workers.keys()
        self.draining &= workers.keys()
        if now < self._check_from:
            return
        for address, worker in workers.items():
            await self._check(address, worker, now)

    async def _check(self, address: str, worker: Any, now: float) -> None:
        silent = now - worker.last_seen
        frozen = min(silent, now - self._nanny_heartbeats.get(address, 0.0))
        if silent < SILENT_SECONDS:
            if address in self._paused:
                logger.info("worker %s is responding again", worker.name)
                self._paused.discard(address)
                self._requeued = {about: found for about, found in self._requeued.items() if about[0] != address}
                resume_worker(self._scheduler, address)
            return
        if address not in self._paused and pause_worker(self._scheduler, address):
            logger.warning("worker %s has been silent for %.0f s and gets no more work", worker.name, silent)
            self._paused.add(address)
        error = attempt_errors.worker_lost(str(worker.name), f"was silent for {frozen:.0f} s")
        await self._requeue(address, worker, "unbegun", error)
        if frozen >= FROZEN_SECONDS and await self._requeue(address, worker, "silent", error):
            logger.warning("worker %s and its nanny have been silent for %.0f s: removing it", worker.name, frozen)
            await self._scheduler.remove_worker(address, stimulus_id=f"dask-graphql-silent-{now}")

    async def _requeue(self, address: str, worker: Any, loss_reason: LossReason, error: dict[str, Any]) -> bool:
        """Requeues the worker's attempts. Returns False if any of them was kept because its record shows a recent sign
        of life."""
        requeued = self._requeued.setdefault((address, loss_reason), set())
        attempts = [
            attempt
            for task in list(worker.processing)
            for attempt in (parse_attempt_key(task.key) or ("", []))[1]
            if attempt not in requeued
        ]
        verdicts = await self._store.run_many(
            [self._store.calls.mark_lost(*attempt, loss_reason, error) for attempt in attempts]
        )
        for attempt, verdict in zip(attempts, verdicts, strict=True):
            if verdict != "HEARD":
                requeued.add(attempt)
            if verdict == "QUEUED":
                metrics.count_lost("silent", verdict)
                logger.warning("task %s attempt %d is requeued: %s", *attempt, error["message"])
        return "HEARD" not in verdicts
