"""The subscriptions: `run<Name>`, and those that follow tasks and the cluster."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from collections.abc import AsyncGenerator
from contextlib import aclosing

import strawberry
from strawberry.tools import create_type, merge_types
from strawberry.types.field import StrawberryField

from cluster.errors import BadInput
from cluster.task_types.task_id import check_task_id
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.cluster_types import Cluster, to_cluster
from graphql_api.schema.delivery import complete_record
from graphql_api.schema.log_lines import LogLineType, to_log_line
from graphql_api.schema.selected_fields import RESULT_FIELDS, selects
from graphql_api.schema.stream_types import event_id, parse_cursor, parse_event_id
from graphql_api.schema.task_change import make_tasks_changed


def make_subscription(
    task: type, task_event: type, task_item: type, task_change: type, run_fields: list[StrawberryField]
) -> type:
    """The subscription type of a schema with these types, and the `run<Name>` of its task types."""

    @strawberry.type
    class Subscription:
        @strawberry.subscription(
            description="Delivers the final record once, then completes. The task may be submitted before or after."
        )
        async def task_result(self, info: ApiInfo, task_id: strawberry.ID) -> AsyncGenerator[task, None]:  # type: ignore[valid-type]
            info.context.caller.require(Scope.READ)
            context = info.context
            with context.waiter_slots(1):
                record = await context.node.deliveries.final_record(
                    check_task_id(task_id), result=lambda: False, visible=context.caller.can_see
                )
                if record.seq == context.last_event_id:
                    return  # a reconnected event stream whose client has received the end already
                context.event_id = record.seq
                if not record.result_omitted:
                    yield task(record=record)
                    return
                async with complete_record(info, record) as complete:
                    yield task(record=complete)

        @strawberry.subscription(description="Delivers each task as it ends, then completes.")
        async def task_results(self, info: ApiInfo, task_ids: list[strawberry.ID]) -> AsyncGenerator[task, None]:  # type: ignore[valid-type]
            info.context.caller.require(Scope.READ)
            node = info.context.node
            limit = node.settings.batch_limit
            if len(task_ids) > limit:
                raise BadInput(f"name at most {limit} task ids at once, not {len(task_ids)}", limit=limit)
            checked = [check_task_id(task_id) for task_id in task_ids]
            records = node.deliveries.final_records(
                checked, result=lambda: selects(info, *RESULT_FIELDS), visible=info.context.caller.can_see
            )
            with info.context.waiter_slots(len(set(checked))):
                async with aclosing(records) as stream:  # type: ignore[type-var]
                    async for record in stream:
                        yield task(record=record)

        @strawberry.subscription(
            description="Delivers every change after `afterSeq` (default: all that are kept), then completes."
        )
        async def task_events(
            self, info: ApiInfo, task_id: strawberry.ID, after_seq: int | None = strawberry.UNSET
        ) -> AsyncGenerator[task_event, None]:  # type: ignore[valid-type]
            info.context.caller.require(Scope.READ)
            seen = max(0, after_seq or 0, info.context.last_event_id or 0)
            events = info.context.node.deliveries.followers.events(
                check_task_id(task_id), seen, visible=info.context.caller.can_see
            )
            with info.context.waiter_slots(1):
                async with aclosing(events) as stream:  # type: ignore[type-var]
                    async for event, record in stream:
                        info.context.event_id = event.seq
                        yield task_event(event=event, record=record)

        @strawberry.subscription(
            description="Delivers every item of a task's stream after `after` (default: all) as it comes, then "
            "completes with the task. If another attempt begins, its items follow from number 1."
        )
        async def task_items(
            self, info: ApiInfo, task_id: strawberry.ID, after: str | None = strawberry.UNSET
        ) -> AsyncGenerator[task_item, None]:  # type: ignore[valid-type]
            info.context.caller.require(Scope.READ)
            last = info.context.last_event_id
            attempt, number = parse_event_id(last) if last else parse_cursor(after or None)
            items = info.context.node.deliveries.followers.items(
                check_task_id(task_id), attempt, number, visible=info.context.caller.can_see
            )
            with info.context.waiter_slots(1):
                async with aclosing(items) as stream:  # type: ignore[type-var]
                    async for item in stream:
                        info.context.event_id = event_id(item)
                        yield task_item(item=item)

        @strawberry.subscription(
            description="Delivers the lines that a task prints or logs after the one with the number `after` (default: "
            "all that are kept), about once a second while it runs, then completes with the task."
        )
        async def task_logs(
            self, info: ApiInfo, task_id: strawberry.ID, after: int | None = strawberry.UNSET
        ) -> AsyncGenerator[LogLineType, None]:
            info.context.caller.require(Scope.READ)
            seen = max(0, after or 0, info.context.last_event_id or 0)
            lines = info.context.node.deliveries.followers.lines(
                check_task_id(task_id), seen, visible=info.context.caller.can_see
            )
            with info.context.waiter_slots(1):
                async with aclosing(lines) as stream:  # type: ignore[type-var]
                    async for followed in stream:
                        info.context.event_id = followed.line.number
                        yield to_log_line(followed.line, followed.dropped)

        @strawberry.subscription(
            description="Delivers the cluster now and after each change, at most once a second; does not complete."
        )
        async def cluster_changes(self, info: ApiInfo) -> AsyncGenerator[Cluster, None]:
            caller = info.context.caller
            caller.require(Scope.READ)
            caller.require_unconfined("`clusterChanges`")
            with info.context.waiter_slots(1):
                async with aclosing(info.context.node.snapshots.changes(caller.tenant_seen)) as snapshots:
                    async for snapshot in snapshots:
                        yield to_cluster(snapshot, info.context.node.settings)

    runs = [create_type("RunSubscription", run_fields)] if run_fields else []
    return merge_types("Subscription", (*runs, Subscription, make_tasks_changed(task_change)))
