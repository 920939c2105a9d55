"""The scheduler node: the stock Dask scheduler with a preload that adds our plugin."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cluster.node_registry import NodeRegistry, load_node_registry
from cluster.scheduling.dask_config import configure_dask
from cluster.scheduling.dask_internals import drop_spans
from cluster.scheduling.reloading import set_import
from cluster.settings import Settings, load_settings
from cluster.store.async_store import Store
from cluster.system import gc_tuning
from cluster.system.tls import check_scheduler_address, dask_security

if TYPE_CHECKING:
    from distributed import Scheduler

logger = logging.getLogger(__name__)


async def dask_setup(scheduler: Scheduler) -> None:
    """Preload of the scheduler process (`dask scheduler --preload cluster.scheduling.scheduler_node`)."""
    settings = load_settings()
    # Dask unpickles graphs on the scheduler, so the modules of graph tasks must be importable here too.
    set_import(scheduler, NodeRegistry(settings).reload)
    from cluster.scheduling.attempt_tracker import AttemptTracker

    tracker = AttemptTracker(scheduler, Store(settings), settings.separate_pools)
    scheduler.add_plugin(tracker)
    drop_spans(scheduler)
    tracker.activate()


async def run_scheduler(settings: Settings, stop: asyncio.Event) -> None:
    """Runs the scheduler until `stop` is set."""
    scratch = Path(settings.data_dir).absolute() / "scratch"
    configure_dask(scratch, pages=bool(settings.dashboard))
    # Dask ignores a preload that fails. Here a module that cannot be imported stops the node, and the error names it.
    load_node_registry(settings)
    from distributed import Scheduler

    address = urlsplit(settings.scheduler_bind)
    check_scheduler_address(settings)
    async with Scheduler(
        protocol=address.scheme,
        host=address.hostname,
        port=address.port,
        dashboard=bool(settings.dashboard),
        # Dask opens an HTTP port even without a dashboard; bind it to the loopback interface.
        dashboard_address=settings.dashboard or "127.0.0.1:0",
        preload=["cluster.scheduling.scheduler_node"],
        security=dask_security(settings),
    ) as scheduler:
        gc_tuning.freeze_gc()
        logger.info("the scheduler is listening on %s", scheduler.address)
        await stop.wait()
