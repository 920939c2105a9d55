"""Writes the loss of attempts that no worker can report: the worker died with them, or they could not be run."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from cluster import attempt_errors
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.observability.logs import log_context
from cluster.scheduling import dask_internals
from cluster.scheduling.attempt_keys import AttemptId
from cluster.store.async_store import Store

logger = logging.getLogger(__name__)

NANNY_GRACE_SECONDS: Final = 1.0
"""The nanny of a dead worker process has this long to report the loss, with its cause. Afterwards it is written
here."""
RETRY_SECONDS: Final = 0.5
"""Pause after Redis was unavailable."""
GIVE_UP_SECONDS: Final = 60.0
"""How long writing a loss is retried. Afterwards the recoverer's sweep finds the attempt."""


class LossWriter:
    """Writes losses in the background."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # The event loop keeps only weak references to tasks.
        self._tasks: set[asyncio.Task[None]] = set()

    def report(self, attempt: AttemptId, exception: Any, worker: str | None) -> None:
        """Writes that an attempt's Dask task failed.

        Args:
            exception: as the plugin received it.
            worker: address of the worker, if known.
        """
        with log_context(taskId=attempt[0], attempt=attempt[1]):
            # The new asyncio task inherits this log context.
            task = asyncio.get_running_loop().create_task(self._write(*attempt, exception, worker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancels what has not been written yet."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, task_id: str, attempt: int, exception: Any, worker: str | None) -> None:
        exception = dask_internals.read_exception(exception)
        dead_worker = dask_internals.worker_that_died(exception, worker)
        message = attempt_errors.message_of(exception)
        if dead_worker is not None:
            cause = "worker_died"
            # The nanny may know why the worker process ended, and that the loss must not count against the task.
            await asyncio.sleep(NANNY_GRACE_SECONDS)
            call = self._store.calls.mark_lost(task_id, attempt, "worker", attempt_errors.worker_lost(dead_worker))
        else:
            cause = "undelivered"
            error = attempt_errors.undelivered(f"{attempt_errors.type_of(exception)}: {message}")
            call = self._store.calls.mark_lost(task_id, attempt, "undelivered", error)
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                verdict = await self._store.run(call)
            except StoreUnavailable as error:
                if time.monotonic() > deadline:
                    logger.error("the loss of task %s attempt %d could not be written: %s", task_id, attempt, error)
                    return
                await asyncio.sleep(RETRY_SECONDS)
            else:
                metrics.count_lost(cause, verdict)
                logger.warning("task %s attempt %d is lost (%s): %s", task_id, attempt, message, verdict)
                return
