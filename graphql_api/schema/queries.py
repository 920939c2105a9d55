"""The queries: one task, the list of tasks, the task types, the cluster."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from typing import Annotated

import strawberry

from cluster.api_node.cluster_snapshot import read_snapshot
from cluster.store.audit_stream import AuditAction, read_audit
from cluster.store.record import TaskState
from cluster.store.task_filter import TaskFilter
from cluster.task_types.declaration import check_name
from cluster.task_types.task_id import check_task_id
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.execution.document_limits import DEFAULT_PAGE, PAGE_LIMIT
from graphql_api.schema.arguments import given
from graphql_api.schema.audit_types import AuditConnection, audit_filter, parse_audit_cursor, to_audit_connection
from graphql_api.schema.caller_type import CallerType
from graphql_api.schema.cluster_types import Cluster, to_cluster
from graphql_api.schema.end_wait import TaskWait, end_wait
from graphql_api.schema.estimate import SubmissionEstimate, estimate
from graphql_api.schema.failure_groups import FailureGroupType, failures
from graphql_api.schema.node_interface import Node, read_task, read_tasks
from graphql_api.schema.paging import checked_number, page_arguments
from graphql_api.schema.schedule_types import ScheduleType, get_schedule, list_schedules, preview_runs
from graphql_api.schema.stored_file import StoredFileType, find_file
from graphql_api.schema.task_connection import TaskOrder, TaskPages
from graphql_api.schema.task_filter_input import TaskFilterInput, to_task_filter
from graphql_api.schema.task_type_description import TaskTypeType
from graphql_api.schema.times import to_milliseconds
from graphql_api.schema.usage_types import UsageType, all_usage, usage_of
from graphql_api.schema.webhook_types import (
    WebhookDeliveryConnection,
    WebhookType,
    list_webhooks,
    webhook_deliveries,
    webhook_secret,
)


def make_query(task_class: type, connection_class: type) -> type:
    """The query type for a schema's `Task` and `TaskConnection`."""
    descriptions: list[TaskTypeType] = []
    pages = TaskPages(task_class, connection_class)

    # Every field may be null, so that a refusal of one costs those beside it nothing.
    @strawberry.type
    class Query:
        @strawberry.field(
            description="One task; null if it was never submitted, or if its record has expired. `waitSeconds` waits "
            "for a task that is not submitted yet, too."
        )
        async def task(
            self, info: ApiInfo, task_id: strawberry.ID, wait_seconds: TaskWait = strawberry.UNSET
        ) -> task_class | None:  # type: ignore[valid-type]
            info.context.caller.require(Scope.READ)
            check_task_id(task_id)
            with end_wait(info, wait_seconds, 1) as wait:
                ended = await wait.ended([task_id])
            if ended:
                return task_class(record=ended[task_id])  # type: ignore[no-any-return]
            return await read_task(info, task_class, task_id)  # type: ignore[no-any-return]

        @strawberry.field(description="The object with this id; null as `task` is.")
        async def node(self, info: ApiInfo, id: strawberry.ID) -> Node | None:
            return await read_task(info, task_class, id)  # type: ignore[no-any-return]

        @strawberry.field(description="The objects with these ids, at most 100, in their order; null for one unknown.")
        async def nodes(self, info: ApiInfo, ids: list[strawberry.ID]) -> list[Node | None] | None:
            return await read_tasks(info, task_class, ids)  # type: ignore[no-any-return]

        @strawberry.field(
            description="The tasks that the caller may see; at most 100 per page: the `first` ones after `after`, or "
            "the `last` ones before `before`. Without either the first 20."
        )
        async def tasks(
            self,
            info: ApiInfo,
            first: Annotated[
                int | None, strawberry.argument(description="Not together with `last`.")
            ] = strawberry.UNSET,
            after: Annotated[
                str | None, strawberry.argument(description="The `endCursor` of a page, or any edge's `cursor`.")
            ] = strawberry.UNSET,
            last: int | None = strawberry.UNSET,
            before: Annotated[
                str | None, strawberry.argument(description="The `startCursor` of a page, or any edge's `cursor`.")
            ] = strawberry.UNSET,
            where: TaskFilterInput | None = strawberry.UNSET,
            order_by: TaskOrder | None = TaskOrder.NEWEST_FIRST,
            state: Annotated[
                TaskState | None, strawberry.argument(deprecation_reason="Use `where: {states: [...]}`.")
            ] = strawberry.UNSET,
            name: Annotated[
                str | None, strawberry.argument(deprecation_reason="Use `where: {names: [...]}`.")
            ] = strawberry.UNSET,
            submitted_after: Annotated[
                datetime.datetime | None,
                strawberry.argument(
                    description="Only tasks submitted at this time or later.",
                    deprecation_reason="Use `where: {submittedAfter: ...}`.",
                ),
            ] = strawberry.UNSET,
            submitted_before: Annotated[
                datetime.datetime | None,
                strawberry.argument(
                    description="Only tasks submitted before this time.",
                    deprecation_reason="Use `where: {submittedBefore: ...}`.",
                ),
            ] = strawberry.UNSET,
        ) -> connection_class | None:  # type: ignore[valid-type]
            page = page_arguments(given(first), after or None, given(last), before or None)
            info.context.caller.require(Scope.READ)
            old = TaskFilter(
                states=frozenset({state}) if state else None,
                names=frozenset({name}) if name else None,
                since=to_milliseconds(submitted_after or None, "submittedAfter"),
                until=to_milliseconds(submitted_before or None, "submittedBefore"),
            )
            if name and name not in info.context.node.registry:
                check_name(name)
            wanted = to_task_filter(where or None).narrowed(old)
            return await pages.read(info, wanted, order_by or TaskOrder.NEWEST_FIRST, page)  # type: ignore[no-any-return]

        failures: list[FailureGroupType] | None = strawberry.field(
            resolver=failures,
            description="What failed tasks have in common, the largest group first: of those that are meant, the 2,000 "
            "that were submitted last. At most 100 groups; without `first` 20.",
        )

        @strawberry.field(description="The task types that this api accepts.")
        def task_types(
            self,
            info: ApiInfo,
            names: Annotated[
                list[str] | None, strawberry.argument(description="Only those of these names that it accepts.")
            ] = strawberry.UNSET,
        ) -> list[TaskTypeType] | None:
            info.context.caller.require(Scope.READ)
            if not descriptions:
                # A changed registry gets a schema of its own.
                node = info.context.node
                descriptions.extend(
                    TaskTypeType.of(task_type, info.schema, node.settings) for task_type in node.registry.values()
                )
            wanted = given(names)
            return descriptions if wanted is None else [item for item in descriptions if item.name in wanted]

        @strawberry.field(description="The scheduler, the workers and the fleet.")
        async def cluster(self, info: ApiInfo) -> Cluster | None:
            caller = info.context.caller
            caller.require(Scope.READ)
            caller.require_unconfined("`cluster`")
            node = info.context.node
            snapshot = await read_snapshot(node.store, node.schedulers, node.reloads, caller.tenant_seen)
            return to_cluster(snapshot, node.settings)

        @strawberry.field(
            description="The audit log: what callers did, newest first; at most 100 entries per page. Needs the scope "
            "`admin`; where no authentication is required, callers see what was done from their own address."
        )
        async def audit(
            self,
            info: ApiInfo,
            first: int | None = DEFAULT_PAGE,
            after: str | None = strawberry.UNSET,
            caller: Annotated[
                str | None, strawberry.argument(description="Only entries with this `caller` or `callerId`.")
            ] = strawberry.UNSET,
            action: AuditAction | None = strawberry.UNSET,
            task_id: strawberry.ID | None = strawberry.UNSET,
        ) -> AuditConnection | None:
            first = checked_number(first, "first")
            asking = info.context.caller
            asking.require(Scope.ADMIN)
            before = parse_audit_cursor(after) if after else None
            matches = audit_filter(asking, caller or None, action or None, task_id or None)
            return to_audit_connection(await read_audit(info.context.node.store, first, before, matches), after or None)

        file: StoredFileType | None = strawberry.field(
            resolver=find_file, description="A file that was uploaded, or that a task made; null if there is none."
        )

        @strawberry.field(
            description="What the caller's tenant uses and may use. Another account needs the scope `admin`; where no "
            "authentication is required, callers see their own address."
        )
        async def usage(self, info: ApiInfo, account: str | None = strawberry.UNSET) -> UsageType | None:
            info.context.caller.require(Scope.READ)
            info.context.caller.require_unconfined("`usage`")
            return await usage_of(info.context.node, info.context.caller, account or None)

        @strawberry.field(description="The accounts that use most bytes; at most 100. Needs the scope `admin`.")
        async def all_usage(self, info: ApiInfo, first: int | None = PAGE_LIMIT) -> list[UsageType] | None:
            return await all_usage(info.context.node, info.context.caller, checked_number(first, "first"))

        estimate: SubmissionEstimate | None = strawberry.field(
            resolver=estimate,
            description="What a submission would meet and take, before it is made: the input is checked as that of "
            "`submit<Name>`. Needs the scope `read`.",
        )
        schedules: list[ScheduleType] | None = strawberry.field(
            resolver=list_schedules,
            description="The schedules of the caller's tenant, by name; of all tenants for an admin.",
        )
        schedule: ScheduleType | None = strawberry.field(
            resolver=get_schedule, description="A schedule of the caller's tenant."
        )
        schedule_preview: list[datetime.datetime] | None = strawberry.field(
            resolver=preview_runs,
            description="When a schedule with this `cron` in `timeZone`, or with `everySeconds`, would run next, from "
            "now on or after a time within ten years: up to 50 times. It is refused where `setSchedule` would be.",
        )
        webhooks: list[WebhookType] | None = strawberry.field(
            resolver=list_webhooks,
            description="The webhooks of the caller's tenant, oldest first. Needs the scopes `submit` and `read`, as "
            "all of webhooks does.",
        )
        webhook_secret: str | None = strawberry.field(
            resolver=webhook_secret,
            description="What signs the deliveries to URLs that a submission of this tenant names (`options.webhook`).",
        )
        webhook_deliveries: WebhookDeliveryConnection | None = strawberry.field(
            resolver=webhook_deliveries,
            description="What was delivered, and what is to be, to webhooks of the caller's tenant, newest first; at "
            "most 100 per page.",
        )

        @strawberry.field(description="The caller of this request, with its permissions.")
        def caller(self, info: ApiInfo) -> CallerType | None:
            caller = info.context.caller
            return CallerType(
                name=caller.name,
                title=caller.actor.title,
                tenant=caller.tenant or None,
                scopes=sorted(caller.scopes),
                # Of use to whoever submits only: others could try with it which inputs their tenant has computed.
                task_id_salt=(caller.salt or None) if caller.confinement is None or caller.has(Scope.SUBMIT) else None,
            )

    return Query
