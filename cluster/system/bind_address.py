"""Where a node that others connect to listens: on the one address that faces its scheduler."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final
from urllib.parse import urlsplit

from cluster.errors import SettingError
from cluster.settings import Settings, variable_of

RESOLVE_SECONDS: Final = 60.0
"""How long the scheduler's name may be unknown: nodes start in any order, and Cloud Map learns of a healthy one."""
PAUSE_SECONDS: Final = 0.5


async def own_address(settings: Settings) -> str:
    """This machine's address on its way to the scheduler. Dask's workers would listen on all addresses otherwise.

    Raises:
        SettingError: the scheduler's name does not resolve, or nothing leads there.
    """
    place = urlsplit(settings.scheduler)
    deadline = time.monotonic() + RESOLVE_SECONDS
    while True:
        try:
            return await _facing(place.hostname or "", place.port or 0)
        except OSError as error:
            if time.monotonic() > deadline:
                raise SettingError(
                    variable_of("scheduler"), settings.scheduler, f"an address that resolves and has a route ({error})"
                ) from error
        await asyncio.sleep(PAUSE_SECONDS)


async def _facing(host: str, port: int) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, kind, _, _, place = found[0]
    with socket.socket(family, kind) as probe:
        # Of a datagram socket: chooses a route, and sends nothing.
        probe.connect(place)
        return str(probe.getsockname()[0])
