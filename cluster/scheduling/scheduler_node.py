"""The scheduler node: the stock Dask scheduler with a preload that adds our plugin.

Of several nodes one serves, and the others wait for its lease with everything imported, so that an update or a standby
takes over within seconds. A node that waits listens on nothing: no worker and no client can reach two schedulers.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cluster.errors import StoreUnavailable
from cluster.node_registry import NodeRegistry, load_node_registry
from cluster.scheduling import dask_internals
from cluster.scheduling.dask_config import configure_dask
from cluster.scheduling.dask_internals import drop_spans
from cluster.scheduling.reloading import set_import
from cluster.settings import Settings, load_settings
from cluster.store.async_store import Store
from cluster.store.leader_lease import LeaderLease, Lease
from cluster.system import gc_tuning
from cluster.system.liveness import liveness_loop
from cluster.system.tls import check_scheduler_address, dask_security

if TYPE_CHECKING:
    from distributed import Scheduler

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 15.0
"""How long a scheduler that is silent keeps its lease: longer than its event loop is blocked by any graph."""
POLL_SECONDS: Final = 0.5
YIELD_SECONDS: Final = 5.0
"""How long a node that waits lets the one that serves go first after Redis was unavailable."""
MAX_DRAIN_SECONDS: Final = 10.0
"""How long a scheduler that is asked to stop waits for running tasks at most: meanwhile no other task starts."""
DRAIN_POLL_SECONDS: Final = 0.05


async def dask_setup(scheduler: Scheduler) -> None:
    """Preload of the scheduler process (`dask scheduler --preload cluster.scheduling.scheduler_node`)."""
    settings = load_settings()
    # Dask unpickles graphs on the scheduler, so the modules of graph tasks must be importable here too.
    set_import(scheduler, NodeRegistry(settings).reload)
    from cluster.scheduling.attempt_tracker import AttemptTracker

    tracker = AttemptTracker(scheduler, Store(settings), settings.separate_pools, release=settings.release)
    scheduler.add_plugin(tracker)
    drop_spans(scheduler)
    tracker.activate()


async def run_scheduler(settings: Settings, stop: asyncio.Event) -> None:
    """Runs the scheduler until `stop` is set or another scheduler has taken over; while another one serves, waits."""
    scratch = Path(settings.data_dir).absolute() / "scratch"
    configure_dask(scratch, pages=bool(settings.dashboard))
    # Dask ignores a preload that fails. Here a module that cannot be imported stops the node, and the error names it.
    load_node_registry(settings)
    import distributed  # noqa: F401 - before the wait, not after it

    check_scheduler_address(settings)
    store = Store(settings)
    # A node that starts again on its machine and port needs not wait for itself: the other is dead, or has the port.
    holder = f"{socket.gethostname()} {settings.scheduler_bind}"
    lease = LeaderLease(store, "scheduling", store.calls.scheduler_lease_key, holder, seconds=LEASE_SECONDS)
    liveness = liveness_loop(settings, "scheduler")
    liveness.start()
    try:
        if await wait_for_turn(lease.lease, stop):
            await _serve(settings, lease, stop)
    finally:
        await liveness.close()
        await lease.close()
        await store.close()


async def wait_for_turn(lease: Lease, stop: asyncio.Event) -> bool:
    """Returns True once this node holds the lease, and False once `stop` is set."""
    announced = False
    while not stop.is_set():
        try:
            if await lease.hold():
                return True
            pause = POLL_SECONDS
            if not announced:
                logger.info("another scheduler serves: this one waits for its turn")
            announced = True
        except StoreUnavailable as error:
            logger.debug("the scheduler waits for Redis: %s", error)
            # The lease may have ended meanwhile: the one that served renews it first.
            pause = YIELD_SECONDS if announced else POLL_SECONDS
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
    return False


async def _serve(settings: Settings, lease: LeaderLease, stop: asyncio.Event) -> None:
    from distributed import Scheduler

    address = urlsplit(settings.scheduler_bind)
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
        lease.start()
        gc_tuning.freeze_gc()
        logger.info("the scheduler is listening on %s", scheduler.address)
        stopping = asyncio.ensure_future(stop.wait())
        superseded = asyncio.ensure_future(lease.taken())
        await asyncio.wait({stopping, superseded}, return_when=asyncio.FIRST_COMPLETED)
        if superseded.done():
            logger.warning("another scheduler has taken over while this one did not renew its lease: this one ends")
        else:
            await drain(scheduler, min(settings.drain_seconds, MAX_DRAIN_SECONDS))
        stopping.cancel()
        superseded.cancel()


async def drain(scheduler: Scheduler, seconds: float) -> None:
    """Starts nothing more, and returns when what runs has ended, or after `seconds`. What waits is dispatched again to
    the next scheduler."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while dask_internals.count_tasks(scheduler).processing:
                for worker in list(scheduler.workers):  # also those that have just registered
                    dask_internals.pause_worker(scheduler, worker)
                await asyncio.sleep(DRAIN_POLL_SECONDS)
            return
    logger.info("some tasks still run after %g s: they start again on the next scheduler", seconds)
