"""What becomes of running attempts when the scheduler of their worker is gone.

Dask then closes the worker process. Ours stays for as long as it runs attempts (`await_attempts`), and its nanny
decides what becomes of them (`Finishing`). If the next scheduler is of this worker's release, the process ends, and the
worker joins that scheduler; the attempts are requeued. If it is of another release, as in an update, the worker may not
join it: it ends what it runs, and reports to the next scheduler which attempts these are, so that nobody dispatches
them again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, Literal

from cluster import attempt_errors
from cluster.errors import StoreUnavailable
from cluster.scheduling import dask_internals
from cluster.scheduling.finishing_workers import FINISHING_REPORT_SECONDS
from cluster.scheduling.scheduler_heartbeat import SchedulerHeartbeat
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.script_calls import EPOCH_TTL_SECONDS
from cluster.system.tls import dask_security
from cluster.worker.attempt_table import AttemptTable
from cluster.worker.scheduler_route import PAUSE_SECONDS, heartbeat_or_none
from cluster.worker.watchdog import Watchdog

if TYPE_CHECKING:
    from distributed import Nanny

    from cluster.worker.executor import Executor

logger = logging.getLogger(__name__)

ROUND_SECONDS: Final = FINISHING_REPORT_SECONDS / 2
"""Pause between two rounds of `Finishing`."""
POLL_SECONDS: Final = 0.1
"""How often a worker process that closes looks whether its attempts have ended."""
MAX_REPORT_SECONDS: Final = 2.0
"""How long one report to the next scheduler may take."""

Verdict = Literal["wait", "finish", "end"]


def verdict_on(heartbeat: SchedulerHeartbeat | None, epoch: str, release: str, waited: float, limit: float) -> Verdict:
    """What a worker does with its running attempts, whose scheduler is gone.

    Args:
        heartbeat: of the scheduler that serves now; None if there is none.
        epoch: of the one that is gone; empty if it is not known.
        release: of this worker.
        waited: for how many seconds that one has been gone.
        limit: how many seconds they may go on; 0 for as long as they take.

    Returns:
        `wait` until it is known which scheduler is next; `finish` them; or `end` the process, because its worker joins
        the next scheduler, or the time is up, or the scheduler lives and has dismissed the worker.
    """
    if limit and waited > limit:
        return "end"
    if heartbeat is None:
        return "wait"
    if heartbeat.epoch == epoch:
        return "end" if waited > EPOCH_TTL_SECONDS + PAUSE_SECONDS else "wait"
    return "end" if heartbeat.release == release else "finish"


class Finishing:
    """Runs in the nanny's process and decides on the attempts of a worker process that has lost its scheduler.

    Attributes:
        epoch: of the scheduler that this worker serves; empty if it is not known.
    """

    def __init__(
        self, nanny: Nanny, table: AttemptTable, watchdog: Watchdog, store: Store, settings: Settings, name: str
    ) -> None:
        self.epoch = ""
        self._nanny = nanny
        self._table = table
        self._watchdog = watchdog
        self._store = store
        self._settings = settings
        self._name = name
        self._since: float | None = None
        self._finishes = False

    async def round(self) -> None:
        """Looks at what the worker process still runs, if its scheduler is gone."""
        if not dask_internals.is_closing(self._nanny):
            return
        now = time.monotonic()
        self._since = self._since or now
        # The threads of graphs, which are requeued, cannot leave Dask's thread pool while others are busy.
        self._watchdog.spares_process = True
        attempts = [entry.key for entry in self._table.entries(self._nanny.pid) if entry.running]
        if not attempts:
            return  # the process ends by itself
        heartbeat = await heartbeat_or_none(self._store)
        settings = self._settings
        verdict = verdict_on(heartbeat, self.epoch, settings.release, now - self._since, settings.update_drain_seconds)
        if verdict == "end":
            logger.info("the scheduler of this worker is gone: %d running tasks are requeued", len(attempts))
            await self._watchdog.end_process()
        elif verdict == "finish" and heartbeat:
            if not self._finishes:
                logger.info("this worker ends %d running tasks before it goes", len(attempts))
                self._finishes = True
            await self._report(heartbeat.address, attempts)

    async def _report(self, address: str, attempts: list[tuple[str, int]]) -> None:
        from distributed import rpc

        security = dask_security(self._settings)
        connection = security.get_connection_args("worker") if security else {}
        try:
            async with asyncio.timeout(MAX_REPORT_SECONDS), rpc(address, connection_args=connection) as scheduler:
                await scheduler.dask_graphql_finishing(name=self._name, attempts=attempts)
        except (OSError, TimeoutError, ValueError, AttributeError) as error:
            # It is not there, or of a release that does not know the operation: then the attempts run again elsewhere.
            logger.debug("the next scheduler could not be told what still runs here: %s", error)


async def await_attempts(executor: Executor) -> None:
    """Waits, in a worker process that closes, until no attempt runs in it. Those whose graphs run on other workers
    cannot end without their scheduler: they are requeued."""
    requeued: set[tuple[str, int]] = set()
    while running := dict(executor.running):
        for key, attempt in running.items():
            if attempt.on_cluster and key not in requeued:
                error = attempt_errors.worker_lost(executor.worker, "lost its scheduler")
                lost = executor.store.calls.mark_lost(*key, "none", error)
                try:
                    await asyncio.to_thread(executor.store.run_once, lost)
                except StoreUnavailable:
                    continue
                requeued.add(key)
                attempt.on_cluster = False
                attempt.stop.set()
        await asyncio.sleep(POLL_SECONDS)
