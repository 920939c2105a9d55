"""The worker node: a stock Dask worker under a nanny, with a preload that makes it able to run our tasks.

The nanny starts a new worker process within two seconds where a task takes its process down, and ends one that takes
more memory than it may.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cluster import collector
from cluster.addresses import own_address
from cluster.background import BackgroundLoop, BackgroundThread
from cluster.blobs import open_blob_store
from cluster.board import RunningBoard
from cluster.context import use_settings
from cluster.dask_config import configure_dask
from cluster.dask_private import carry_every_exception, drop_spans
from cluster.ecs_task import own_task, random_name, worker_name
from cluster.errors import StoreUnavailable
from cluster.execute import Executor, use_executor
from cluster.logs import set_up_logging
from cluster.registry import load_registry
from cluster.settings import Settings, load_settings
from cluster.store.store import Store, ThreadStore
from cluster.tls import security
from cluster.tracing import end_tracing, set_up_tracing
from cluster.values import allow_long_integers
from cluster.warden import TURN_SECONDS as WARDEN_SECONDS
from cluster.warden import Warden

if TYPE_CHECKING:
    from distributed import Nanny, Worker

logger = logging.getLogger(__name__)

PULSE_SECONDS: Final = 0.25
"""How often running attempts say that they live, tell their progress, and hear whether they were cancelled."""

QUIET_SECONDS: Final = 1.0
"""How often an attempt without new progress says so."""


STREAM_SECONDS: Final = 0.0005
"""How long the stream to the scheduler waits for more to send."""
DRAIN_TURN_SECONDS: Final = 0.05
RESTART_SECONDS: Final = 5.0
"""How long a stop waits for a worker process that the nanny is just starting again."""
RETIRE_SECONDS: Final = 2.0
"""How long a stop waits for the scheduler to hear of it."""
NANNY_BYTES: Final = 100 * 2**20
"""What the nanny takes beside the worker process: without it the platform would end both before the nanny ends one."""


class Pulse:
    """Speaks for a worker's running attempts, in a thread of its own, so that no task function waits for Redis."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._told: dict[tuple[str, int], tuple[float | None, int]] = {}
        self._beat = 0
        self.thread = BackgroundThread("pulse", self._round, pause_seconds=PULSE_SECONDS)

    def _round(self) -> None:
        store = self._executor.store
        self._beat += 1
        running = dict(self._executor.running)
        self._told = {key: value for key, value in self._told.items() if key in running}
        for key, attempt in running.items():
            # Short tasks end before they are seen twice, and cost nothing here.
            fraction, last = self._told.setdefault(key, (None, self._beat))
            partial = attempt.partial
            quiet = (self._beat - last) * PULSE_SECONDS
            if attempt.progress == fraction and not partial and quiet < QUIET_SECONDS:
                continue
            fraction = attempt.progress
            may_go_on = store.run_once(store.calls.progress(*key, fraction, partial or b""))
            self._told[key] = (fraction, self._beat)
            if partial is not None:
                # Now that Redis has it. The task's thread writes the next one only where there is none.
                attempt.partial = None
            if not may_go_on:
                attempt.stop.set()


def dask_setup(worker: Worker) -> None:
    """Preload of the worker process (`dask worker --preload cluster.worker`): runs before it registers."""
    settings = load_settings()
    set_up_logging(settings, "worker", str(worker.name))
    set_up_tracing("worker", str(worker.name))
    use_settings(settings)
    allow_long_integers()
    board = None
    path = board_path(settings, str(worker.name))
    if path.exists():
        board = RunningBoard(path)
        board.own()
    executor = Executor(
        settings,
        load_registry(settings.task_modules),
        ThreadStore(settings),
        open_blob_store(settings.blob_store_url),
        str(worker.name),
        board,
    )
    use_executor(executor)
    drop_spans(worker)
    carry_every_exception()
    # Dask waits 2 ms for more to send; a lone task would feel them.
    worker.batched_stream.interval = STREAM_SECONDS
    pulse = Pulse(executor)
    pulse.thread.start()
    collector.settle()
    worker.__dict__["dask_graphql_pulse"] = pulse


def dask_teardown(worker: Worker) -> None:
    """Ends what `dask_setup` began."""
    worker.__dict__["dask_graphql_pulse"].thread.stop()
    use_executor(None)
    end_tracing()


async def run_worker(settings: Settings, stop: asyncio.Event, *, name: str | None = None) -> None:
    """Runs one worker until `stop` is set or its scheduler is gone.

    Workers do not find a restarted scheduler again (distributed issue 6391): whoever started this one starts a new one.
    """
    registry = load_registry(settings.task_modules)  # a module that cannot be imported stops the node, with its name
    scratch = Path(settings.data_dir).absolute() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    configure_dask(scratch)
    from distributed import Nanny
    from distributed.system import MEMORY_LIMIT

    ecs = await asyncio.to_thread(own_task)
    name = name or (worker_name(ecs.arn) if ecs else random_name())
    set_up_logging(settings, "worker", name)
    host = await own_address(settings)
    path = board_path(settings, name)
    board = RunningBoard(path, create=True)
    store = Store(settings)
    nanny = Nanny(
        settings.scheduler,
        name=name,
        # Without it the worker process listens on all of the machine's addresses.
        host=host,
        nthreads=settings.worker_threads,
        # Dask's own default is a share by threads, half of the memory for one thread on two cores.
        memory_limit=memory_of(settings.worker_memory_bytes, ecs.memory_bytes if ecs else None, MEMORY_LIMIT),
        local_directory=str(scratch),
        preload=["cluster.worker"],
        env=settings.environment(),
        security=security(settings),
        # A worker's own pages are of no use behind a network that shows only the api; Dask opens their port anyway.
        dashboard=False,
        dashboard_address="127.0.0.1:0",
    )
    try:
        async with nanny:
            logger.info("worker %s serves %s", nanny.worker_address, settings.scheduler)
            warden = Warden(store, board, registry, lambda: nanny.pid)
            watching = BackgroundLoop("warden", lambda: warden.turn(time.monotonic()), pause_seconds=WARDEN_SECONDS)
            watching.start()
            gone = asyncio.create_task(nanny.finished())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({gone, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done() and not gone.done():
                await _drain(nanny, board, warden, settings.drain_seconds)
            gone.cancel()
            stopping.cancel()
            await watching.close()
            await nanny.close(timeout=5)
    finally:
        path.unlink(missing_ok=True)
        await store.close()


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


def board_path(settings: Settings, name: str) -> Path:
    """Where the running board of a worker lies."""
    return Path(settings.data_dir).absolute() / "scratch" / f"{name}.board"


async def _drain(nanny: Nanny, board: RunningBoard, warden: Warden, seconds: float) -> None:
    """Takes nothing more and lets what runs end. What has not begun goes back; what is not done in time is lost to the
    platform, uncharged, and runs again elsewhere."""
    try:
        async with asyncio.timeout(RESTART_SECONDS):
            # A worker process that is just being started again would register, begin tasks, and be ended with them.
            while nanny.process is None or nanny.process.status.name != "running":  # noqa: ASYNC110
                await asyncio.sleep(DRAIN_TURN_SECONDS)
        async with asyncio.timeout(RETIRE_SECONDS):
            await nanny.scheduler.retire_workers(workers=[nanny.worker_address], close_workers=False, remove=False)
    except (OSError, TimeoutError) as error:
        logger.info("the scheduler was not told that this worker leaves: %s", error)
    try:
        await warden.give_back([entry for entry in board.entries(nanny.pid) if entry.behind(time.monotonic())])
    except StoreUnavailable as error:
        logger.info("what waits behind others runs here too: %s", error)
    if board.entries(nanny.pid):
        logger.info("waiting up to %g s for %d running tasks", seconds, len(board.entries(nanny.pid)))
    try:
        async with asyncio.timeout(seconds):
            while board.entries(nanny.pid):  # noqa: ASYNC110
                await asyncio.sleep(DRAIN_TURN_SECONDS)  # the board is another process's: it has no event
    except TimeoutError:
        logger.warning("%d tasks are given up: they did not end in %g s", len(board.entries(nanny.pid)), seconds)
