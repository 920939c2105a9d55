"""The metrics of all nodes, declared in one place: what each counts, on which nodes, by which labels.

A metric is counted on the node where the event happens. How many tasks are in each state is read from the records in
Redis, which are the truth. Labels have few values: task types, outcomes, states, codes; never ids or clients.
scripts/metrics_table.py writes this list as a table into docs/operations.md.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from cluster.errors import PublicError
from cluster.observability.metric_declaration import ROLES, RUNS, counter, gauge, histogram

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
STATES: Final = ("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED")

INFO = gauge("info", "Always 1; the node's role and version.", *ROLES, role=(), version=())
PROCESSES = gauge(
    "processes",
    "Processes of an api node: `wanted` (API_PROCESSES), and those that are `serving`.",
    "api",
    state=("wanted", "serving"),
)
PROCESS_RESTARTS = counter(
    "process_restarts",
    "Api processes that were started again because they had `ended`, or were `frozen` and killed.",
    "api",
    reason=("ended", "frozen"),
)

# Requests -------------------------------------------------------------------------------------------------------------

HTTP_REQUESTS = counter("http_requests", "HTTP requests by route and status.", "api", route=(), status=())
HTTP_SECONDS = histogram(
    "http_request_seconds", "From the arrival of an HTTP request to the start of its response.", "api", route=()
)
OPERATIONS = counter(
    "operations",
    "GraphQL operations that were started, on all transports. `refused`: the document was invalid or over a limit.",
    "api",
    type=("query", "mutation", "subscription", "refused"),
)
ERRORS = counter("errors", "Errors returned to clients, by code (docs/errors.md).", "api", code=())
REFUSALS = counter(
    "refusals",
    "Requests and connections refused because of who asks, or of how much, on every transport, by code.",
    "api",
    code=tuple(sorted(error.code for error in PublicError.__subclasses__() if error.audited)),
)
AUDIT_DROPPED = counter(
    "audit_dropped", "What the audit log does not have, because too much happened or Redis was unavailable.", "api"
)
SOCKETS = gauge("sockets_open", "Open WebSockets and event streams.", "api", across="livesum")
SLOW_READERS = counter("slow_readers", "Connections closed because their client did not read.", "api")
REFUSED_CONNECTIONS = counter(
    "refused_connections", "Connections refused because their address, or the node, had too many.", "api"
)
REFUSED_REQUESTS = counter(
    "refused_requests", "HTTP requests refused before they were read, by status: too large, too slow.", "api", status=()
)
ASYNCIO_TASKS = gauge("asyncio_tasks", "Tasks of the node's asyncio event loops.", "api", across="livesum")

# Tasks ----------------------------------------------------------------------------------------------------------------

SUBMISSIONS = counter("submissions", "Accepted submissions by task type and outcome.", "api", task=(), outcome=())
TASKS = gauge(
    "tasks",
    "Records in Redis by state. Every api node reports the same value: use max, not sum.",
    "api",
    across="livemostrecent",
    state=STATES,
)
QUEUE_DEPTH = gauge(
    "queue_depth",
    "QUEUED records in Redis by task type. Every api node reports the same value.",
    "api",
    across="livemostrecent",
    task=(),
)
QUEUE_AGE = gauge(
    "queue_oldest_seconds",
    "Age of the oldest QUEUED record, including one that waits for its `notBefore`. Every api node reports the same "
    "value.",
    "api",
    across="livemostrecent",
)
DISPATCHED = counter(
    "dispatches",
    "Attempts handed to the scheduler (`sent`), or released because it was unavailable (`returned`).",
    "api",
    outcome=("sent", "returned"),
)
WAIT_SECONDS = histogram(
    "wait_seconds",
    "From the submission, or `notBefore`, to the start of the first attempt.",
    "worker",
    buckets=RUNS,
    task=(),
)
RUN_SECONDS = histogram(
    "run_seconds", "From the start of an attempt to its outcome in the record.", "worker", buckets=RUNS, task=()
)
ATTEMPTS = counter(
    "attempts",
    "Attempts that ended on a worker: SUCCEEDED, FAILED, RETRY (another follows), REFUSED (by the fence: too late).",
    "worker",
    task=(),
    outcome=(),
)
LOST = counter(
    "attempts_lost",
    "Attempts that ended without an outcome. `worker_died`: with their process; `unknown`: the scheduler did not know "
    "them; `undelivered`: the scheduler could not run them; `ended`: requeued by a worker whose process ends for "
    "another attempt, or is stopped; `silent`: moved from a worker that went silent; `superseded`: found started by a "
    "worker that is gone.",
    "api",
    "scheduler",
    "worker",
    cause=("worker_died", "unknown", "undelivered", "ended", "superseded"),
)
MOVED = counter(
    "attempts_moved_to_larger_pool",
    "Attempts that ran out of memory and are followed by one in a larger pool, by that pool.",
    "worker",
    pool=(),
)
PARTIALS_DROPPED = counter(
    "partials_dropped", "Partial outputs that were dropped because they were too long for a record.", "worker", task=()
)
OVERDUE = counter("attempts_overdue", "Attempts that the watchdog failed at their time limit.", "worker")
BLOB_FAILURES = counter("blob_failures", "Failed writes to the blob store, counting each try.", "worker")
RECOVERIES = counter(
    "recoveries",
    "Open tasks that the recoverer dispatched (`dispatched`), looked up at the scheduler (`checked`), found lost "
    "(`lost`), or ended because they had not started in time (`expired`).",
    "api",
    action=("dispatched", "checked", "lost", "expired"),
)
HELD_TASKS = counter(
    "held_tasks",
    "Held tasks that were dispatched because their limits had room (`claimed`), and attempts of a paused task type "
    "that are held again (`recalled`).",
    "api",
    action=("claimed", "recalled"),
)
RECOVERER = gauge(
    "recoverer_active",
    "1 on the api node that recovers tasks: the sum over all api nodes is 1.",
    "api",
    across="livemax",
)
HISTORY_MINUTES = counter(
    "history_minutes", "Minutes of the history that this node has written: one a minute over all api nodes.", "api"
)
SCHEDULE_TICKS = counter(
    "schedule_ticks",
    "Ticks of schedules that were submitted, skipped because the task before was open, missed, or refused (they are "
    "tried again).",
    "api",
    outcome=("submitted", "skipped", "missed", "refused"),
)
PRUNED = counter("pruned", "Expired records that were removed from the lists.", "api")
BLOB_DELETIONS = counter(
    "blob_deletions",
    "Expired tasks whose blobs were deleted (`deleted`), or could not be (`failed`: tried again after a minute).",
    "api",
    outcome=("deleted", "failed"),
)

WEBHOOK_DELIVERIES = counter(
    "webhook_deliveries",
    "Tries of deliveries to webhooks, by outcome: `RETRY` (it is tried again), `FAILED` (it is not), `POSTPONED` (its "
    "receiver is busy) or `DROPPED` (its webhook does not want it, or is gone).",
    "api",
    outcome=("DELIVERED", "FAILED", "RETRY", "POSTPONED", "DROPPED"),
)

UPLOADED_BYTES = counter("uploaded_bytes", "Bytes of files that were uploaded to an api node.", "api")

# Delivery -------------------------------------------------------------------------------------------------------------

SUBSCRIPTIONS = gauge("subscriptions_open", "Subscribers that wait for a task.", "api", across="livesum")
WATCHES = gauge("watches_open", "Tasks that the node watches for its subscribers.", "api", across="livesum")
DELIVERIES = counter(
    "deliveries",
    "Final records, events, items of streams, lines of logs and changes delivered to subscribers.",
    "api",
    kind=("final", "event", "item", "line", "change"),
)
DELIVERY_SECONDS = histogram(
    "delivery_seconds",
    "From the end of a task, or the subscription if that came later, to the delivery of its final record. Assumes that "
    "the clocks of Redis and the node agree.",
    "api",
)

# Links ----------------------------------------------------------------------------------------------------------------

REDIS_SECONDS = histogram(
    "redis_seconds", "Round trips to Redis, by script, or as `batch` or `command`.", *ROLES, call=()
)
REDIS_FAILURES = counter("redis_failures", "Calls that Redis did not answer in time, or refused.", *ROLES)
BACKGROUND_FAILURES = counter(
    "background_failures", "Unexpected errors of a background loop, which continues after a pause.", *ROLES, loop=()
)
SCHEDULER_SECONDS = histogram(
    "scheduler_seconds", "Round trips to the scheduler, by call.", "api", "controller", call=()
)
SCHEDULER_CONNECTED = gauge(
    "scheduler_connected",
    "1 while connected to the scheduler.",
    "api",
    "controller",
    across="livemax",
)

# Scheduler and fleet --------------------------------------------------------------------------------------------------

SCHEDULER_WORKERS = gauge("scheduler_workers", "Registered workers.", "scheduler")
SCHEDULER_TASKS = gauge(
    "scheduler_tasks",
    "Dask tasks: `waiting` for a worker, or `processing`. Each Dask task of a graph task counts.",
    "scheduler",
    state=("waiting", "processing"),
)
SCHEDULER_WORK = gauge("scheduler_occupancy_seconds", "Dask's estimate of the work that workers have.", "scheduler")
FLEET = gauge(
    "fleet_workers",
    "Workers as the active controller knows them.",
    "controller",
    state=("wanted", "launching", "running", "retiring"),
)
POOL_WORKERS = gauge(
    "pool_workers",
    "Workers of a pool: `wanted`, `launching`, `running`, `retiring`, `expected` for demand that is foreseen, and the "
    "bounds `min` and `max`.",
    "controller",
    pool=(),
    state=(),
)
POOL_TASKS = gauge(
    "pool_tasks",
    "Dask tasks that wait for a worker of a pool (`waiting`), or that its workers have (`processing`).",
    "controller",
    pool=(),
    state=(),
)
POOL_COST = gauge("pool_cost_usd_per_hour", "Current cost of a pool's workers; 0 if unknown.", "controller", pool=())
FLEET_BOUNDS = gauge("fleet_bound_workers", "MIN_WORKERS and MAX_WORKERS.", "controller", bound=("min", "max"))
FLEET_PROBLEM = gauge("fleet_problem", "1 while a problem prevents workers from starting.", "controller")
FLEET_COST = gauge("fleet_cost_usd_per_hour", "Current cost of the workers; 0 if unknown.", "controller")
FLEET_UNAFFORDABLE = gauge(
    "fleet_unaffordable_workers",
    "Workers that are wanted and that the ceiling in dollars does not allow.",
    "controller",
)
CONTROLLER_ACTS = gauge("controller_acts", "1 on the active controller: the sum over all is 1.", "controller")
DECISIONS = counter(
    "controller_decisions", "Decisions to start or stop workers.", "controller", action=("start", "stop")
)
DECIDED_WORKERS = counter(
    "controller_workers", "Workers that were started and stopped.", "controller", action=("started", "stopped")
)
LOG_LINES = counter("log_lines", "Lines of the node's log, suppressed repeats included.", *ROLES, level=LEVELS)


@lru_cache(maxsize=1_024)
def labelled(metric: Any, *values: Any) -> Any:
    """Returns a metric with its labels, cached: prometheus_client's lookup takes 3 % of the time of a short task."""
    return metric.labels(*values)


def count_lost(cause: str, verdict: str, count: int = 1) -> None:
    """Counts lost attempts, unless the fence refused to mark them as lost: then another node has counted them."""
    verdict, _, larger_pool = verdict.partition(" ")
    if verdict in ("QUEUED", "FAILED", "MOVED"):
        LOST.labels(cause).inc(count)
    if larger_pool:
        MOVED.labels(larger_pool).inc(count)
