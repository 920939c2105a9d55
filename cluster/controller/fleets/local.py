"""The fleet of this machine: one process per worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from cluster.controller.fleets.fleet import Fleet
from cluster.controller.plan import Policy
from cluster.ecs_task import random_name
from cluster.processes import Child, start_node, stop_children
from cluster.settings import Settings

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 5.0


class LocalFleet(Fleet):
    """Worker processes that end with their controller."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._children: dict[str, Child] = {}

    def policy(self) -> Policy:
        # A process comes within a second and costs nothing, but its memory.
        return Policy(self._settings.min_workers, self._settings.max_workers)

    async def living(self) -> Mapping[str, bool]:
        for name, child in list(self._children.items()):
            if child.process.returncode is not None:
                logger.info("the worker %s ended with exit code %d", name, child.process.returncode)
                del self._children[name]
        return dict.fromkeys(self._children, True)

    async def start(self, count: int) -> int:
        # Workers of one machine would ask for one port.
        settings = replace(self._settings, metrics_port=0)
        if not settings.worker_memory_bytes:
            # Of the machine or of this container, whichever is less; the workers of a full fleet share it.
            from distributed.system import MEMORY_LIMIT

            settings = replace(settings, worker_memory_bytes=MEMORY_LIMIT // settings.max_workers)
        for _ in range(count):
            # A name is never used twice, as Dask refuses a living one and a dead one may still be remembered.
            name = random_name()
            self._children[name] = await start_node(settings, "worker", "--name", name)
        return count

    async def stop(self, names: Collection[str]) -> None:
        children = [self._children[name] for name in names if name in self._children]
        await stop_children(children, STOP_SECONDS)

    async def close(self) -> None:
        await asyncio.shield(stop_children(list(self._children.values()), STOP_SECONDS))
