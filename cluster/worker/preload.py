"""The preload of the worker process: it makes a stock Dask worker able to run our attempts."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cluster import attempt_errors
from cluster.current_settings import use_settings
from cluster.errors import RegistryError
from cluster.node_registry import NodeRegistry
from cluster.observability.logs import set_up_logging
from cluster.observability.tracing import set_up_tracing, shut_down_tracing
from cluster.scheduling.dask_config import forget_our_variables, use_fast_connections
from cluster.scheduling.dask_internals import drop_spans, make_exceptions_portable, trim_key_cache
from cluster.scheduling.entry_point import use_runner
from cluster.scheduling.pools import keep_in_pool
from cluster.scheduling.reloading import set_import
from cluster.scheduling.unused_results import drop_results
from cluster.settings import Settings, load_settings, remove_secrets
from cluster.store.blob_url import open_blob_store
from cluster.store.thread_store import ThreadStore
from cluster.system import gc_tuning
from cluster.system.background import BackgroundLoop, BackgroundThread
from cluster.task_types.value_types import allow_long_integers
from cluster.task_types.worker_state import make_worker_states
from cluster.worker.attempt_table import AttemptTable, failure_path, table_path
from cluster.worker.executor import Executor
from cluster.worker.finishing import await_attempts
from cluster.worker.heartbeat import HeartbeatThread
from cluster.worker.output_capture import capture_output

if TYPE_CHECKING:
    from distributed import Worker

logger = logging.getLogger(__name__)

REGISTRATION_POLL_SECONDS: Final = 0.05
PROCESS_HEARTBEAT_SECONDS: Final = 0.5
"""How often the event loop and a thread of the worker process record heartbeats in the attempt table."""


def dask_setup(worker: Worker) -> None:
    """Runs in the worker process before it registers (`dask worker --preload cluster.worker.preload`).

    Dask would ignore a failed preload and then run nothing, so the process exits instead, and its nanny reads why.
    """
    # Before it connects to the scheduler.
    use_fast_connections()
    settings = load_settings()
    # Before a task module is imported: neither tasks nor the programs that they start need them.
    remove_secrets(os.environ)
    forget_our_variables()
    path = table_path(settings, str(worker.name))
    try:
        _set_up(worker, settings, path)
    except BaseException as error:
        if not path.exists():
            raise  # it was not started by our nanny
        failure_path(path).write_text(
            error.args[0] if isinstance(error, RegistryError) else attempt_errors.message_of(error)
        )
        logger.exception("this worker process cannot serve")
        logging.shutdown()
        os._exit(1)


def _set_up(worker: Worker, settings: Settings, path: Path) -> None:
    set_up_logging(settings, "worker", str(worker.name))
    capture_output(tracebacks=settings.expose_tracebacks)
    set_up_tracing("worker", str(worker.name))
    use_settings(settings)
    allow_long_integers()
    table = None
    if path.exists():
        table = AttemptTable(path)
        table.claim()
    task_modules = NodeRegistry(settings)
    # The worker registers with the scheduler after this, so no task waits for a state, nor fails for want of one.
    make_worker_states()
    executor = Executor(
        settings,
        task_modules.registry,
        ThreadStore(settings),
        open_blob_store(settings.blob_store_url),
        str(worker.name),
        table,
    )
    use_runner(keep_in_pool(executor.run, settings.pool) if settings.separate_pools else executor.run)
    drop_spans(worker)
    drop_results(worker)
    make_exceptions_portable()
    heartbeat = HeartbeatThread(executor)
    heartbeat.thread.start()
    if table:
        # With both, the watchdog can tell a stuck event loop from a task that holds the interpreter.
        worker.__dict__["dask_graphql_process_heartbeats"] = (
            BackgroundLoop("loop heartbeat", partial(_heartbeat, table), pause_seconds=PROCESS_HEARTBEAT_SECONDS),
            BackgroundThread(
                "thread heartbeat", table.record_thread_heartbeat, pause_seconds=PROCESS_HEARTBEAT_SECONDS
            ),
        )
        for recorder in worker.__dict__["dask_graphql_process_heartbeats"]:
            recorder.start()
    if settings.reload_task_modules:
        set_import(worker, task_modules.reload)
        # Nobody reaches this process before it has registered, so it looks itself for changes until then.
        worker.__dict__["dask_graphql_first_look"] = asyncio.create_task(_reload_once_registered(worker, task_modules))
    gc_tuning.freeze_gc()
    worker.__dict__["dask_graphql_heartbeat"] = heartbeat
    worker.__dict__["dask_graphql_executor"] = executor


async def _reload_once_registered(worker: Worker, task_modules: NodeRegistry) -> None:
    while worker.status.name in ("undefined", "init", "starting"):  # noqa: ASYNC110 - Dask has no event for it
        await asyncio.sleep(REGISTRATION_POLL_SECONDS)
    task_modules.reload_if_changed()


async def _heartbeat(table: AttemptTable) -> None:
    table.record_loop_heartbeat()
    trim_key_cache()


async def dask_teardown(worker: Worker) -> None:
    """Stops what `dask_setup` started, once the attempts that run have ended: without a scheduler they can still end.
    The nanny's process ends this one if they may not."""
    if "dask_graphql_process_heartbeats" in worker.__dict__:
        await await_attempts(worker.__dict__["dask_graphql_executor"])
    worker.__dict__["dask_graphql_heartbeat"].thread.stop()
    if recorders := worker.__dict__.get("dask_graphql_process_heartbeats"):
        await recorders[0].close()
        recorders[1].stop()
    use_runner(None)
    shut_down_tracing()
