"""The metrics of all nodes, declared in one place: what each counts, on which nodes, by which labels.

A metric is counted on the node where the thing happens; how many tasks there are in each state is read from the records
in Redis, which are the truth. Labels have few values: task types, outcomes, states, codes; never ids or clients.
docs/operations.md has this list as a table, written by scripts/metrics_table.py.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cluster.observability.multiprocess import FOLDER_VARIABLE
from cluster.observability.prometheus_internals import count_in_files_of
from cluster.version import __version__

if FOLDER_VARIABLE in os.environ:
    # Named by what they are, not by their process ids: a worker process that is started again counts on.
    count_in_files_of("worker" if multiprocessing.parent_process() else "nanny")

# A time of creation beside every counter would double what is stored, for nothing that we ask.
disable_created_metrics()  # type: ignore[no-untyped-call]

ROLES: Final = ("api", "scheduler", "worker", "controller")
ROUND_TRIPS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
RUNS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200)

Labels = Mapping[str, Sequence[str]]
"""The labels of a metric, each with its values where they are known, which then count from 0 on."""


@dataclass(frozen=True)
class MetricDeclaration:
    """One metric as the documents show it."""

    metric: MetricWrapperBase
    name: str
    kind: str
    labels: tuple[str, ...]
    roles: tuple[str, ...]
    meaning: str

    @property
    def family(self) -> str:
        """Its name without the suffix that its samples have."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name


DECLARED: Final[list[MetricDeclaration]] = []


def _declare(metric: Any, name: str, kind: str, meaning: str, roles: tuple[str, ...], labels: Labels) -> None:
    if labels and all(labels.values()):
        for chosen in itertools.product(*labels.values()):
            metric.labels(*chosen)
    DECLARED.append(MetricDeclaration(metric, f"dask_graphql_{name}", kind, tuple(labels), roles, meaning))


def _counter(name: str, meaning: str, *roles: str, **labels: Sequence[str]) -> Counter:
    metric = Counter(name, meaning, labels, "dask_graphql", registry=None)
    _declare(metric, f"{name}_total", "counter", meaning, roles, labels)
    return metric


def _gauge(name: str, meaning: str, *roles: str, **labels: Sequence[str]) -> Gauge:
    metric = Gauge(name, meaning, labels, "dask_graphql", registry=None, multiprocess_mode="max")
    _declare(metric, name, "gauge", meaning, roles, labels)
    return metric


def _histogram(
    name: str, meaning: str, *roles: str, buckets: Sequence[float] = ROUND_TRIPS, **labels: Sequence[str]
) -> Histogram:
    metric = Histogram(name, meaning, labels, "dask_graphql", registry=None, buckets=buckets)
    _declare(metric, name, "histogram", meaning, roles, labels)
    return metric


LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
STATES: Final = ("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED")

INFO = _gauge("info", "Always 1; the node's role and version.", *ROLES, role=(), version=())

# Requests -------------------------------------------------------------------------------------------------------------

HTTP_REQUESTS = _counter("http_requests", "HTTP requests by route and status.", "api", route=(), status=())
HTTP_SECONDS = _histogram(
    "http_request_seconds", "From an HTTP request to the beginning of its answer.", "api", route=()
)
OPERATIONS = _counter(
    "operations",
    "GraphQL operations that were begun, on every transport; `refused`: the document was not good.",
    "api",
    type=("query", "mutation", "subscription", "refused"),
)
ERRORS = _counter("errors", "Errors told to clients, by code (docs/errors.md).", "api", code=())
SOCKETS = _gauge("sockets_open", "WebSockets and event streams of known callers.", "api")
SLOW_READERS = _counter("slow_readers", "Connections that were ended as their client did not read.", "api")
ASYNCIO_TASKS = _gauge("asyncio_tasks", "Tasks of the node's event loop.", "api")

# Tasks ----------------------------------------------------------------------------------------------------------------

SUBMISSIONS = _counter("submissions", "Accepted submissions by task type and outcome.", "api", task=(), outcome=())
TASKS = _gauge(
    "tasks", "Records in Redis by state. Every api node tells the same: take max, not sum.", "api", state=STATES
)
QUEUE_DEPTH = _gauge(
    "queue_depth", "QUEUED records in Redis by task type. Every api node tells the same.", "api", task=()
)
QUEUE_AGE = _gauge(
    "queue_oldest_seconds",
    "Age of the oldest QUEUED record, one that waits for its `notBefore` included. Every api node tells the same.",
    "api",
)
DISPATCHED = _counter(
    "dispatches",
    "Attempts handed to the scheduler (`sent`), or kept for later as it was away (`returned`).",
    "api",
    outcome=("sent", "returned"),
)
WAIT_SECONDS = _histogram(
    "wait_seconds",
    "From submission, or `notBefore`, to the start of the first attempt.",
    "worker",
    buckets=RUNS,
    task=(),
)
RUN_SECONDS = _histogram(
    "run_seconds", "From the start of an attempt to its outcome in the record.", "worker", buckets=RUNS, task=()
)
ATTEMPTS = _counter(
    "attempts",
    "Attempts that ended on a worker: SUCCEEDED, FAILED, RETRY (another follows), REFUSED (by the fence: too late).",
    "worker",
    task=(),
    outcome=(),
)
LOST = _counter(
    "attempts_lost",
    "Attempts that ended without an outcome. `worker_died`: with its process; `unknown`: the scheduler did not know "
    "it; `undelivered`: the scheduler could not run it; `ended`: given back by a worker, as its process ends for "
    "another attempt or is stopped; `silent`: moved from a worker that was not heard of; `superseded`: found begun by "
    "a worker that is gone.",
    "api",
    "scheduler",
    "worker",
    cause=("worker_died", "unknown", "undelivered", "ended", "superseded"),
)
PARTIALS_DROPPED = _counter(
    "partials_dropped", "Partial outputs that were not shown as they were too long for a record.", "worker", task=()
)
OVERDUE = _counter("attempts_overdue", "Attempts that the warden failed at their time limit.", "worker")
BLOB_FAILURES = _counter("blob_failures", "Writes that the blob store refused or did not answer, each try.", "worker")
RECOVERIES = _counter(
    "recoveries",
    "What the recoverer did: open tasks it dispatched (`dispatched`), asked for (`checked`), found lost (`lost`).",
    "api",
    action=("dispatched", "checked", "lost"),
)
RECOVERER = _gauge("recoverer_active", "1 on the api node that recovers: the sum over all api nodes is 1.", "api")
PRUNED = _counter("pruned", "Expired records that were taken out of the lists.", "api")
BLOB_DELETIONS = _counter(
    "blob_deletions",
    "Expired tasks whose blobs were deleted, or could not be (`failed`: tried again after a minute).",
    "api",
    outcome=("deleted", "failed"),
)

# Delivery -------------------------------------------------------------------------------------------------------------

SUBSCRIPTIONS = _gauge("subscriptions_open", "Subscribers that wait for a task.", "api")
WATCHES = _gauge("watches_open", "Tasks that are watched for them.", "api")
DELIVERIES = _counter("deliveries", "Final records and events handed to subscribers.", "api", kind=("final", "event"))
DELIVERY_SECONDS = _histogram(
    "delivery_seconds",
    "From the end of a task, or the subscription if that came later, to its final record's delivery. The clocks of "
    "Redis and of the node must agree.",
    "api",
)

# Links ----------------------------------------------------------------------------------------------------------------

REDIS_SECONDS = _histogram(
    "redis_seconds", "Round trips to Redis, by script, or `batch`, or `command`.", *ROLES, call=()
)
REDIS_FAILURES = _counter("redis_failures", "Calls that Redis did not answer in time, or refused.", *ROLES)
BACKGROUND_FAILURES = _counter(
    "background_failures", "Unexpected errors of a background loop, which went on after a pause.", *ROLES, loop=()
)
SCHEDULER_SECONDS = _histogram(
    "scheduler_seconds", "Round trips to the scheduler, by what was asked.", "api", "controller", call=()
)
SCHEDULER_CONNECTED = _gauge("scheduler_connected", "1 while the node has a scheduler.", "api", "controller")

# Scheduler and fleet --------------------------------------------------------------------------------------------------

SCHEDULER_WORKERS = _gauge("scheduler_workers", "Workers that are registered.", "scheduler")
SCHEDULER_TASKS = _gauge(
    "scheduler_tasks",
    "Dask tasks: `waiting` for a worker, or `processing`. A graph task counts each of its own.",
    "scheduler",
    state=("waiting", "processing"),
)
SCHEDULER_WORK = _gauge("scheduler_occupancy_seconds", "Dask's estimate of the work that is with workers.", "scheduler")
FLEET = _gauge(
    "fleet_workers",
    "Workers as the acting controller knows them.",
    "controller",
    state=("wanted", "launching", "running", "retiring"),
)
FLEET_BOUNDS = _gauge("fleet_bound_workers", "MIN_WORKERS and MAX_WORKERS.", "controller", bound=("min", "max"))
FLEET_PROBLEM = _gauge("fleet_problem", "1 while something keeps workers from being started.", "controller")
FLEET_COST = _gauge("fleet_cost_usd_per_hour", "What the workers cost now; 0 where it is not known.", "controller")
CONTROLLER_ACTS = _gauge("controller_acts", "1 on the controller that acts: the sum over all is 1.", "controller")
DECISIONS = _counter(
    "controller_decisions", "Decisions to start or stop workers.", "controller", action=("start", "stop")
)
DECIDED_WORKERS = _counter(
    "controller_workers", "Workers that were started and stopped.", "controller", action=("started", "stopped")
)
LOG_LINES = _counter("log_lines", "Lines of the node's log, those that were held back included.", *ROLES, level=LEVELS)


class _Shared(Collector):
    """What both processes of a worker node counted, of the metrics that belong to it."""

    def __init__(self, folder: str, names: Iterable[str]) -> None:
        from prometheus_client.multiprocess import MultiProcessCollector

        self._all = MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]
        self._names = frozenset(names)

    def collect(self) -> Iterable[Metric]:
        families: Iterable[Metric] = self._all.collect()  # type: ignore[no-untyped-call]
        return (family for family in families if family.name in self._names)


class Exposition:
    """What one node shows.

    Args:
        role: which metrics: those that such a node counts.
    """

    def __init__(self, role: str) -> None:
        INFO.labels(role, __version__).set(1)
        self._registry = CollectorRegistry()
        declared = [item for item in DECLARED if role in item.roles]
        if FOLDER_VARIABLE in os.environ:
            self._registry.register(_Shared(os.environ[FOLDER_VARIABLE], (item.family for item in declared)))
        else:
            for item in declared:
                self._registry.register(item.metric)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The Prometheus text format, version 0.0.4."""
        return generate_latest(self._registry)


@lru_cache(maxsize=1_024)
def labelled(metric: Any, *values: Any) -> Any:
    """A metric with its labels, kept: prometheus_client looks them up anew, 3 % of the work of a short task."""
    return metric.labels(*values)


def count_lost(cause: str, verdict: str, count: int = 1) -> None:
    """Counts lost attempts, unless the fence refused what was said of them: another had said it before."""
    if verdict in ("QUEUED", "FAILED"):
        LOST.labels(cause).inc(count)
