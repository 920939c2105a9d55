"""The subscription `tasksChanged`, and the GraphQL type of its items."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import strawberry

from cluster.api_node.change_subscribers import ChangeFilter, ChangeItem
from cluster.store.record import TaskState
from cluster.store.task_filter import TaskFilter
from graphql_api.answer_size import current_answer
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.selected_fields import selects
from graphql_api.schema.task_filter_input import TaskFilterInput, to_task_filter
from graphql_api.schema.times import to_datetime


def make_task_change(task_class: type) -> type:
    """`TaskChange` for a schema's `Task`."""

    @strawberry.type(
        description="One change of a task that is meant, as it happens; or, with `reset`, a sign that changes before "
        "this item may have been missed."
    )
    class TaskChange:
        item: strawberry.Private[ChangeItem]

        @strawberry.field(description="To resume, pass that of the last item received as `after`.")
        def cursor(self) -> str:
            return self.item.cursor

        @strawberry.field(
            description="Whether earlier changes may have been missed: read the list of tasks now. Every change from "
            "here on is delivered. Such an item has no task; it comes first, unless the subscription resumes."
        )
        def reset(self) -> bool:
            return self.item.change is None

        @strawberry.field(description="Null with `reset`.")
        def task_id(self) -> strawberry.ID | None:
            return None if self.item.change is None else strawberry.ID(self.item.change.task_id)

        @strawberry.field(
            description="Whether the task meets the conditions after this change; if not, it did before, and leaves "
            "the list. Without a `task` it is gone: it has expired, or was forgotten."
        )
        def matches(self) -> bool:
            return self.item.matches

        @strawberry.field(
            description="QUEUED, STARTED, PROGRESS, RETRY, LOST, SUCCEEDED, FAILED or CANCELLED; null with `reset`."
        )
        def kind(self) -> str | None:
            return None if self.item.change is None else self.item.change.event.kind

        @strawberry.field(description="The state after this change; null with `reset`.")
        def state(self) -> TaskState | None:
            return None if self.item.change is None else self.item.change.event.state

        @strawberry.field(
            description="The state before it: another one if the change was one of state; null with `reset`, or if "
            "there was no task."
        )
        def state_before(self) -> TaskState | None:
            return None if self.item.change is None else self.item.change.was

        @strawberry.field(description="Number of the task's event; null with `reset`.")
        def seq(self) -> int | None:
            return None if self.item.change is None else self.item.change.event.seq

        @strawberry.field(description="When it happened; null with `reset`.")
        def at(self) -> datetime.datetime | None:
            return None if self.item.change is None else to_datetime(self.item.change.event.at)

        @strawberry.field(
            description="The task as it is now, which may be ahead of this change; null with `reset`, and if it has "
            "expired or was forgotten."
        )
        def task(self, info: ApiInfo) -> task_class | None:  # type: ignore[valid-type]
            record = self.item.record
            if record is None:
                return None
            # The input is left out until a reader takes the item and asks for it.
            return with_input(info, record.task_id) if selects(info, "input") else task_class(record=record)

    async def with_input(info: ApiInfo, task_id: str) -> Any:
        store = info.context.node.store
        record = await current_answer().record(task_id, lambda: store.run(store.calls.read(task_id)))
        return task_class(record=record) if record is not None and info.context.caller.can_see(record) else None

    return TaskChange


def change_filter(caller: Caller, wanted: TaskFilter) -> ChangeFilter:
    """The changes that a filter means, among those of tasks that the caller may see."""
    return ChangeFilter(
        wanted, lambda record, conditions: caller.can_list(record) and conditions.matches(record, caller.can_name)
    )


def make_tasks_changed(task_change: type) -> type:
    """The member of the subscription type."""

    @strawberry.type
    class ChangesSubscription:
        @strawberry.subscription(
            description="Delivers every change of the tasks that are meant; does not complete. Ask for the list of "
            "tasks after an item with `reset`, of which there is one at the beginning."
        )
        async def tasks_changed(
            self,
            info: ApiInfo,
            where: TaskFilterInput,
            after: Annotated[
                str | None, strawberry.argument(description="Continue after the item with this `cursor`.")
            ] = strawberry.UNSET,
        ) -> AsyncGenerator[task_change, None]:  # type: ignore[valid-type]
            caller = info.context.caller
            caller.require(Scope.READ)
            wanted = change_filter(caller, to_task_filter(where))
            with info.context.waiter_slots(1):
                async with aclosing(info.context.node.changes.changes(wanted, after or None)) as items:
                    async for item in items:
                        yield task_change(item=item)

    return ChangesSubscription
