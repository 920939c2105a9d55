"""The worker node: a stock Dask worker under a nanny, with a preload that makes it able to run our tasks.

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
from cluster.observability.tracing import end_tracing, set_up_tracing
from cluster.scheduling import attempt_keys
from cluster.scheduling.dask_config import configure_dask
from cluster.scheduling.dask_internals import carry_every_exception, drop_spans, hear_exits
from cluster.settings import Settings, load_settings
from cluster.store.blob_store import open_blob_store
from cluster.store.clients import Store, ThreadStore
from cluster.system import gc_tuning
from cluster.system.background import BackgroundLoop, BackgroundThread
from cluster.system.bind_address import own_address
from cluster.system.ecs_metadata import own_task, random_name, worker_name
from cluster.system.tls import security
from cluster.task_types.registry import load_registry
from cluster.task_types.value_types import allow_long_integers
from cluster.worker.attempt_table import RunningBoard
from cluster.worker.descendants import Descendants
from cluster.worker.executor import Executor, use_executor
from cluster.worker.task_context import use_settings
from cluster.worker.watchdog import MEMORY_SECONDS, Warden, WorkerProcess
from cluster.worker.watchdog import TURN_SECONDS as WARDEN_SECONDS

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
LIVENESS_SECONDS: Final = 0.5
"""How often the event loop and a thread of the worker process beat on the board."""
ALIVE_SECONDS: Final = 5.0
"""How often the scheduler hears from the nanny's process that the worker process lives."""
LEAVING_SECONDS: Final = 1.0
"""How long the end of a worker process waits for the scheduler to hear of it."""
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
    """Preload of the worker process (`dask worker --preload cluster.worker.node`): runs before it registers.

    Dask would go on without a preload that failed, and run nothing: so the process ends, and its nanny reads why.
    """
    settings = load_settings()
    path = board_path(settings, str(worker.name))
    try:
        _set_up(worker, settings, path)
    except BaseException as error:
        if not path.exists():
            raise  # no nanny of ours waits for it
        _reason_path(path).write_text(
            error.args[0] if isinstance(error, RegistryError) else attempt_keys.message_of(error)
        )
        logger.exception("this worker process cannot serve")
        logging.shutdown()
        os._exit(1)


def _set_up(worker: Worker, settings: Settings, path: Path) -> None:
    set_up_logging(settings, "worker", str(worker.name))
    set_up_tracing("worker", str(worker.name))
    use_settings(settings)
    allow_long_integers()
    board = None
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
    if board:
        # By these the warden knows an event loop that is dead from a task that holds the interpreter.
        worker.__dict__["dask_graphql_beats"] = (
            BackgroundLoop("loop beat", partial(_beat, board), pause_seconds=LIVENESS_SECONDS),
            BackgroundThread("thread beat", board.beat_thread, pause_seconds=LIVENESS_SECONDS),
        )
        for beat in worker.__dict__["dask_graphql_beats"]:
            beat.start()
    gc_tuning.settle()
    worker.__dict__["dask_graphql_pulse"] = pulse


async def _beat(board: RunningBoard) -> None:
    board.beat_loop()


async def dask_teardown(worker: Worker) -> None:
    """Ends what `dask_setup` began."""
    worker.__dict__["dask_graphql_pulse"].thread.stop()
    if beats := worker.__dict__.get("dask_graphql_beats"):
        await beats[0].close()
        beats[1].stop()
    use_executor(None)
    end_tracing()


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
    ecs = await asyncio.to_thread(own_task)
    name = name or (worker_name(ecs.arn) if ecs else random_name())
    set_up_logging(settings, "worker", name)
    host = await own_address(settings)
    path = board_path(settings, name)
    board = RunningBoard(path, create=True)
    store = Store(settings)
    try:
        nanny, memory_share = _nanny(settings, name, host, ecs.memory_bytes if ecs else None, scratch)
        try:
            process = WorkerProcess(
                name,
                lambda: nanny.pid,
                partial(_leaving, nanny),
                nanny.memory_manager.memory_limit,
                memory_share,
                settings.worker_stuck_seconds,
            )
            warden = Warden(store, board, descendants, process)
            if not await _started(nanny, stop, path):
                await warden.give_all_back(board.entries(board.owner))
                return
            logger.info("worker %s serves %s", nanny.worker_address, settings.scheduler)
            hear_exits(nanny, warden.process_ended)
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
                await _drain(nanny, board, warden, settings.drain_seconds)
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
        _reason_path(path).unlink(missing_ok=True)
        await store.close()


def _nanny(
    settings: Settings, name: str, host: str | None, task_bytes: int | None, scratch: Path
) -> tuple[Nanny, float]:
    """The nanny, and the share of its memory at which the worker process is ended: by the warden, which says why."""
    import dask
    from distributed import Nanny
    from distributed.system import MEMORY_LIMIT

    share = dask.config.get("distributed.worker.memory.terminate")
    with dask.config.set({"distributed.worker.memory.terminate": False}):
        nanny = Nanny(
            settings.scheduler,
            name=name,
            # Without it the worker process listens on all of the machine's addresses.
            host=host,
            nthreads=settings.worker_threads,
            # Dask's own default is a share by threads, half of the memory for one thread on two cores.
            memory_limit=memory_of(settings.worker_memory_bytes, task_bytes, MEMORY_LIMIT),
            local_directory=str(scratch),
            preload=["cluster.worker.node"],
            env=settings.environment(),
            security=security(settings),
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
            await asyncio.wait({starting}, timeout=DRAIN_TURN_SECONDS)
        await asyncio.gather(starting, return_exceptions=True)
        return False
    try:
        await starting
    except RuntimeError as error:
        if _reason_path(path).exists():
            raise RegistryError(_reason_path(path).read_text()) from error
        raise
    return True


async def _leaving(nanny: Nanny, leaving: bool) -> None:
    """Tells the scheduler that nothing more must go to this worker, or that it may again.

    A scheduler that is away sends nothing either.
    """
    try:
        async with asyncio.timeout(LEAVING_SECONDS):
            await nanny.scheduler.dask_graphql_leaving(worker=nanny.worker_address, leaving=leaving)
    except (OSError, TimeoutError) as error:
        logger.info("the scheduler was not told that this worker process ends: %s", error)


async def _say_alive(nanny: Nanny, warden: Warden) -> None:
    """Tells the scheduler that the worker process lives, which it cannot say itself while a task holds its
    interpreter."""
    if nanny.pid is None or warden.is_stopped:
        return
    try:
        async with asyncio.timeout(ALIVE_SECONDS):
            await nanny.scheduler.dask_graphql_alive(worker=nanny.worker_address)
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


def board_path(settings: Settings, name: str) -> Path:
    """Where the running board of a worker lies."""
    return Path(settings.data_dir).absolute() / "scratch" / f"{name}.board"


def _reason_path(board: Path) -> Path:
    """Where the worker process writes why it cannot serve."""
    return board.with_suffix(".reason")


async def _drain(nanny: Nanny, board: RunningBoard, warden: Warden, seconds: float) -> None:
    """Takes nothing more and lets what runs end. What has not begun, and what is not done in time, is given back
    uncharged, and runs elsewhere."""
    try:
        async with asyncio.timeout(RESTART_SECONDS):
            # A worker process that is just being started again would register, begin tasks, and be ended with them.
            while nanny.process is None or nanny.process.status.name != "running":  # noqa: ASYNC110
                await asyncio.sleep(DRAIN_TURN_SECONDS)
        async with asyncio.timeout(RETIRE_SECONDS):
            await nanny.scheduler.retire_workers(workers=[nanny.worker_address], close_workers=False, remove=False)
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
