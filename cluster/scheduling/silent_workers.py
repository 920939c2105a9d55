"""Workers that the scheduler does not hear of.

Dask hears of a worker by the worker process's event loop, which a task may hold up for as long as it likes; and of one
whose machine stands still, Dask thinks for ever. So the nanny's process says that its worker process lives, too:

- not heard of by Dask for SILENT_SECONDS: nothing more goes there, and what has not begun there runs elsewhere;
- nor by its nanny, for FROZEN_SECONDS: what runs there runs elsewhere, uncharged, and the worker is a member no more.
  If it wakes up, the fence refuses what it delivers, and it ends, as every worker does that lost its scheduler.
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
from cluster.store.script_calls import LossReason

if TYPE_CHECKING:
    from distributed import Scheduler

logger = logging.getLogger(__name__)

ROUND_SECONDS: Final = 1.0
"""Pause between two rounds."""
SILENT_SECONDS: Final = 20.0
"""How long Dask may hear nothing of a worker to which it sends work; a worker says something twice a second."""
FROZEN_SECONDS: Final = 60.0
"""How long neither Dask nor the nanny may say anything of a worker that runs attempts."""
STALL_SECONDS: Final = 5.0
"""A round that comes so late says that this process stood still itself, or that its clock was set: nobody is silent
until others have had so long to be heard."""


class SilentWorkers:
    """Judges workers by how long they are silent.

    Args:
        clock: seconds since 1970, by which Dask notes when it heard of a worker.
    """

    def __init__(self, scheduler: Scheduler, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._scheduler = scheduler
        self._store = store
        self._clock = clock
        self._alive: dict[str, float] = {}
        self._paused: set[str] = set()
        self._leaving: set[str] = set()
        self._moved: dict[tuple[str, LossReason], set[AttemptId]] = {}
        self._round_at = clock()
        self._judge_from = 0.0

    async def alive(self, worker: str, **_: Any) -> None:
        """A nanny says that its worker process lives."""
        self._alive[worker] = self._clock()

    async def leaving(self, worker: str, leaving: bool, **_: Any) -> None:
        """A nanny is about to end its worker process; or it is not, after all."""
        if leaving and pause_worker(self._scheduler, worker):
            self._leaving.add(worker)
        elif not leaving and worker in self._leaving:
            self._leaving.discard(worker)
            resume_worker(self._scheduler, worker)

    async def round(self) -> None:
        """Looks at every worker. Raises StoreUnavailable."""
        now, last = self._clock(), self._round_at
        self._round_at = now
        if not 0 <= now - last <= STALL_SECONDS:
            self._judge_from = now + STALL_SECONDS
        workers = dict(self._scheduler.workers)
        self._alive = {address: at for address, at in self._alive.items() if address in workers}
        self._moved = {about: members for about, members in self._moved.items() if about[0] in workers}
        self._paused &= workers.keys()
        self._leaving &= workers.keys()
        if now < self._judge_from:
            return
        for address, worker in workers.items():
            await self._judge(address, worker, now)

    async def _judge(self, address: str, worker: Any, now: float) -> None:
        unseen = now - worker.last_seen
        unheard = min(unseen, now - self._alive.get(address, 0.0))
        if unseen < SILENT_SECONDS:
            if address in self._paused:
                logger.info("the worker %s is heard of again", worker.name)
                self._paused.discard(address)
                self._moved = {about: members for about, members in self._moved.items() if about[0] != address}
                resume_worker(self._scheduler, address)
            return
        if address not in self._paused and pause_worker(self._scheduler, address):
            logger.warning("the worker %s was not heard of for %.0f s: it gets nothing more", worker.name, unseen)
            self._paused.add(address)
        error = attempt_errors.worker_lost(str(worker.name), f"was not heard of for {min(unseen, unheard):.0f} s")
        await self._move(address, worker, "unbegun", error)
        if unheard >= FROZEN_SECONDS and await self._move(address, worker, "silent", error):
            logger.warning("the worker %s and its nanny were not heard of for %.0f s: it is out", worker.name, unheard)
            await self._scheduler.remove_worker(address, stimulus_id=f"dask-graphql-silent-{now}")

    async def _move(self, address: str, worker: Any, loss_reason: LossReason, error: dict[str, Any]) -> bool:
        """Lets the worker's attempts run elsewhere. Returns whether none is left there that lives by its record."""
        moved = self._moved.setdefault((address, loss_reason), set())
        members = [
            member
            for task in list(worker.processing)
            for member in (parse_attempt_key(task.key) or ("", []))[1]
            if member not in moved
        ]
        verdicts = await self._store.run_many(
            [self._store.calls.mark_lost(*member, loss_reason, error) for member in members]
        )
        for member, verdict in zip(members, verdicts, strict=True):
            if verdict != "HEARD":
                moved.add(member)
            if verdict == "QUEUED":
                metrics.count_lost("silent", verdict)
                logger.warning("task %s attempt %d is moved: %s", *member, error["message"])
        return "HEARD" not in verdicts
