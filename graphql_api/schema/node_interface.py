"""Objects that any client can read again by one id: https://relay.dev/graphql/objectidentification.htm."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from collections.abc import Sequence
from typing import Any

import strawberry

from cluster.errors import BadInput
from cluster.task_types.task_id import check_task_id
from graphql_api.answer_size import current_answer
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.execution.document_limits import PAGE_LIMIT
from graphql_api.schema.selected_fields import read_page


@strawberry.interface(name="Node", description="What `node` and `nodes` find by its id.")
class Node:
    @strawberry.field(description="Identifies the object among all in this schema. That of a task is its `taskId`.")
    def id(self) -> strawberry.ID:
        raise NotImplementedError


async def read_task(info: ApiInfo, task_class: type, task_id: str) -> Any:
    """The task with this id; None if it does not exist or if the caller may not see it.

    Raises:
        BadTaskId: it is no task id.
    """
    info.context.caller.require(Scope.READ)
    store = info.context.node.store
    check_task_id(task_id)
    record = await current_answer().record(task_id, lambda: store.run(store.calls.read(task_id)))
    return task_class(record=record) if record is not None and info.context.caller.can_see(record) else None


async def read_tasks(info: ApiInfo, task_class: type, task_ids: Sequence[str]) -> Any:
    """The tasks with these ids, in their order; null for one that does not exist or that the caller may not see.

    Raises:
        BadInput: there are too many ids.
        BadTaskId: one of them is no task id.
    """
    caller = info.context.caller
    caller.require(Scope.READ)
    if len(task_ids) > PAGE_LIMIT:
        raise BadInput(f"name at most {PAGE_LIMIT} ids at once, not {len(task_ids)}", argument="ids", limit=PAGE_LIMIT)
    records = await read_page(info, [check_task_id(task_id) for task_id in task_ids])
    return [None if record is None or not caller.can_see(record) else task_class(record=record) for record in records]
