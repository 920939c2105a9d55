"""Health, readiness and metrics of an api node: `/healthz`, `/readyz`, `/metrics`. If the node has several processes,
one of them speaks for all."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from cluster.api_node.node import Node
from cluster.api_node.readiness import Problem
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.observability.metrics_server import CONTENT_TYPE
from cluster.store.record import TaskState
from graphql_api.auth import callers
from graphql_api.auth.http import caller_of
from graphql_api.processes.siblings import problems_of, siblings_of


async def healthz(_: Request) -> Response:
    """The process is alive."""
    return PlainTextResponse("ok")


async def readyz(request: Request) -> Response:
    """Whether this node, or another process of it, can accept tasks and deliver results, as observed within the last
    second. The scheduler and recovery are reported but not required: tasks are accepted without them."""
    node: Node = request.app.state.node
    report = await node.readiness.check()
    siblings = siblings_of(request.app.state.member)
    ready = report.ready or any(item.serves for item in siblings)
    state = {
        "ready": ready,
        "redis": report.redis,
        "listening": node.deliveries.listening.is_set(),
        "scheduler": report.scheduler,
        "workerThreads": node.schedulers.threads,
        "recoverer": any(recoverer.active for recoverer in node.recoverers),
        "heartbeatAgeSeconds": report.heartbeat_age_seconds,
        "recoveryAgeSeconds": report.recovery_age_seconds,
        "notReady": [_shown(item) for item in (*report.problems, *problems_of(siblings))],
    }
    if siblings:
        state["processes"] = [item.shown(own_ready=report.ready) for item in siblings]
    return JSONResponse(state, 200 if ready else 503)


def _shown(problem: Problem) -> dict[str, Any]:
    since = datetime.fromtimestamp(problem.since, UTC)
    return {
        "part": problem.part,
        "needed": problem.needed,
        "since": since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "seconds": round(time.time() - problem.since, 1),
        "reason": problem.reason,
    }


async def show_metrics(request: Request) -> Response:
    """This node's metrics, in the Prometheus text format."""
    (await caller_of(request)).require(callers.Scope.ADMIN)
    await measure(request.app)
    return Response(request.app.state.exposition.text(), headers={"Content-Type": CONTENT_TYPE})


async def measure(app: Starlette) -> None:
    """Sets the gauges that are measured when they are read."""
    measure_process(app)
    metrics.ASYNCIO_TASKS.set(len(asyncio.all_tasks()))
    await _measure_queue(app.state.node)


def measure_process(app: Starlette) -> None:
    """Sets those that describe this process, except the number of asyncio tasks, which takes milliseconds to count."""
    node: Node = app.state.node
    metrics.SUBSCRIPTIONS.set(node.deliveries.subscribers)
    metrics.WATCHES.set(node.deliveries.watched_tasks)
    metrics.SOCKETS.set(app.state.sockets.open)
    metrics.RECOVERER.set(any(recoverer.active for recoverer in node.recoverers))
    metrics.SCHEDULER_CONNECTED.set(len(node.schedulers.connected) == len(node.schedulers))


async def _measure_queue(node: Node) -> None:
    names = list(node.registry)
    states: Mapping[TaskState, float]
    depths: Sequence[float]
    try:
        states = await node.store.counts()
        depths = await node.store.count_queued(names)
        age = await node.store.queue_age()
    except StoreUnavailable:
        # Metrics matter most while Redis is unavailable; those read from Redis are then NaN.
        states, depths, age = dict.fromkeys(TaskState, math.nan), [math.nan] * len(names), math.nan
    for state, count in states.items():
        metrics.TASKS.labels(state).set(count)
    for name, depth in zip(names, depths, strict=True):
        metrics.QUEUE_DEPTH.labels(name).set(depth)
    metrics.QUEUE_AGE.set(age)
