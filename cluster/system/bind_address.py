"""Which address a node listens on that others connect to: the one that faces its scheduler."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final
from urllib.parse import urlsplit

from cluster.errors import SettingError
from cluster.settings import Settings, variable_of

RESOLVE_SECONDS: Final = 60.0
"""How long the scheduler's name may not resolve: nodes start in any order, and Cloud Map lists only healthy ones."""
PAUSE_SECONDS: Final = 0.5


async def own_address(settings: Settings) -> str:
    """Returns this machine's address on its route to the scheduler. By default, Dask's workers listen on all addresses.

    Raises:
        SettingError: the scheduler's name does not resolve, or there is no route to it.
    """
    scheduler = urlsplit(settings.scheduler)
    deadline = time.monotonic() + RESOLVE_SECONDS
    while True:
        try:
            return await _local_address_to(scheduler.hostname or "", scheduler.port or 0)
        except OSError as error:
            if time.monotonic() > deadline:
                raise SettingError(
                    variable_of("scheduler"), settings.scheduler, f"an address that resolves and has a route ({error})"
                ) from error
        await asyncio.sleep(PAUSE_SECONDS)


async def _local_address_to(host: str, port: int) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, kind, _, _, target = found[0]
    with socket.socket(family, kind) as probe:
        # On a datagram socket, connect only chooses a route; it sends nothing.
        probe.connect(target)
        return str(probe.getsockname()[0])
