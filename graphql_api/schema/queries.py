"""The queries: one task, the list of tasks, the task types, the cluster."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import base64
import binascii
import datetime
from typing import Annotated

import strawberry

from cluster.api_node.cluster_snapshot import ClusterSnapshot, read_snapshot
from cluster.errors import BadCursor, BadInput
from cluster.settings import Settings
from cluster.store.record import TaskState
from cluster.task_types.task_id import TASK_ID, check_task_id
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.execution.document_limits import DEFAULT_PAGE, PAGE_LIMIT
from graphql_api.schema.record_types import CallerType, Cluster, Fleet, PageInfo, TaskCount, TaskTypeType, Worker


def make_query(task_class: type, connection_class: type) -> type:
    """The query type for a schema's `Task` and `TaskConnection`."""
    described: list[TaskTypeType] = []

    @strawberry.type
    class Query:
        @strawberry.field(description="One task; null where no such task is known.")
        async def task(self, info: ApiInfo, task_id: strawberry.ID) -> task_class | None:  # type: ignore[valid-type]
            info.context.caller.require(Scope.READ)
            store = info.context.node.store
            record = await store.run(store.calls.read(check_task_id(task_id)))
            seen = record is not None and info.context.caller.can_see(record)
            return task_class(record=record) if seen else None

        @strawberry.field(description="Tasks, newest first; 100 at a time at the most.")
        async def tasks(
            self,
            info: ApiInfo,
            first: int | None = DEFAULT_PAGE,
            after: str | None = strawberry.UNSET,
            state: TaskState | None = strawberry.UNSET,
            name: str | None = strawberry.UNSET,
            submitted_after: Annotated[
                datetime.datetime | None, strawberry.argument(description="Only tasks submitted at this time or later.")
            ] = strawberry.UNSET,
            submitted_before: Annotated[
                datetime.datetime | None, strawberry.argument(description="Only tasks submitted before this time.")
            ] = strawberry.UNSET,
        ) -> connection_class:  # type: ignore[valid-type]
            first = DEFAULT_PAGE if first is None else first
            if not 0 <= first <= PAGE_LIMIT:
                raise BadInput(f"first is from 0 to {PAGE_LIMIT}, not {first}", argument="first", limit=PAGE_LIMIT)
            caller = info.context.caller
            caller.require(Scope.READ)
            store = info.context.node.store
            before = parse_cursor(after) if after else None
            pairs = await store.newest(
                first + 1,
                before=before,
                state=state or None,
                name=name or None,
                tenant=None if Scope.ADMIN in caller.scopes else caller.tenant or None,
                since=milliseconds_of(submitted_after or None, "submittedAfter"),
                until=milliseconds_of(submitted_before or None, "submittedBefore"),
            )
            records = await store.read_many([task_id for _, task_id in pairs[:first]], results=False)
            edges = [
                connection_class.edge(cursor=make_cursor(pair), node=task_class(record=record))  # type: ignore[attr-defined]
                for pair, record in zip(pairs, records, strict=False)
                if record is not None
            ]
            shown = pairs[:first]
            page_info = PageInfo(
                has_next_page=len(pairs) > first,
                has_previous_page=before is not None,
                start_cursor=make_cursor(shown[0]) if shown else None,
                end_cursor=make_cursor(shown[-1]) if shown else None,
            )
            return connection_class(edges=edges, page_info=page_info)  # type: ignore[no-any-return]

        @strawberry.field(description="The registered functions.")
        def task_types(self, info: ApiInfo) -> list[TaskTypeType]:
            info.context.caller.require(Scope.READ)
            if not described:
                # Neither the registry nor the schema that is made of it changes while the process lives.
                registry = info.context.node.registry
                described.extend(TaskTypeType.of(task_type, info.schema) for task_type in registry.values())
            return described

        @strawberry.field(description="The scheduler, the workers and the fleet.")
        async def cluster(self, info: ApiInfo) -> Cluster:
            info.context.caller.require(Scope.READ)
            node = info.context.node
            return cluster_of(await read_snapshot(node.store, node.scheduler), node.settings)

        @strawberry.field(description="Who asks, and what they may.")
        def caller(self, info: ApiInfo) -> CallerType:
            caller = info.context.caller
            return CallerType(
                name=caller.name,
                tenant=caller.tenant or None,
                scopes=sorted(caller.scopes),
                task_id_salt=caller.salt or None,
            )

    return Query


def milliseconds_of(time: datetime.datetime | None, argument: str) -> int | None:
    """A time as records have it, in milliseconds since 1970.

    Raises:
        BadInput: it has no time zone.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        raise BadInput(f"{argument} needs a time zone, as in 2026-01-31T12:00:00Z", argument=argument)
    return round(time.timestamp() * 1000)


def make_cursor(pair: tuple[int, str]) -> str:
    """An opaque cursor: the place in the list, which stays where it is as newer tasks come."""
    return base64.urlsafe_b64encode(f"{pair[0]}:{pair[1]}".encode()).decode().rstrip("=")


def parse_cursor(cursor: str) -> tuple[int, str]:
    """The place that a cursor names.

    Raises:
        BadCursor: it was not made here.
    """
    try:
        score, task_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(":")
        if not TASK_ID.fullmatch(task_id) or len(score) > 16:
            raise ValueError(task_id)
        return int(score), task_id
    except (ValueError, binascii.Error):
        raise BadCursor(f"after takes an endCursor of this list, not {cursor[:64]!r}") from None


def dashboard_url(address: str) -> str | None:
    """Where a browser finds Dask's dashboard, by its HOST:PORT; None where it is off or that names no host."""
    host = address.rpartition(":")[0]
    return None if host in ("", "0.0.0.0", "[::]") else f"http://{address}/status"  # noqa: S104  # none is bound here


def cluster_of(seen: ClusterSnapshot, settings: Settings) -> Cluster:
    """The cluster as GraphQL tells it."""
    load = seen.load
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
            )
            for worker in load.get("workers", [])
        ],
        waiting=load.get("queued", 0) + load.get("no_worker", 0),
        processing=load.get("processing", 0),
        fleet=None if seen.fleet is None else Fleet.of(dict(seen.fleet)),
        tasks=[TaskCount(state=state, count=seen.tasks[state]) for state in TaskState],
    )
