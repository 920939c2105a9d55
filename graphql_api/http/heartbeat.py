"""What a process does once a second, so that the parent and the other processes know of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette

from cluster.api_node.node import Node
from cluster.observability import metrics
from cluster.system.background import BackgroundLoop
from cluster.system.liveness import BEAT_SECONDS
from graphql_api.http.health import measure_process
from graphql_api.processes.member import Member

SLOW_SECONDS: Final = 15.0
"""How often that is measured which takes long: to count thousands of asyncio tasks, and to ask Redis."""


def heartbeat_loop(app: Starlette, member: Member, measure: Callable[[], Awaitable[None]]) -> BackgroundLoop:
    """Writes the row of this process and its gauges, which another process may be asked for.

    Args:
        measure: also sets the gauges that are read from Redis, for the parent that publishes them.
    """
    node: Node = app.state.node
    measured_at = float("-inf")

    async def beat() -> None:
        nonlocal measured_at
        member.beat(connections=app.state.address_limits.connections, ready=serves(node))
        measure_process(app)
        if time.monotonic() - measured_at < SLOW_SECONDS:
            return
        measured_at = time.monotonic()
        metrics.ASYNCIO_TASKS.set(len(asyncio.all_tasks()))
        if node.settings.cloudwatch_namespace:
            await measure()

    return BackgroundLoop("process heartbeat", beat, pause_seconds=BEAT_SECONDS)


def serves(node: Node) -> bool:
    """Whether nothing is known that would keep the node from serving, without asking Redis."""
    failing = any(loop.needed and loop.health.failing_since is not None for loop in node.loops)
    return node.deliveries.listening.is_set() and node.store.unavailable_since is None and not failing
