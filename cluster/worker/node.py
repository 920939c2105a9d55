"""The worker node: a stock Dask worker under a nanny. This is the nanny's process; `preload.py` runs in the worker's.

The nanny starts a new worker process within two seconds where a task takes its process down, and ends one that takes
more memory than it may.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cluster.errors import RegistryError, StoreUnavailable
from cluster.observability.logs import set_up_logging
from cluster.scheduling import dask_internals
from cluster.scheduling.dask_config import configure_dask
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.system.background import BackgroundLoop
from cluster.system.bind_address import own_address
from cluster.system.ecs_metadata import current_ecs_task, random_worker_name, worker_name
from cluster.system.tls import dask_security
from cluster.worker.attempt_table import AttemptTable, failure_path, table_path
from cluster.worker.descendants import Descendants
from cluster.worker.drain import drain
from cluster.worker.watchdog import MEMORY_SECONDS, Watchdog, WorkerProcess
from cluster.worker.watchdog import TURN_SECONDS as WARDEN_SECONDS

if TYPE_CHECKING:
    from distributed import Nanny

logger = logging.getLogger(__name__)

START_TURN_SECONDS: Final = 0.05
ALIVE_SECONDS: Final = 5.0
"""How often the scheduler hears from the nanny's process that the worker process lives."""
LEAVING_SECONDS: Final = 1.0
"""How long the end of a worker process waits for the scheduler to hear of it."""
NANNY_BYTES: Final = 100 * 2**20
"""What the nanny takes beside the worker process: without it the platform would end both before the nanny ends one."""


async def run_worker(settings: Settings, stop: asyncio.Event, *, name: str | None = None) -> None:
    """Runs one worker until `stop` is set or its scheduler is gone.

    Workers do not find a restarted scheduler again (distributed issue 6391): whoever started this one starts a new one.
    This process is the nanny's. It imports no task module, so what those need of memory is the worker process's alone.

    Raises:
        RegistryError: the worker process cannot import a task module; the message names it.
    """
    descendants = Descendants()
    scratch = Path(settings.data_dir).absolute() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    configure_dask(scratch)
    ecs = await asyncio.to_thread(current_ecs_task)
    name = name or (worker_name(ecs.arn) if ecs else random_worker_name())
    set_up_logging(settings, "worker", name)
    host = await own_address(settings)
    path = table_path(settings, name)
    board = AttemptTable(path, create=True)
    store = Store(settings)
    try:
        nanny, memory_share = _nanny(settings, name, host, ecs.memory_bytes if ecs else None, scratch)
        try:
            process = WorkerProcess(
                name,
                lambda: nanny.pid,
                partial(_leaving, nanny),
                dask_internals.memory_limit(nanny),
                memory_share,
                settings.worker_stuck_seconds,
            )
            warden = Watchdog(store, board, descendants, process)
            if not await _started(nanny, stop, path):
                await warden.give_all_back(board.entries(board.owner))
                return
            logger.info("worker %s serves %s", nanny.worker_address, settings.scheduler)
            dask_internals.on_worker_exit(nanny, warden.process_ended)
            loops = (
                BackgroundLoop("warden", lambda: warden.turn(time.monotonic()), pause_seconds=WARDEN_SECONDS),
                BackgroundLoop("memory", warden.look_at_memory, pause_seconds=MEMORY_SECONDS),
                BackgroundLoop("alive", partial(_say_alive, nanny, warden), pause_seconds=ALIVE_SECONDS),
            )
            for loop in loops:
                loop.start()
            gone = asyncio.create_task(nanny.finished())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({gone, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done() and not gone.done():
                await drain(nanny, board, warden, settings.drain_seconds)
            gone.cancel()
            stopping.cancel()
            for loop in loops:
                await loop.close()
            await nanny.close(timeout=5)
            with suppress(StoreUnavailable):
                # What was lost with the scheduler, say: so nobody has to find it.
                await warden.tell_ended()
        finally:
            await nanny.close(timeout=5)
    finally:
        # Whatever tasks started ends with their worker.
        descendants.end_orphans()
        path.unlink(missing_ok=True)
        failure_path(path).unlink(missing_ok=True)
        await store.close()


def _nanny(
    settings: Settings, name: str, host: str | None, task_bytes: int | None, scratch: Path
) -> tuple[Nanny, float]:
    """The nanny, and the share of its memory at which the worker process is ended: by the warden, which says why."""
    import dask
    from distributed import Nanny

    share = dask.config.get("distributed.worker.memory.terminate")
    with dask.config.set({"distributed.worker.memory.terminate": False}):
        nanny = Nanny(
            settings.scheduler,
            name=name,
            # Without it the worker process listens on all of the machine's addresses.
            host=host,
            nthreads=settings.worker_threads,
            # Dask's own default is a share by threads, half of the memory for one thread on two cores.
            memory_limit=memory_of(settings.worker_memory_bytes, task_bytes, dask_internals.machine_memory()),
            local_directory=str(scratch),
            preload=["cluster.worker.preload"],
            env=settings.environment(),
            security=dask_security(settings),
            # A worker's own pages are of no use behind a network that shows only the api; Dask opens their port anyway.
            dashboard=False,
            dashboard_address="127.0.0.1:0",
        )
    return nanny, float(share or 0)


async def _started(nanny: Nanny, stop: asyncio.Event, path: Path) -> bool:
    """Starts the worker process; False where it was asked to stop meanwhile.

    Raises:
        RegistryError: the process cannot serve, and says why.
    """
    starting = asyncio.ensure_future(nanny.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        # It may have registered just now, and run something already.
        await asyncio.wait({starting}, timeout=LEAVING_SECONDS)
    if not starting.done():
        # It is importing, which may take minutes, or waits for a scheduler that is gone.
        logger.info("this worker is stopped before it serves")
        while not starting.done():
            if nanny.pid:
                with suppress(ProcessLookupError):
                    os.kill(nanny.pid, signal.SIGKILL)
            else:
                starting.cancel()
            await asyncio.wait({starting}, timeout=START_TURN_SECONDS)
        await asyncio.gather(starting, return_exceptions=True)
        return False
    try:
        await starting
    except RuntimeError as error:
        if failure_path(path).exists():
            raise RegistryError(failure_path(path).read_text()) from error
        raise
    return True


async def _leaving(nanny: Nanny, leaving: bool) -> None:
    """Tells the scheduler that nothing more must go to this worker, or that it may again.

    A scheduler that is away sends nothing either.
    """
    try:
        async with asyncio.timeout(LEAVING_SECONDS):
            worker = {"worker": nanny.worker_address, "leaving": leaving}
            await dask_internals.call_handler(nanny, "dask_graphql_leaving", **worker)
    except (OSError, TimeoutError) as error:
        logger.info("the scheduler was not told that this worker process ends: %s", error)


async def _say_alive(nanny: Nanny, warden: Watchdog) -> None:
    """Tells the scheduler that the worker process lives, which it cannot say itself while a task holds its
    interpreter."""
    if nanny.pid is None or warden.is_stopped:
        return
    try:
        async with asyncio.timeout(ALIVE_SECONDS):
            await dask_internals.call_handler(nanny, "dask_graphql_alive", worker=nanny.worker_address)
    except (OSError, TimeoutError) as error:
        logger.debug("the scheduler did not hear that this worker lives: %s", error)


def memory_of(asked: int, task: int | None, machine: int) -> int:
    """Bytes that the worker process may take.

    Args:
        asked: the setting; 0 for all there is.
        task: of the ECS task; None where it does not say.
        machine: of the machine or the container, as Dask sees it: on Fargate it may be more than the task's.
    """
    if asked:
        return asked
    whole = min(task or machine, machine)
    return max(whole - NANNY_BYTES, whole // 2)
