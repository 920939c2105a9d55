"""The worker node: a stock Dask worker under a nanny. This is the nanny's process; `preload.py` runs in the worker's.

If a task takes its worker process down, the nanny starts a new one within two seconds. The watchdog runs here too. When
the scheduler is replaced, the node stays and joins the next one: no machine or container has to start for that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cluster.errors import RegistryError, StoreUnavailable
from cluster.observability.logs import set_up_logging
from cluster.scheduling import dask_internals
from cluster.scheduling.dask_config import configure_dask
from cluster.scheduling.pools import announced
from cluster.scheduling.reloading import set_release
from cluster.scheduling.starting_workers import REPORT_SECONDS
from cluster.settings import Settings, remove_secrets
from cluster.store.async_store import Store
from cluster.system.background import BackgroundLoop
from cluster.system.ecs_metadata import current_ecs_task, random_worker_name, worker_name
from cluster.system.liveness import liveness_loop
from cluster.system.tls import dask_security
from cluster.worker.attempt_table import AttemptTable, failure_path, table_path
from cluster.worker.descendants import Descendants
from cluster.worker.drain import drain
from cluster.worker.finishing import ROUND_SECONDS, Finishing
from cluster.worker.process_health import MEMORY_CHECK_SECONDS
from cluster.worker.scheduler_route import SchedulerRoute, find_scheduler, heartbeat_or_none, next_scheduler, replaced
from cluster.worker.watchdog import CHECK_SECONDS, Watchdog
from cluster.worker.worker_process import WorkerProcess

if TYPE_CHECKING:
    from distributed import Nanny

logger = logging.getLogger(__name__)

REJOIN_SECONDS: Final = 60.0
"""How long a worker whose scheduler is gone waits for the next one; then its platform starts another."""
KILL_RETRY_SECONDS: Final = 0.05
SCHEDULER_HEARTBEAT_SECONDS: Final = 5.0
"""How often the nanny's process tells the scheduler that the worker process is alive."""
MAX_LEAVING_SECONDS: Final = 1.0
"""How long the end of a worker process waits for the scheduler to acknowledge it."""
NANNY_BYTES: Final = 100 * 2**20
"""Memory of the nanny's process. If it were not subtracted, the platform would kill both processes before the watchdog
kills one."""


async def run_worker(settings: Settings, stop: asyncio.Event, *, name: str | None = None) -> None:
    """Runs one worker until `stop` is set, or its scheduler is gone and no other one of its release comes.

    Workers do not reconnect to a restarted scheduler (distributed issue 6391): here each scheduler gets a nanny and a
    worker process of its own, under the same name. This process is the nannies'. It imports no task modules, so only
    the worker process pays their memory.

    Raises:
        RegistryError: the worker process cannot import a task module; the message names it.
    """
    remove_secrets(os.environ)  # before the first child process, which would inherit them
    descendants = Descendants()
    scratch = Path(settings.data_dir).absolute() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    configure_dask(scratch, pages=bool(settings.dashboard))
    ecs = await asyncio.to_thread(current_ecs_task)
    name = name or (worker_name(ecs.arn) if ecs else random_worker_name())
    set_up_logging(settings, "worker", name)
    store = Store(settings)
    try:
        while True:
            route = await find_scheduler(settings, store)
            # Its own processes are given this address too.
            served = replace(settings, scheduler=route.scheduler)
            epoch = await _serve(served, route, stop, store, descendants, name, ecs.memory_bytes if ecs else None)
            if stop.is_set() or not await next_scheduler(store, epoch, settings.release, stop, REJOIN_SECONDS):
                return
            logger.info("worker %s joins the next scheduler", name)
    finally:
        await store.close()


async def _serve(
    settings: Settings,
    route: SchedulerRoute,
    stop: asyncio.Event,
    store: Store,
    descendants: Descendants,
    name: str,
    task_bytes: int | None,
) -> str:
    """Serves one scheduler until `stop` is set or the scheduler is gone; returns its epoch, empty if that is unknown.

    Args:
        task_bytes: memory of the ECS task; None if it is not known.

    Raises:
        RegistryError: the worker process cannot import a task module.
    """
    path = table_path(settings, name)
    table = AttemptTable(path, create=True)
    try:
        scratch = Path(settings.data_dir).absolute() / "scratch"
        nanny, memory_share = _nanny(settings, name, route.host, task_bytes, scratch)
        try:
            process = WorkerProcess(
                name,
                lambda: nanny.pid,
                partial(_announce_leaving, nanny),
                dask_internals.memory_limit(nanny),
                memory_share,
                settings.worker_stuck_seconds,
            )
            watchdog = Watchdog(store, table, descendants, process)
            ended = replaced(store, route.epoch)
            if not await _start(nanny, stop, ended, path, partial(_report_starting, settings, name)):
                await watchdog.requeue_before_exit(table.entries(table.owner))
                return ""
            logger.info("worker %s serves %s", nanny.worker_address, settings.scheduler)
            dask_internals.on_worker_exit(nanny, watchdog.exits.process_ended)
            set_release(nanny, watchdog.end_process)
            finishing = Finishing(nanny, table, watchdog, store, settings, name)
            loops = (
                BackgroundLoop("watchdog", lambda: watchdog.check(time.monotonic()), pause_seconds=CHECK_SECONDS),
                BackgroundLoop("memory", watchdog.health.check_memory, pause_seconds=MEMORY_CHECK_SECONDS),
                BackgroundLoop(
                    "scheduler heartbeat",
                    partial(_send_heartbeat, nanny, process, partial(_report_starting, settings, name)),
                    pause_seconds=SCHEDULER_HEARTBEAT_SECONDS,
                ),
                liveness_loop(settings, "worker"),
                BackgroundLoop("finishing", finishing.round, pause_seconds=ROUND_SECONDS),
            )
            for loop in loops:
                loop.start()
            gone = asyncio.create_task(nanny.finished())
            stopping = asyncio.create_task(stop.wait())
            heartbeat = None if route.epoch else await heartbeat_or_none(store)
            finishing.epoch = heartbeat.epoch if heartbeat else route.epoch
            await asyncio.wait({gone, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done() and not gone.done():
                await drain(nanny, table, watchdog, settings.drain_seconds)
            gone.cancel()
            stopping.cancel()
            for loop in loops:
                await loop.close()
            await nanny.close(timeout=5)
            with suppress(StoreUnavailable):
                # Attempts that were lost with the scheduler, for example: the recoverer would find them only later.
                await watchdog.exits.report()
            return finishing.epoch
        finally:
            await nanny.close(timeout=5)
    finally:
        # Processes that tasks started end with their worker.
        descendants.kill_orphans()
        path.unlink(missing_ok=True)
        failure_path(path).unlink(missing_ok=True)


def _nanny(settings: Settings, name: str, host: str, task_bytes: int | None, scratch: Path) -> tuple[Nanny, float]:
    """The nanny, and the share of memory at which the worker process is killed: by the watchdog, which reports why."""
    import dask
    from distributed import Nanny

    share = dask.config.get("distributed.worker.memory.terminate")
    with dask.config.set({"distributed.worker.memory.terminate": False}):
        nanny = Nanny(
            settings.scheduler,
            name=name,
            # Without it the worker process would listen on all addresses of the machine.
            host=host,
            nthreads=settings.worker_threads,
            # Dask's default is a share by threads: half of the memory for one thread on two cores.
            memory_limit=worker_memory_bytes(
                settings.worker_memory_bytes or (0 if task_bytes else settings.all_pools[settings.pool].memory_bytes),
                task_bytes,
                dask_internals.machine_memory(),
            ),
            resources=announced(settings.pool),
            local_directory=str(scratch),
            preload=["cluster.worker.preload"],
            # By a pipe, which nobody else can read; the preload takes the secrets out of the environment again.
            env=settings.environment(),
            security=dask_security(settings),
            # Its pages could not be reached from outside, where only the api is visible; Dask opens their port anyway.
            dashboard=False,
            dashboard_address="127.0.0.1:0",
        )
    return nanny, float(share or 0)


async def _start(
    nanny: Nanny,
    stop: asyncio.Event,
    replaced: Coroutine[Any, Any, None],
    path: Path,
    report: Callable[..., Awaitable[None]],
) -> bool:
    """Starts the worker process and reports to the scheduler that it starts; returns False if it did not serve before
    `stop` was set, or before its scheduler was `replaced`, for which it would wait in vain.

    Raises:
        RegistryError: the process cannot serve; the message says why.
    """
    reports = BackgroundLoop("starting", report, pause_seconds=REPORT_SECONDS)
    reports.start()
    starting = asyncio.ensure_future(nanny.start())
    stopping, replacing = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(replaced)
    await asyncio.wait({starting, stopping, replacing}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    replacing.cancel()
    await reports.close()
    if stop.is_set():
        # It may have just registered, and already run something.
        await asyncio.wait({starting}, timeout=MAX_LEAVING_SECONDS)
    if not starting.done():
        # It is importing, which may take minutes, or is waiting for a scheduler that is gone.
        logger.info("this worker is stopped before it serves" if stop.is_set() else "the scheduler was replaced")
        while not starting.done():
            if nanny.pid:
                with suppress(ProcessLookupError):
                    os.kill(nanny.pid, signal.SIGKILL)
            else:
                starting.cancel()
            await asyncio.wait({starting}, timeout=KILL_RETRY_SECONDS)
        await asyncio.gather(starting, return_exceptions=True)
        return False
    try:
        await starting
    except RuntimeError as error:
        if failure_path(path).exists():
            reason = failure_path(path).read_text()
            await report(reason)
            raise RegistryError(reason) from error
        raise
    return True


async def _report_starting(settings: Settings, name: str, error: str = "") -> None:
    """Tells the scheduler that the worker process starts, or why it could not. The connection is one of its own: the
    nanny's is closed when its process failed."""
    from distributed import rpc

    security = dask_security(settings)
    connection = security.get_connection_args("worker") if security else {}
    try:
        async with (
            asyncio.timeout(MAX_LEAVING_SECONDS),
            rpc(settings.scheduler, connection_args=connection) as scheduler,
        ):
            await scheduler.dask_graphql_starting(name=name, error=error)
    except (OSError, TimeoutError, ValueError, AttributeError) as failure:
        # It is not there, or, in an earlier release, does not know the operation.
        logger.debug("the scheduler could not be notified that this worker starts: %s", failure)


async def _announce_leaving(nanny: Nanny, leaving: bool) -> None:
    """Tells the scheduler to send nothing more to this worker, or to resume.

    If the scheduler is unavailable, it sends nothing either.
    """
    try:
        async with asyncio.timeout(MAX_LEAVING_SECONDS):
            worker = {"worker": nanny.worker_address, "leaving": leaving}
            await dask_internals.call_handler(nanny, "dask_graphql_leaving", **worker)
    except (OSError, TimeoutError) as error:
        logger.info("the scheduler could not be notified that this worker process ends: %s", error)


async def _send_heartbeat(nanny: Nanny, process: WorkerProcess, report: Callable[[], Awaitable[None]]) -> None:
    """Tells the scheduler that the worker process is alive, which it cannot do itself while a task holds its
    interpreter; or that it starts again."""
    if nanny.pid is None or process.is_stopped:
        return
    if not dask_internals.is_process_running(nanny):
        await report()
        return
    try:
        async with asyncio.timeout(SCHEDULER_HEARTBEAT_SECONDS):
            await dask_internals.call_handler(nanny, "dask_graphql_alive", worker=nanny.worker_address)
    except (OSError, TimeoutError) as error:
        logger.debug("the heartbeat of this worker did not reach the scheduler: %s", error)


def worker_memory_bytes(setting: int, task: int | None, machine: int) -> int:
    """The memory that the worker process may use, in bytes.

    Args:
        setting: WORKER_MEMORY_BYTES; 0 for all there is.
        task: memory of the ECS task; None if it is not known.
        machine: memory of the machine or the container, as Dask sees it: on Fargate it may be more than the task's.
    """
    if setting:
        return setting
    available = min(task or machine, machine)
    return max(available - NANNY_BYTES, available // 2)
