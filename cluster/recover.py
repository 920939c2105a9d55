"""Recovery: an open task without a living attempt is dispatched again.

One recoverer is active at a time, by a lease in Redis; every api node is a candidate. It claims the open tasks
whose time has come: new attempts of lost ones, retries and delayed tasks, which it dispatches; and tasks not heard
of for a while, for which it asks the scheduler. A new scheduler's epoch makes every task due at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import orjson

from cluster import attempts, metrics
from cluster.blobs import BlobStore, FolderBlobStore
from cluster.dispatch import Dispatchable, Dispatcher
from cluster.errors import BlobError, StoreUnavailable
from cluster.link import SchedulerAway, SchedulerLink
from cluster.logs import about
from cluster.settings import Settings
from cluster.store.calls import CHECK_SECONDS, LANES, Due, milliseconds
from cluster.store.lease import Lease
from cluster.store.store import Store

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 6.0
"""How long a silent holder keeps the lease; another takes over within 10 s of its death."""
TURN_SECONDS: Final = 0.5
"""How often due tasks are looked for; a loss that was told is acted on at once."""
FORGET_SECONDS: Final = 30.0
"""How often expired tasks are taken out of the lists, and their blobs deleted."""
PAGE: Final = 200
"""Most tasks of one lane in one step."""


class Recoverer:
    """A candidate for recovery on one node."""

    def __init__(
        self, settings: Settings, store: Store, link: SchedulerLink, dispatcher: Dispatcher, blobs: BlobStore, node: str
    ) -> None:
        self._settings = settings
        self._store = store
        self._link = link
        self._dispatcher = dispatcher
        self._blobs = blobs
        self._lease = Lease(store, store.calls.lease_key, node, LEASE_SECONDS)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._epoch: str | None = None
        self._swept: str | None = None
        self._forget_at = 0.0
        self.active = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Something is due now."""
        self._wake.set()

    async def close(self) -> None:
        """Stops, and lets another candidate take over at once."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.active:
            await self._lease.release()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TURN_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                self.active = await self._hold_lease()
                if self.active:
                    await self._turn()
            except StoreUnavailable as error:
                self.active = False
                logger.debug("recovery waits: %s", error)

    async def _hold_lease(self) -> bool:
        held = await self._lease.hold()
        if held and not self.active:
            logger.info("this node recovers lost tasks from now on")
            self._swept = None
        return held

    async def _turn(self) -> None:
        """One step: forget what has expired, then claim what is due and act on it."""
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + FORGET_SECONDS
            await self._forget()
            await self._tell_queue_age()
        if not self._link.connected:
            return  # what is due stays due: it waits for a scheduler
        epoch = await self._living_epoch()
        if epoch is None:
            return
        if epoch != self._swept:
            # Every task that was dispatched is looked at within CHECK_SECONDS, so this makes all of them due.
            await self._claim(cutoff=milliseconds(time.time() + CHECK_SECONDS))
            self._swept = epoch
        await self._claim(cutoff=None)

    async def _living_epoch(self) -> str | None:
        word = await self._store.command("GET", self._store.calls.scheduler_key)
        return None if word is None else str(orjson.loads(word)["epoch"])

    async def _claim(self, cutoff: int | None) -> None:
        lanes = list(LANES)
        while lanes:
            answers = await self._store.run_many([self._store.calls.claim_due(digit, PAGE, cutoff) for digit in lanes])
            lanes = [digit for digit, (found, due) in zip(lanes, answers, strict=True) if found >= PAGE and due]
            await self._act([item for _, due in answers for item in due])

    async def _act(self, due: list[Due]) -> None:
        for item in due:
            if item.action == "dispatch":
                metrics.RECOVERIES.labels("dispatched").inc()
                self._dispatcher.put(Dispatchable(item.task_id, item.attempt, item.name, item.input, item.priority))
        checks = [item for item in due if item.action == "check"]
        metrics.RECOVERIES.labels("checked").inc(len(checks))
        if not checks:
            return
        try:
            held = await self._link.ask("dask_graphql_held", attempts=[[item.task_id, item.attempt] for item in checks])
        except SchedulerAway as error:
            logger.info("open tasks are asked for again: %s", error)
            return
        lost = [item for item, is_held in zip(checks, held, strict=True) if not is_held]
        fresh = self._swept is None or await self._living_epoch() != self._swept
        for item in lost:
            # A scheduler that is new to us cannot know what its forerunner held: nobody is charged for that.
            charge = "worker" if item.running else "undelivered"
            reason = (
                attempts.worker_lost("that ran it")
                if item.running
                else attempts.undelivered("it was handed to the scheduler many times, which then did not know it")
            )
            verdict = await self._store.run(
                self._store.calls.lose(item.task_id, item.attempt, "none" if fresh else charge, reason)  # type: ignore[arg-type]
            )
            metrics.RECOVERIES.labels("lost").inc()
            metrics.count_lost("unknown", verdict)
            with about(taskId=item.task_id, attempt=item.attempt):
                logger.warning("task %s attempt %d has no living attempt: %s", item.task_id, item.attempt, verdict)
        if lost:
            self._wake.set()

    async def _tell_queue_age(self) -> None:
        """One line of the log, of which terraform/modules/observability makes a metric.
        A task that waits for its `notBefore` waits too."""
        age = round(await self._store.queue_age(), 1)
        logger.info("queue_age_seconds %.1f", age, extra={"fields": {"queueAgeSeconds": age}})

    async def _forget(self) -> None:
        for digit in LANES:
            # A task may be submitted again right after it was forgotten, and write new blobs under its old id.
            asked_at = time.time()
            ids = await self._store.run(self._store.calls.forget(digit, PAGE))
            for task_id in ids:
                try:
                    await asyncio.to_thread(self._blobs.delete, task_id, before=asked_at)
                except BlobError as error:
                    logger.warning("%s", error)
        ttl = self._settings.result_ttl_seconds
        if ttl and isinstance(self._blobs, FolderBlobStore):
            await asyncio.to_thread(self._blobs.delete_older, 2 * ttl + 86_400)
