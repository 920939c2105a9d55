"""The list of tasks as a Relay connection: https://relay.dev/graphql/connections.htm."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
import enum
from dataclasses import dataclass
from typing import Any

import strawberry

from cluster.errors import BadInput
from cluster.store.record_queries import Position
from cluster.store.task_filter import TaskFilter
from cluster.store.task_histogram import MAX_BUCKETS, count_spans
from cluster.store.task_search import find_tasks
from graphql_api.context import ApiInfo
from graphql_api.schema.paging import PageArguments, PageInfo, make_cursor
from graphql_api.schema.selected_fields import read_page
from graphql_api.schema.task_filter_input import shown_to
from graphql_api.schema.times import to_datetime


@strawberry.enum(description="The order of a list of tasks.")
class TaskOrder(enum.Enum):
    NEWEST_FIRST = strawberry.enum_value("NEWEST_FIRST", description="By `submittedAt`, the latest one first.")
    OLDEST_FIRST = strawberry.enum_value("OLDEST_FIRST", description="By `submittedAt`, the earliest one first.")


@strawberry.type(description="The tasks of a list that were submitted in a span of time.")
class TaskBucket:
    from_: datetime.datetime = strawberry.field(name="from", description="Submitted at this time or later.")
    to: datetime.datetime = strawberry.field(description="Submitted before this time.")
    count: int
    failed: int = strawberry.field(description="Those of them that are FAILED.")


def make_task_connection(task_class: type) -> type:
    """`TaskConnection`, with its class of edges as the attribute `edge`, for a schema's `Task`."""

    @strawberry.type(description="One task in a list.")
    class TaskEdge:
        cursor: str
        node: task_class  # type: ignore[valid-type]

    @strawberry.type(
        description="A page of tasks. With anything but `states`, `names` and times of submission in `where`, the api "
        "looks at 2,000 records for one page: it may then have fewer tasks than asked for, or none, and still be "
        "followed by another one, which `pageInfo` tells."
    )
    class TaskConnection:
        wanted: strawberry.Private[TaskFilter]
        edges: list[TaskEdge]
        page_info: PageInfo

        @strawberry.field(description="The tasks of `edges`.")
        def nodes(self) -> list[task_class]:  # type: ignore[valid-type]
            return [edge.node for edge in self.edges]

        @strawberry.field(
            description="How many tasks there are on all pages, counted without reading them; tasks that have just "
            "expired may be among them. Null with anything but `states`, `names` and times of submission in `where`, "
            "and for a task token: every record would have to be read."
        )
        async def total_count(self, info: ApiInfo) -> int | None:
            caller = info.context.caller
            if self.wanted.needs_records or caller.confinement is not None:
                return None
            return await info.context.node.store.count_tasks(self.wanted, caller.tenant_seen)

        @strawberry.field(
            description="How many of all these tasks were submitted when, in so many spans of the same length, 1 to "
            "120: from `submittedAfter`, or the oldest task, to `submittedBefore`, or now. Empty if there is no task; "
            "null as `totalCount` is."
        )
        async def histogram(self, info: ApiInfo, buckets: int = 60) -> list[TaskBucket] | None:
            caller = info.context.caller
            if not 1 <= buckets <= MAX_BUCKETS:
                raise BadInput(
                    f"buckets must be from 1 to {MAX_BUCKETS}, not {buckets}", argument="buckets", limit=MAX_BUCKETS
                )
            if self.wanted.needs_records or caller.confinement is not None:
                return None
            spans = await count_spans(info.context.node.store, self.wanted, buckets, caller.tenant_seen)
            return [
                TaskBucket(
                    from_=to_datetime(span.since), to=to_datetime(span.until), count=span.count, failed=span.failed
                )
                for span in spans
            ]

    TaskConnection.edge = TaskEdge  # type: ignore[attr-defined]
    return TaskConnection


@dataclass(frozen=True, slots=True)
class TaskPages:
    """Reads pages of tasks as a schema's own types.

    Attributes:
        task, connection: the schema's `Task` and `TaskConnection`.
    """

    task: Any
    connection: Any

    async def read(self, info: ApiInfo, wanted: TaskFilter, order: TaskOrder, page: PageArguments[Position]) -> Any:
        """The page of the list of tasks that the caller may see and that a filter wants.

        Raises:
            AnswerTooLarge: the inputs and results that the operation selects are too large for one answer.
        """
        caller = info.context.caller
        newest_first = order is TaskOrder.NEWEST_FIRST
        # Read from the other end for `last`; a cursor is a place in time, whatever the order.
        below, above = (page.after, page.before) if newest_first else (page.before, page.after)
        found = await find_tasks(
            info.context.node.store,
            wanted,
            shown_to(caller, wanted),
            page.limit,
            newest_first=newest_first is not page.backward,
            below=below,
            above=above,
            tenant=caller.tenant_seen,
            looks=caller.confinement is not None,
        )
        positions = found.tasks[::-1] if page.backward else found.tasks
        records = await read_page(info, [task_id for _, task_id in positions])
        edges = [
            self.connection.edge(cursor=make_cursor(position), node=self.task(record=record))
            for position, record in zip(positions, records, strict=True)
            if record is not None and caller.can_list(record)
        ]
        cursors = [make_cursor(position) for position in positions]
        return self.connection(
            wanted=wanted,
            edges=edges,
            page_info=page.info(cursors, found.more, None if found.end is None else make_cursor(found.end)),
        )
