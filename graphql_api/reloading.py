"""Serving changed task modules without a restart: the cluster first, so that no worker runs old code for a new id."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from cluster.api_node.node import Node
from cluster.api_node.reloads import Order, Reload, first_for, order_path, read_order, report_path, write_order
from cluster.node_registry import load_node_registry
from cluster.scheduling.reloading import reload_cluster
from cluster.scheduling.scheduler_client import SchedulerUnavailable
from cluster.system.background import BackgroundLoop
from cluster.task_types.registry import Registry
from cluster.task_types.reloading import import_anew
from graphql_api.processes.member import Member
from graphql_api.schema.builder import Schema

logger = logging.getLogger(__name__)


class Reloading:
    """Follows the orders of `dask-graphql dev`, which checks a change in a process of its own before.

    Args:
        make: makes the schema of a registry.
        serve: serves a schema from now on.
        member: this process, if the node has several.
    """

    def __init__(
        self,
        node: Node,
        make: Callable[[Registry], Schema],
        serve: Callable[[Schema], Awaitable[None]],
        member: Member | None = None,
    ) -> None:
        self._node = node
        self._make = make
        self._serve = serve
        self._process = member.number if member is not None else 0
        self._ordered = asyncio.Event()
        self.loop = BackgroundLoop("reload", self._follow)

    def start(self) -> None:
        """Listens for the signal that there is an order."""
        self._node.reloads.latest = Reload()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._ordered.set)
        self.loop.start()

    async def _follow(self) -> None:
        await self._ordered.wait()
        self._ordered.clear()
        order = read_order(order_path(self._node.settings))
        if order is None:
            return
        error = order.error
        if not error:
            try:
                await self._reload(order.number)
            except Exception as failure:
                logger.exception("the task modules could not be loaded anew")
                error = f"{type(failure).__name__}: {failure}"
        last = self._node.reloads.latest or Reload()
        if error:
            self._node.reloads.latest = Reload(last.count, last.at, error)
        else:
            self._node.reloads.latest = Reload(last.count + 1, time.time())
        write_order(report_path(self._node.settings, self._process), Order(order.number, error))

    async def _reload(self, number: int) -> None:
        # First, as it can fail: nothing has changed then.
        registry, schema = import_anew(self._node.registry, self._load)
        with ExitStack() as stack:
            if await asyncio.to_thread(stack.enter_context, first_for(self._node.settings, number)):
                await self._reload_clusters()
        self._node.registry.replace(registry)
        await self._serve(schema)

    async def _reload_clusters(self) -> None:
        for scheduler in self._node.schedulers:
            try:
                await reload_cluster(scheduler.client)
            except (SchedulerUnavailable, OSError, TimeoutError) as error:
                # Workers of a scheduler that is gone start anew, with the new modules.
                logger.warning("the workers could not be told of the new task modules: %s", error)

    def _load(self) -> tuple[Registry, Schema]:
        registry = load_node_registry(self._node.settings)
        return registry, self._make(registry)
