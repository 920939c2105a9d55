"""Webhooks in the schema: who is told of the ends of tasks, what was told, and what is told again."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from typing import Annotated, Self

import strawberry
from strawberry.types.field import StrawberryField

from cluster.api_node.webhooks import Webhooks
from cluster.errors import BadInput, WebhookNotFound
from cluster.store.audit_stream import AuditAction
from cluster.store.record import TaskState
from cluster.store.webhook_deliveries import DELIVERY_ID, Delivery, DeliveryPage, DeliveryStatus, read_deliveries
from cluster.store.webhooks import WEBHOOK_ID, Webhook
from cluster.task_types.task_id import check_task_id
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import ApiInfo
from graphql_api.execution.document_limits import DEFAULT_PAGE
from graphql_api.schema.paging import PageInfo, checked_number, make_cursor, parse_cursor
from graphql_api.schema.task_filter_input import TaskFilterInput, to_task_filter
from graphql_api.schema.times import to_datetime
from graphql_api.strawberry_internals import make_field

strawberry.enum(
    DeliveryStatus,
    name="DeliveryStatus",
    description="PENDING: it is tried, or will be again. DELIVERED: its receiver accepted it. FAILED: its receiver "
    "answered 410, or refused every try.",
)

_WebhookId = Annotated[strawberry.ID, strawberry.argument(description="The webhook.")]


@strawberry.type(
    name="Webhook",
    description="A receiver that is told when a task ends that meets a filter: of those submitted since it was "
    "created. The caller's tenant sees and changes its own.",
)
class WebhookType:
    id: strawberry.ID
    url: str
    created_at: datetime.datetime
    disabled_at: datetime.datetime | None = strawberry.field(
        description="When its receiver answered 410, since when it is told nothing; null while it is told."
    )
    secret: str = strawberry.field(
        description="What signs its deliveries, as libraries for Standard Webhooks take it (`whsec_...`)."
    )

    @classmethod
    async def of(cls, webhooks: Webhooks, webhook: Webhook) -> Self:
        created_at = to_datetime(webhook.created_at)
        assert created_at is not None
        [secret, *_] = await webhooks.secrets(webhook.account, webhook.webhook_id)
        return cls(
            id=strawberry.ID(webhook.webhook_id), url=webhook.url, created_at=created_at,
            disabled_at=to_datetime(webhook.disabled_at), secret=secret,
        )  # fmt: skip


@strawberry.type(name="WebhookDelivery", description="One receiver and one task's end; kept for ten days.")
class WebhookDeliveryType:
    id: strawberry.ID = strawberry.field(description="The header `webhook-id` of its requests.")
    task_id: strawberry.ID
    webhook_id: strawberry.ID | None = strawberry.field(description="Null if a submission named the URL.")
    url: str | None = strawberry.field(description="The receiver; null if its webhook was deleted.")
    name: str = strawberry.field(description="The task type.")
    state: TaskState = strawberry.field(description="How the task ended.")
    ended_at: datetime.datetime = strawberry.field(description="When it ended, or was asked for again after that.")
    status: DeliveryStatus
    tries: int
    reply: str | None = strawberry.field(description="What came back last: `HTTP 503`, or what went wrong.")
    tried_at: datetime.datetime | None
    next_try_at: datetime.datetime | None = strawberry.field(description="Null unless it is PENDING.")


@strawberry.type(description="One delivery in a list.")
class WebhookDeliveryEdge:
    cursor: str
    node: WebhookDeliveryType


@strawberry.type(
    description="A page of deliveries, newest first. With a filter it may have fewer than `first`, or none, and still "
    "be followed by another one."
)
class WebhookDeliveryConnection:
    edges: list[WebhookDeliveryEdge]
    page_info: PageInfo

    @strawberry.field(description="The deliveries of `edges`.")
    def nodes(self) -> list[WebhookDeliveryType]:
        return [edge.node for edge in self.edges]


async def list_webhooks(info: ApiInfo) -> list[WebhookType] | None:
    caller, webhooks = _authorized(info), info.context.node.webhooks
    return [await WebhookType.of(webhooks, item) for item in (await webhooks.table.refresh()).of(caller.account)]


async def webhook_secret(info: ApiInfo) -> str | None:
    caller = _authorized(info)
    [secret, *_] = await info.context.node.webhooks.secrets(caller.account, "")
    return secret


async def webhook_deliveries(
    info: ApiInfo,
    first: int | None = DEFAULT_PAGE,
    after: str | None = strawberry.UNSET,
    status: DeliveryStatus | None = strawberry.UNSET,
    task_id: strawberry.ID | None = strawberry.UNSET,
) -> WebhookDeliveryConnection | None:
    caller, node = _authorized(info), info.context.node
    first = checked_number(first, "first")
    if task_id:
        check_task_id(task_id)

    def matches(delivery: Delivery) -> bool:
        return (not status or delivery.status is status) and (not task_id or delivery.task_id == task_id)

    position = parse_cursor(after, identifier=DELIVERY_ID) if after else None
    page = await read_deliveries(node.store, caller.account, first, position, matches)
    return _to_connection(page, node.webhooks, has_previous=bool(after))


async def create_webhook(info: ApiInfo, url: str, where: TaskFilterInput | None = None) -> WebhookType | None:
    caller, node = _authorized(info), info.context.node
    wanted = to_task_filter(where)
    if wanted.ids is not None:
        raise BadInput("a webhook is for tasks to come: leave out `where.ids`", argument="where.ids")
    made = await node.webhooks.create(caller.account, caller.tenant, url, wanted, caller.actor.text)
    node.audit.add(AuditAction.WEBHOOK_CREATED, caller.actor, code=made.webhook_id)
    return await WebhookType.of(node.webhooks, made)


async def enable_webhook(info: ApiInfo, id: _WebhookId) -> WebhookType | None:
    caller, node = _authorized(info), info.context.node
    webhook = await node.webhooks.enable(caller.account, id)
    node.audit.add(AuditAction.WEBHOOK_ENABLED, caller.actor, code=id)
    return await WebhookType.of(node.webhooks, webhook)


async def delete_webhook(info: ApiInfo, id: _WebhookId) -> strawberry.ID | None:
    caller, node = _authorized(info), info.context.node
    await node.webhooks.delete(caller.account, id)
    node.audit.add(AuditAction.WEBHOOK_DELETED, caller.actor, code=id)
    return id


async def rotate_webhook_secret(info: ApiInfo, id: strawberry.ID | None = strawberry.UNSET) -> str | None:
    caller, node = _authorized(info), info.context.node
    webhook_id = id or None
    await node.webhooks.rotate(caller.account, webhook_id)
    node.audit.add(AuditAction.WEBHOOK_SECRET_ROTATED, caller.actor, code=webhook_id or "")
    [secret, *_] = await node.webhooks.secrets(caller.account, webhook_id or "")
    return secret


async def redeliver_webhook(info: ApiInfo, delivery_id: strawberry.ID) -> strawberry.ID | None:
    caller, node = _authorized(info), info.context.node
    known = DELIVERY_ID.fullmatch(delivery_id)
    if not known or not await node.store.run(node.store.calls.redeliver(delivery_id, caller.account)):
        raise WebhookNotFound(f"there is no delivery {delivery_id[:64]!r}")
    node.audit.add(AuditAction.WEBHOOK_REDELIVERED, caller.actor, code=delivery_id)
    return delivery_id


def _authorized(info: ApiInfo) -> Caller:
    """The caller, who must be able to submit tasks and to read them: a webhook tells what a reader may know.

    Raises:
        Forbidden: it may not.
    """
    caller = info.context.caller
    caller.require(Scope.SUBMIT)
    caller.require(Scope.READ)
    caller.require_unconfined("webhooks")
    return caller


def _to_connection(page: DeliveryPage, webhooks: Webhooks, *, has_previous: bool) -> WebhookDeliveryConnection:
    edges = [
        WebhookDeliveryEdge(cursor=make_cursor(item.position), node=_to_delivery(item, webhooks))
        for item in page.deliveries
    ]
    last = edges[-1].cursor if edges else None
    return WebhookDeliveryConnection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.next_after is not None,
            has_previous_page=has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=make_cursor(page.next_after) if page.next_after else last,
        ),
    )


def _to_delivery(delivery: Delivery, webhooks: Webhooks) -> WebhookDeliveryType:
    registered = WEBHOOK_ID.fullmatch(delivery.to) is not None
    webhook = webhooks.table.value.webhooks.get(delivery.to)
    ended_at = to_datetime(delivery.at)
    assert ended_at is not None
    return WebhookDeliveryType(
        id=strawberry.ID(delivery.delivery_id),
        task_id=strawberry.ID(delivery.task_id),
        webhook_id=strawberry.ID(delivery.to) if registered else None,
        url=(webhook.url if webhook else None) if registered else delivery.to,
        name=delivery.name,
        state=TaskState(delivery.state),
        ended_at=ended_at,
        status=delivery.status,
        tries=delivery.tries,
        reply=delivery.reply or None,
        tried_at=to_datetime(delivery.tried_at),
        next_try_at=to_datetime(delivery.due_at) if delivery.status is DeliveryStatus.PENDING else None,
    )


def webhook_mutations() -> list[StrawberryField]:
    """What creates, changes and deletes webhooks."""
    return [
        make_field(
            "create_webhook", resolver=create_webhook,
            description="Tells a receiver of the end of each task that is submitted from now on and meets the filter: "
            "a POST of JSON, signed by Standard Webhooks. The URL begins with https:// and is public, unless the "
            "operator allows others.",
        ),
        make_field(
            "enable_webhook", resolver=enable_webhook,
            description="Tells a webhook again that was disabled because its receiver answered 410.",
        ),
        make_field(
            "delete_webhook", resolver=delete_webhook,
            description="Deletes a webhook with what is still to be delivered to it; its id.",
        ),
        make_field(
            "rotate_webhook_secret", resolver=rotate_webhook_secret,
            description="Replaces the secret of a webhook, or without an id that of the tenant (`webhookSecret`), and "
            "gives the new one. The old one signs beside it for a day.",
        ),
        make_field(
            "redeliver_webhook", resolver=redeliver_webhook,
            description="Delivers once more, under the same id, whatever became of it; the delivery's id.",
        ),
    ]  # fmt: skip
