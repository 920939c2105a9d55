"""Loading changed task modules anew on all workers and on the scheduler, by order of an api node.

Dask runs these functions in the processes, which say at start what each does there. First every process imports the
modules; then each worker's nanny ends a process in which an attempt still runs the old code, and requeues the attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from distributed import Client, Nanny, Scheduler, Worker

logger = logging.getLogger(__name__)

RELOAD_SECONDS: Final = 10.0
"""How long the processes may take, which import the modules and what those import."""

_IMPORT: Final = "dask_graphql_import"
_RELEASE: Final = "dask_graphql_release"


def set_import(node: Scheduler | Worker, import_anew: Callable[[], float]) -> None:
    """Sets how a process imports its task modules anew; it returns `time.monotonic` of the change."""
    node.__dict__[_IMPORT] = import_anew


def set_release(nanny: Nanny, release: Callable[[float | None], Awaitable[bool]]) -> None:
    """Sets how a nanny ends its worker process if that runs attempts which started before a time, or in any case."""
    nanny.__dict__[_RELEASE] = release


async def reload_cluster(client: Client) -> None:
    """Returns when no process uses the old modules any more, or ignores one that does not answer in RELOAD_SECONDS.

    Raises:
        TimeoutError, OSError: the scheduler does not answer.
    """
    async with asyncio.timeout(RELOAD_SECONDS):
        await client.run_on_scheduler(import_on_scheduler)
        times = await client.run(import_on_worker, on_error="return")
        for worker, failed in times.items():
            if isinstance(failed, BaseException):
                logger.warning("the worker process %s cannot import the new task modules: %s", worker, failed)
        reloaded = {worker: at for worker, at in times.items() if isinstance(at, float)}
        ended = await client.run(release_worker, reloaded, nanny=True, on_error="return")
    logger.info(
        "%d worker processes have loaded the task modules anew; %d were ended, as they ran tasks with the old ones",
        len(reloaded), sum(result is True for result in ended.values()),
    )  # fmt: skip


def import_on_worker(dask_worker: Any) -> float:
    """Runs in a worker process."""
    imported: float = dask_worker.__dict__[_IMPORT]()
    return imported


def import_on_scheduler(dask_scheduler: Any) -> None:
    """Runs in the scheduler, which unpickles the graphs of tasks."""
    dask_scheduler.__dict__[_IMPORT]()


async def release_worker(reloaded: Mapping[str, float], dask_worker: Any) -> bool:
    """Runs in the process of a nanny. `reloaded` has the time when its worker process changed, if it could."""
    ended: bool = await dask_worker.__dict__[_RELEASE](reloaded.get(dask_worker.worker_address))
    return ended
