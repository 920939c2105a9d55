"""The query `failures`: what failed tasks have in common."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime

import strawberry

from cluster.store.failure_groups import FailureGroup, read_failures
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.arguments import given
from graphql_api.schema.paging import checked_number
from graphql_api.schema.task_filter_input import TaskFilterInput, shown_to, to_task_filter
from graphql_api.schema.times import to_datetime


@strawberry.type(
    name="FailureGroup",
    description="Failed tasks of one task type with the same code and the same message, but for the numbers in it.",
)
class FailureGroupType:
    key: str = strawberry.field(
        description="Of the group, for `TaskFilter.failureGroup`: to list these tasks, or to retry all of them."
    )
    name: str = strawberry.field(description="Name of the task type.")
    code: str = strawberry.field(description="As in `error { code }`.")
    type: str | None = strawberry.field(description="The class of the exception; null if there was none.")
    message: str = strawberry.field(description="The first line of that of the newest task; at most 500 characters.")
    count: int
    task_ids: list[strawberry.ID] = strawberry.field(description="The five that were submitted last.")
    newest_at: datetime.datetime | None = strawberry.field(description="When the last one of them failed.")

    @classmethod
    def of(cls, group: FailureGroup) -> "FailureGroupType":
        return cls(
            key=group.key, name=group.name, code=group.code, type=group.error_type, message=group.message,
            count=group.count,
            task_ids=[strawberry.ID(task_id) for task_id in group.task_ids], newest_at=to_datetime(group.newest_at),
        )  # fmt: skip


async def failures(
    info: ApiInfo, where: TaskFilterInput | None = strawberry.UNSET, first: int | None = strawberry.UNSET
) -> list[FailureGroupType] | None:
    caller = info.context.caller
    caller.require(Scope.READ)
    limit = checked_number(given(first), "first")
    wanted = to_task_filter(where or None)
    groups = await read_failures(info.context.node.store, wanted, shown_to(caller, wanted), caller.tenant_seen)
    return [FailureGroupType.of(group) for group in groups[:limit]]
