"""The GraphQL types of the cluster: scheduler, workers, fleet and task counts."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import dataclasses
import datetime
import enum
from typing import Any, Self

import strawberry

import graphql_api.schema.enums  # noqa: F401 - gives the enum TaskState its description
from cluster.api_node import reloads
from cluster.api_node.cluster_snapshot import ClusterSnapshot
from cluster.settings import Settings
from cluster.store.record import TaskState
from graphql_api.schema.times import to_datetime


@strawberry.enum(name="WorkerState", description="Whether a worker takes tasks.")
class WorkerStateName(enum.Enum):
    STARTING = strawberry.enum_value(
        "STARTING", description="It imports the task modules or makes its worker states; it takes no tasks yet."
    )
    RUNNING = strawberry.enum_value("RUNNING", description="It takes tasks.")


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


@strawberry.type(description="The cluster behind this api, as seen by this node.")
class Cluster:
    scheduler_connected: bool = strawberry.field(description="Whether this node is connected to the scheduler.")
    scheduler_epoch: str | None = strawberry.field(description="Identifies one run of the scheduler.")
    dashboard_url: str | None = strawberry.field(description="URL of Dask's own dashboard, if the settings name one.")
    workers: list[Worker]
    waiting: int = strawberry.field(description="Dask tasks not yet assigned to a worker.")
    processing: int = strawberry.field(description="Dask tasks assigned to workers.")
    fleet: Fleet | None = strawberry.field(description="Null if no controller runs.")
    tasks: list[TaskCount] = strawberry.field(
        description="The number of tasks in each state: of the caller's tenant, if tenants are isolated and it is no "
        "administrator."
    )
    reload: Reload | None = strawberry.field(
        description="The newest change of the task modules; null if this node does not reload them."
    )


def dashboard_url(address: str) -> str | None:
    """The URL of Dask's dashboard from its HOST:PORT; None if it is off, or listens on all addresses."""
    host = address.rpartition(":")[0]
    return None if host in ("", "0.0.0.0", "[::]") else f"http://{address}/status"  # noqa: S104  # none is bound here


def to_cluster(snapshot: ClusterSnapshot, settings: Settings) -> Cluster:
    """A snapshot of the cluster as its GraphQL type."""
    load = snapshot.load
    return Cluster(
        scheduler_connected=bool(load),
        scheduler_epoch=load.get("epoch"),
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
            )
            for worker in load.get("starting", [])
        ],
        waiting=load.get("queued", 0) + load.get("no_worker", 0),
        processing=load.get("processing", 0),
        fleet=None if snapshot.fleet is None else Fleet.of(dict(snapshot.fleet)),
        tasks=[TaskCount(state=state, count=snapshot.tasks[state]) for state in TaskState],
        reload=None if snapshot.reload is None else Reload.of(snapshot.reload),
    )
