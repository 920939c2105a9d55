"""The GraphQL types of the cluster: scheduler, workers, fleet and task counts."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import dataclasses
import datetime
import enum
from typing import Any, Final, Self

import strawberry

import graphql_api.schema.enums  # noqa: F401 - gives the enum TaskState its description
from cluster.api_node import reloads
from cluster.api_node.cluster_snapshot import ClusterSnapshot
from cluster.api_node.merged_state import SchedulerState
from cluster.settings import Settings
from cluster.store.record import Record, TaskState
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.cost_types import Cost
from graphql_api.schema.history_types import History, read_history
from graphql_api.schema.pool_type import Pool
from graphql_api.schema.problem_types import Problem
from graphql_api.schema.times import to_datetime

MAX_TENANTS: Final = 100
"""Tenants in `queueByTenant`."""


@strawberry.enum(name="WorkerState", description="Whether a worker takes tasks.")
class WorkerStateName(enum.Enum):
    STARTING = strawberry.enum_value(
        "STARTING", description="It imports the task modules or makes its worker states; it takes no tasks yet."
    )
    RUNNING = strawberry.enum_value("RUNNING", description="It takes tasks.")


@strawberry.type(description="A task that a worker runs.")
class WorkerRun:
    task_id: strawberry.ID
    name: str = strawberry.field(description="Its task type.")
    started_at: datetime.datetime | None
    progress: float | None = strawberry.field(description="From 0 to 1, as it has reported.")


@strawberry.type(description="A worker, as seen by the scheduler.")
class Worker:
    name: str
    state: WorkerStateName
    starting_seconds: float | None = strawberry.field(
        description="How long it has been STARTING; null for one that runs."
    )
    problem: str | None = strawberry.field(
        description="Why it could not start; such a worker is shown for a minute, and another one is started."
    )
    threads: int
    processing: int = strawberry.field(description="Dask tasks assigned to it.")
    memory_bytes: float
    memory_limit_bytes: float
    since: datetime.datetime | None = strawberry.field(
        description="Since when it has been registered with the scheduler; null while it starts."
    )
    cpu: float | None = strawberry.field(
        description="CPU that its process uses, as a share of its threads: 1 is all of them busy. Some seconds old; "
        "null while it starts."
    )
    finished: int | None = strawberry.field(
        description="Attempts that have ended on it since then, with or without a result; null while it starts."
    )
    pool: str | None = strawberry.field(
        description="The pool that it belongs to; null while it starts, or for one of an earlier release."
    )

    @strawberry.field(
        description="The ids of the tasks that it runs now, of those that the caller may see; parts of graphs are not "
        "told."
    )
    async def running_task_ids(self, info: ApiInfo) -> list[strawberry.ID]:
        return [strawberry.ID(record.task_id) for record in await _running_on(self.name, info)]

    @strawberry.field(description="The tasks of `runningTaskIds`, the newest first.")
    async def runs(self, info: ApiInfo) -> list[WorkerRun]:
        return [
            WorkerRun(
                task_id=strawberry.ID(record.task_id),
                name=record.name,
                started_at=to_datetime(record.started_at),
                progress=record.progress,
            )
            for record in await _running_on(self.name, info)
        ]


async def _running_on(worker: str, info: ApiInfo) -> list[Record]:
    """The tasks that a worker runs and that the caller may see."""
    caller = info.context.caller
    running = await info.context.node.open_tasks.running(caller.tenant_seen)
    return [record for record in running.get(worker, ()) if caller.can_list(record)]


@strawberry.type(description="A decision of the controller, with its reason.")
class FleetDecision:
    at: datetime.datetime
    wanted: int | None = strawberry.field(description="Number of workers wanted from then on.")
    started: int
    stopped: int
    reason: str

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        return cls(**{**payload, "at": to_datetime(payload["at"])})


@strawberry.type(description="The workers, as known to the controller.")
class Fleet:
    wanted: int | None = strawberry.field(description="Number of workers wanted; null while the demand is unknown.")
    launching: int = strawberry.field(description="Workers that were started and have not registered yet.")
    launch_seconds: float | None = strawberry.field(
        description="Mean duration of recent launches in seconds; null before the first."
    )
    running: int = strawberry.field(description="Workers that are registered with the scheduler.")
    retiring: int = strawberry.field(description="Workers that get no more tasks and are about to stop.")
    min_workers: int
    max_workers: int
    reason: str = strawberry.field(description="Why the controller wants this number of workers.")
    problem: str | None = strawberry.field(description="What prevents workers from being started now, if anything.")
    cost_per_hour: float | None = strawberry.field(
        description="Current cost of the workers in US dollars per hour, by the prices in the settings; null if they "
        "cost nothing or the cost is unknown."
    )
    decisions: list[FleetDecision] = strawberry.field(description="The latest decisions, newest first.")

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """The fleet from the controller's payload in Redis."""
        values: dict[str, Any] = {item.name: payload.get(item.name) for item in dataclasses.fields(cls)}
        decisions = [FleetDecision.of(decision) for decision in payload.get("decisions", ())]
        return cls(**{**values, "problem": payload.get("problem") or None, "decisions": decisions})


@strawberry.type(description="The newest change of the task modules, which `dask-graphql dev` reloads.")
class Reload:
    count: int = strawberry.field(description="How many times they were loaded anew since the start.")
    at: datetime.datetime | None = strawberry.field(description="When; null before the first time.")
    error: str | None = strawberry.field(
        description="Why the newest change is not served, with file and line; null if it is served."
    )

    @classmethod
    def of(cls, reload: reloads.Reload) -> Self:
        """The newest change as its GraphQL type."""
        at = None if reload.at is None else to_datetime(round(reload.at * 1000))
        return cls(count=reload.count, at=at, error=reload.error or None)


@strawberry.type(description="The number of tasks in one state.")
class TaskCount:
    state: TaskState
    count: int


@strawberry.type(description="The open tasks of a tenant, or without authentication of an address.")
class TenantQueue:
    tenant: str = strawberry.field(description="The tenant, or `address:<ip>`.")
    waiting: int = strawberry.field(description="Its QUEUED tasks.")
    running: int = strawberry.field(description="Its RUNNING tasks, of the newest 1,000 of all tenants.")


@strawberry.type(description="A scheduler, as seen by this node. Tasks are spread over the schedulers by their ids.")
class Scheduler:
    number: int = strawberry.field(description="From 0, as SCHEDULER_NUMBER.")
    connected: bool = strawberry.field(
        description="Whether this node is connected to it; if not, the tasks of its shards wait."
    )
    epoch: str | None = strawberry.field(description="Identifies one run of it.")
    workers: int = strawberry.field(description="Workers that are registered with it.")
    waiting: int = strawberry.field(description="Dask tasks not yet assigned to a worker.")
    processing: int = strawberry.field(description="Dask tasks assigned to workers.")

    @classmethod
    def of(cls, state: SchedulerState) -> Self:
        """A scheduler as its GraphQL type."""
        load = state.load
        return cls(
            number=state.number,
            connected=bool(load),
            epoch=load.get("epoch"),
            workers=len(load.get("workers", ())),
            waiting=load.get("queued", 0) + load.get("no_worker", 0),
            processing=load.get("processing", 0),
        )


@strawberry.type(description="The cluster behind this api, as seen by this node.")
class Cluster:
    snapshot: strawberry.Private[ClusterSnapshot]
    scheduler_connected: bool = strawberry.field(
        description="Whether this node is connected to the scheduler; of several, to at least one."
    )
    scheduler_epoch: str | None = strawberry.field(
        description="Identifies one run of the scheduler; of several, the epochs of all, separated by spaces."
    )
    schedulers: list[Scheduler] = strawberry.field(description="The schedulers by their numbers; usually one.")
    dashboard_url: str | None = strawberry.field(description="URL of Dask's own dashboard, if the settings name one.")
    workers: list[Worker]
    waiting: int = strawberry.field(description="Dask tasks not yet assigned to a worker.")
    processing: int = strawberry.field(description="Dask tasks assigned to workers.")
    fleet: Fleet | None = strawberry.field(description="Null if no controller runs.")
    pools: list[Pool] = strawberry.field(
        description="The pools of workers, `default` first; empty if no controller runs."
    )
    tasks: list[TaskCount] = strawberry.field(
        description="The number of tasks in each state: of the caller's tenant, if tenants are isolated and it is no "
        "administrator."
    )
    reload: Reload | None = strawberry.field(
        description="The newest change of the task modules; null if this node does not reload them."
    )

    @strawberry.field(
        description="The last so many seconds, 60 to 86,400, in at most so many points, 1 to 1,440, beside the current "
        "one. At most 2 seconds old, or 10 for more than three hours."
    )
    async def history(self, info: ApiInfo, seconds: int = 3600, points: int = 120) -> History | None:
        return await read_history(info, seconds, points)

    @strawberry.field(
        description="How long the oldest QUEUED task has waited since its submission, of those that are counted in "
        "`tasks`; null if none is QUEUED."
    )
    async def oldest_waiting_seconds(self, info: ApiInfo) -> float | None:
        return await info.context.node.open_tasks.oldest_waiting_seconds(info.context.caller.tenant_seen)

    @strawberry.field(description="What is wrong, the most urgent first; empty if nothing is.")
    async def problems(self, info: ApiInfo) -> list[Problem] | None:
        found = await info.context.node.problems.read(self.snapshot, info.context.caller.tenant_seen)
        return [Problem.of(problem) for problem in found]

    @strawberry.field(description="What the workers cost; null where no controller knows prices.")
    async def cost(self, info: ApiInfo) -> Cost | None:
        per_hour = (self.snapshot.fleet or {}).get("cost_per_hour")
        costs = await info.context.node.costs.read(per_hour)
        return None if costs is None else Cost.of(costs, per_hour, types=info.context.caller.tenant_seen is None)

    @strawberry.field(
        description="The open tasks of each tenant, those with most waiting first, 100 at most; null unless the caller "
        "is an authenticated administrator."
    )
    async def queue_by_tenant(self, info: ApiInfo) -> list[TenantQueue] | None:
        caller = info.context.caller
        if caller.anonymous or not caller.has(Scope.ADMIN):
            return None
        queues = await info.context.node.open_tasks.by_account()
        return [
            TenantQueue(tenant=queue.account, waiting=queue.waiting, running=queue.running)
            for queue in queues[:MAX_TENANTS]
        ]


def dashboard_url(address: str) -> str | None:
    """The URL of Dask's dashboard from its HOST:PORT; None if it is off, or listens on all addresses."""
    host = address.rpartition(":")[0]
    return None if host in ("", "0.0.0.0", "[::]") else f"http://{address}/status"  # noqa: S104  # none is bound here


def to_cluster(snapshot: ClusterSnapshot, settings: Settings) -> Cluster:
    """A snapshot of the cluster as its GraphQL type."""
    load = snapshot.load
    return Cluster(
        snapshot=snapshot,
        scheduler_connected=bool(load),
        scheduler_epoch=load.get("epoch"),
        schedulers=[Scheduler.of(state) for state in snapshot.schedulers],
        dashboard_url=dashboard_url(settings.dashboard),
        workers=[
            Worker(
                name=worker["name"],
                threads=worker["threads"],
                processing=worker["processing"],
                memory_bytes=float(worker["memory_bytes"]),
                memory_limit_bytes=float(worker["memory_limit_bytes"] or 0),
                state=WorkerStateName.RUNNING,
                starting_seconds=None,
                problem=None,
                # A scheduler of an earlier release does not tell these.
                since=to_datetime(round(worker["since"] * 1000)) if "since" in worker else None,
                cpu=worker["cpu"] / worker["threads"] if "cpu" in worker else None,
                finished=worker.get("finished"),
                pool=worker.get("pool") or None,
            )
            for worker in load.get("workers", [])
        ]
        + [
            Worker(
                name=worker["name"],
                threads=0,
                processing=0,
                memory_bytes=0.0,
                memory_limit_bytes=0.0,
                state=WorkerStateName.STARTING,
                starting_seconds=worker["seconds"],
                problem=worker["error"] or None,
                since=None,
                cpu=None,
                finished=None,
                pool=None,
            )
            for worker in load.get("starting", [])
        ],
        waiting=load.get("queued", 0) + load.get("no_worker", 0),
        processing=load.get("processing", 0),
        fleet=None if snapshot.fleet is None else Fleet.of(dict(snapshot.fleet)),
        # A controller of an earlier release tells no pools.
        pools=[Pool.of(pool) for pool in (snapshot.fleet or {}).get("pools", ())],
        tasks=[TaskCount(state=state, count=snapshot.tasks[state]) for state in TaskState],
        reload=None if snapshot.reload is None else Reload.of(snapshot.reload),
    )
