"""The orderly stop of a worker: what runs may end, what waits is requeued."""

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

DRAIN_TURN_SECONDS: Final = 0.05
RESTART_SECONDS: Final = 5.0
"""How long a stop waits for a worker process that the nanny is just starting again."""
RETIRE_SECONDS: Final = 2.0
"""How long a stop waits for the scheduler to hear of it."""


async def drain(nanny: Nanny, board: AttemptTable, warden: Watchdog, seconds: float) -> None:
    """Takes nothing more and lets what runs end. What has not begun, and what is not done in time, is given back
    uncharged, and runs elsewhere."""
    try:
        async with asyncio.timeout(RESTART_SECONDS):
            # A worker process that is just being started again would register, begin tasks, and be ended with them.
            while not dask_internals.is_process_running(nanny):  # noqa: ASYNC110
                await asyncio.sleep(DRAIN_TURN_SECONDS)
        async with asyncio.timeout(RETIRE_SECONDS):
            leaving = {"workers": [nanny.worker_address], "close_workers": False, "remove": False}
            await dask_internals.call_handler(nanny, "retire_workers", **leaving)
    except (OSError, TimeoutError) as error:
        logger.info("the scheduler was not told that this worker leaves: %s", error)
    now = time.monotonic()
    await warden.give_all_back(entry for entry in board.entries(nanny.pid) if entry.behind(now))
    if board.entries(nanny.pid):
        logger.info("waiting up to %g s for %d running tasks", seconds, len(board.entries(nanny.pid)))
    try:
        async with asyncio.timeout(seconds):
            while board.entries(nanny.pid):  # noqa: ASYNC110
                await asyncio.sleep(DRAIN_TURN_SECONDS)  # the board is another process's: it has no event
    except TimeoutError:
        left = board.entries(nanny.pid)
        logger.warning("%d tasks did not end in %g s and run elsewhere, uncharged", len(left), seconds)
        await warden.give_all_back(left)
