"""The GraphQL types of a page of tasks."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import strawberry

from graphql_api.schema.paging import PageInfo


def make_task_connection(task: type) -> type:
    """`TaskConnection`, with its class of edges as the attribute `edge`, for a schema's `Task`."""

    @strawberry.type(description="One task in a list.")
    class TaskEdge:
        cursor: str
        node: task  # type: ignore[valid-type]

    @strawberry.type(description="A page of tasks, newest first.")
    class TaskConnection:
        edges: list[TaskEdge]
        page_info: PageInfo

    TaskConnection.edge = TaskEdge  # type: ignore[attr-defined]
    return TaskConnection
