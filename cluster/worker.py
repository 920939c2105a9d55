"""The worker node: a stock Dask worker under a nanny, with a preload that makes it able to run our tasks.

The nanny starts a new worker process within two seconds where a task takes its process down, and ends one that takes
more memory than it may.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cluster.blobs import open_blob_store
from cluster.context import use_settings
from cluster.dask_config import configure_dask
from cluster.errors import StoreUnavailable
from cluster.execute import Executor, use_executor
from cluster.registry import load_registry
from cluster.settings import Settings, load_settings
from cluster.store.store import ThreadStore
from cluster.values import allow_long_integers

if TYPE_CHECKING:
    from distributed import Worker

logger = logging.getLogger(__name__)

PULSE_SECONDS: Final = 0.25
"""How often running attempts say that they live, tell their progress, and hear whether they were cancelled."""

QUIET_SECONDS: Final = 1.0
"""How often an attempt without new progress says so."""


class Pulse(threading.Thread):
    """One thread per worker that speaks for its running attempts, so that no task function waits for Redis."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(name="pulse", daemon=True)
        self._executor = executor
        self._stopped = threading.Event()

    def run(self) -> None:
        store = self._executor.store
        told: dict[tuple[str, int], tuple[float | None, int]] = {}
        beat = 0
        while not self._stopped.wait(PULSE_SECONDS):
            beat += 1
            running = dict(self._executor.running)
            told = {key: value for key, value in told.items() if key in running}
            for key, attempt in running.items():
                # Short tasks end before they are seen twice, and cost nothing here.
                fraction, last = told.setdefault(key, (None, beat))
                if attempt.progress == fraction and (beat - last) * PULSE_SECONDS < QUIET_SECONDS:
                    continue
                fraction = attempt.progress
                try:
                    may_go_on = store.run_once(store.calls.progress(*key, fraction))
                except StoreUnavailable as error:
                    logger.warning("the pulse of %s is not heard: %s", key[0], error)
                    break
                told[key] = (fraction, beat)
                if not may_go_on:
                    attempt.stop.set()

    def stop(self) -> None:
        self._stopped.set()


def dask_setup(worker: Worker) -> None:
    """Preload of the worker process (`dask worker --preload cluster.worker`): runs before it registers."""
    settings = load_settings()
    use_settings(settings)
    allow_long_integers()
    store = ThreadStore(settings)
    executor = Executor(
        settings,
        load_registry(settings.task_modules),
        store,
        open_blob_store(settings.blob_store_url),
        str(worker.name),
    )
    use_executor(executor)
    pulse = Pulse(executor)
    pulse.start()
    worker.__dict__["dask_graphql_pulse"] = pulse


def dask_teardown(worker: Worker) -> None:
    """Ends what `dask_setup` began."""
    worker.__dict__["dask_graphql_pulse"].stop()
    use_executor(None)


async def run_worker(settings: Settings, stop: asyncio.Event, *, name: str | None = None) -> None:
    """Runs one worker until `stop` is set or its scheduler is gone.

    Workers do not find a restarted scheduler again (distributed issue 6391): whoever started this one starts a new one.
    """
    load_registry(settings.task_modules)  # a module that cannot be imported stops the node at start, with its name
    scratch = Path(settings.data_dir).absolute() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    configure_dask(scratch)
    from distributed import Nanny

    nanny = Nanny(
        settings.scheduler,
        name=name or f"worker-{uuid.uuid4().hex[:12]}",
        nthreads=settings.worker_threads,
        memory_limit=settings.worker_memory_bytes or "auto",
        local_directory=str(scratch),
        preload=["cluster.worker"],
        env=settings.environment(),
        # A worker's own pages are of no use behind a network that shows only the api.
        dashboard=False,
        dashboard_address=None,
    )
    async with nanny:
        logger.info("worker %s serves %s", nanny.worker_address, settings.scheduler)
        gone = asyncio.create_task(nanny.finished())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({gone, stopping}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        stopping.cancel()
        await nanny.close(timeout=5)
