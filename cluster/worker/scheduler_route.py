"""A worker's way to its scheduler: the scheduler's address, and that of this machine on the route to it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cluster.errors import SettingError, StoreUnavailable
from cluster.scheduling.scheduler_heartbeat import SchedulerHeartbeat, read_heartbeat
from cluster.settings import Settings, variable_of
from cluster.store.async_store import Store
from cluster.store.script_calls import EPOCH_TTL_SECONDS

logger = logging.getLogger(__name__)

RESOLVE_SECONDS: Final = 60.0
"""How long there may be no scheduler: nodes start in any order."""
PROBE_SECONDS: Final = 3.0
"""How long the scheduler's machine may take to accept a connection."""
PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class SchedulerRoute:
    """How this machine reaches the scheduler.

    Attributes:
        scheduler: the scheduler's address.
        host: this machine's address on the route to it. By default, Dask's workers listen on all addresses.
        epoch: of that scheduler; empty if its heartbeat is not known.
    """

    scheduler: str
    host: str
    epoch: str


async def find_scheduler(settings: Settings, store: Store, seconds: float = RESOLVE_SECONDS) -> SchedulerRoute:
    """Returns the way to the scheduler that announces itself in Redis, or, if none can be reached, to that of the
    settings.

    Raises:
        SettingError: for all this time there was none, and the name in the settings did not resolve.
    """
    deadline = time.monotonic() + seconds
    while True:
        heartbeat = await heartbeat_or_none(store)
        if heartbeat and heartbeat.address and await _accepts(heartbeat.address):
            return SchedulerRoute(heartbeat.address, await _local_address_to(heartbeat.address), heartbeat.epoch)
        try:
            return SchedulerRoute(settings.scheduler, await _local_address_to(settings.scheduler), "")
        except OSError as error:
            if time.monotonic() > deadline:
                raise SettingError(
                    variable_of("scheduler"), settings.scheduler, f"an address that resolves and has a route ({error})"
                ) from error
        await asyncio.sleep(PAUSE_SECONDS)


async def next_scheduler(store: Store, epoch: str, release: str, stop: asyncio.Event, seconds: float) -> bool:
    """Waits until another scheduler has replaced the one of this epoch; returns whether this worker may join it.

    Args:
        release: RELEASE of this worker: it does not join a scheduler of another one.
        stop: ends the wait.
        seconds: how long there may be no scheduler.
    """
    began = time.monotonic()
    while not stop.is_set() and (waited := time.monotonic() - began) < seconds:
        heartbeat = await heartbeat_or_none(store)
        if heartbeat is not None and heartbeat.epoch != epoch:
            if heartbeat.release != release:
                logger.info("the next scheduler is of the release %r, this worker of %r", heartbeat.release, release)
            return heartbeat.release == release
        if heartbeat is not None and waited > EPOCH_TTL_SECONDS + PAUSE_SECONDS:
            return False  # The scheduler lives: it has dismissed this worker.
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PAUSE_SECONDS)
    return False


async def replaced(store: Store, epoch: str) -> None:
    """Returns once another scheduler serves than the one of this epoch; never, if the epoch is not known."""
    while True:
        heartbeat = await heartbeat_or_none(store) if epoch else None
        if heartbeat is not None and heartbeat.epoch != epoch:
            return
        await asyncio.sleep(PAUSE_SECONDS)


async def heartbeat_or_none(store: Store) -> SchedulerHeartbeat | None:
    """The heartbeat of the scheduler; None also if it cannot be read."""
    try:
        return await read_heartbeat(store)
    except StoreUnavailable as error:
        logger.debug("the scheduler's heartbeat is unknown: %s", error)
        return None


async def _accepts(address: str) -> bool:
    """Whether something accepts connections there: the heartbeat of a dead scheduler is valid for some seconds, and
    its address may be one that only its own network knows."""
    where = urlsplit(address)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(where.hostname, where.port)
    except (OSError, TimeoutError) as error:
        logger.debug("the scheduler that announces itself at %s is not reachable: %s", address, error)
        return False
    writer.close()
    return True


async def _local_address_to(address: str) -> str:
    where = urlsplit(address)
    found = await asyncio.get_running_loop().getaddrinfo(where.hostname, where.port or 0, type=socket.SOCK_DGRAM)
    family, kind, _, _, target = found[0]
    with socket.socket(family, kind) as probe:
        # On a datagram socket, connect only chooses a route; it sends nothing.
        probe.connect(target)
        return str(probe.getsockname()[0])
