"""The orderly stop of a worker: running tasks may finish, waiting ones are requeued."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from cluster.scheduling import dask_internals
from cluster.worker.attempt_table import AttemptTable
from cluster.worker.watchdog import Watchdog

if TYPE_CHECKING:
    from distributed import Nanny

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.05
MAX_RESTART_SECONDS: Final = 5.0
"""How long a stop waits for a worker process that the nanny is restarting."""
MAX_RETIRE_SECONDS: Final = 2.0
"""How long a stop waits for the scheduler to acknowledge it."""


async def drain(nanny: Nanny, table: AttemptTable, watchdog: Watchdog, seconds: float) -> None:
    """Accepts no more tasks and lets running ones finish. Attempts that have not started, or do not finish in time, are
    requeued and not counted as lost."""
    try:
        async with asyncio.timeout(MAX_RESTART_SECONDS):
            # A worker process that is being restarted would register, start tasks, and be killed with them.
            while not dask_internals.is_process_running(nanny):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
        async with asyncio.timeout(MAX_RETIRE_SECONDS):
            leaving = {"workers": [nanny.worker_address], "close_workers": False, "remove": False}
            await dask_internals.call_handler(nanny, "retire_workers", **leaving)
    except (OSError, TimeoutError) as error:
        logger.info("the scheduler could not be notified that this worker leaves: %s", error)
    now = time.monotonic()
    queued = [entry for entry in table.entries(nanny.pid) if entry.queued_behind_seconds(now)]
    table.withdraw(queued)
    await watchdog.requeue_before_exit(queued)
    if table.entries(nanny.pid):
        logger.info("waiting up to %g s for %d running tasks", seconds, len(table.entries(nanny.pid)))
    try:
        async with asyncio.timeout(seconds):
            while table.entries(nanny.pid):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)  # the table is in another process, which cannot set an event here
    except TimeoutError:
        unfinished = table.entries(nanny.pid)
        logger.warning("%d tasks did not finish within %g s and are requeued", len(unfinished), seconds)
        await watchdog.requeue_before_exit(unfinished)
