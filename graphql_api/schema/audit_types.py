"""The GraphQL types of the audit log."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from collections.abc import Callable

import strawberry

from cluster.errors import BadCursor
from cluster.store.audit_stream import ENTRY_ID, AuditAction, AuditEntry, AuditPage
from graphql_api.auth.callers import Caller
from graphql_api.schema.paging import PageInfo
from graphql_api.schema.times import to_datetime

strawberry.enum(AuditAction, name="AuditAction", description="What was done, in the audit log.")


@strawberry.type(
    name="AuditEntry", description="What a caller did: the same thing, `count` times within about a second."
)
class AuditEntryType:
    at: datetime.datetime = strawberry.field(description="When it was written, up to a second after it was done.")
    action: AuditAction
    caller: str | None = strawberry.field(
        description="Name of the API key, subject of the JWT, or the address; the user that ran `dask-graphql keys`; "
        "null for a credential that was refused."
    )
    caller_id: str | None = strawberry.field(
        description="`key:<id>`, `jwt:<subject>`, `address:<ip>` or `command:<user>@<host>`."
    )
    tenant: str | None = strawberry.field(description="The caller's tenant.")
    address: str | None = strawberry.field(description="The client's address.")
    name: str | None = strawberry.field(description="The task type, if it concerns tasks.")
    task_ids: list[strawberry.ID] = strawberry.field(description="The tasks that it concerns; at most 100.")
    code: str | None = strawberry.field(
        description="The outcome of a submission, the code of a refusal, or the id and the name of an API key."
    )
    count: int = strawberry.field(description="How many times it was done, or for how many tasks.")


@strawberry.type(description="One entry in a page of the audit log.")
class AuditEdge:
    cursor: str
    node: AuditEntryType


@strawberry.type(
    description="A page of the audit log, newest first. With a filter it may have fewer entries than `first`, or none, "
    "and still be followed by another one."
)
class AuditConnection:
    edges: list[AuditEdge]
    page_info: PageInfo

    @strawberry.field(description="The entries of `edges`.")
    def nodes(self) -> list[AuditEntryType]:
        return [edge.node for edge in self.edges]


def audit_filter(
    caller: Caller, who: str | None, action: AuditAction | None, task_id: str | None
) -> Callable[[AuditEntry], bool]:
    """Whether an entry is what `caller` asked for. Without authentication callers see only their own address."""

    def matches(entry: AuditEntry) -> bool:
        return (
            (not caller.anonymous or entry.address == caller.address)
            and (not who or who in (entry.caller, entry.caller_id))
            and (action is None or entry.action is action)
            and (not task_id or task_id in entry.task_ids)
        )

    return matches


def parse_audit_cursor(cursor: str) -> str:
    """The id of an entry.

    Raises:
        BadCursor: it is no cursor of this list.
    """
    if not ENTRY_ID.fullmatch(cursor):
        raise BadCursor(f"`after` must be an endCursor of this list, not {cursor[:64]!r}")
    return cursor


def to_audit_connection(page: AuditPage, after: str | None) -> AuditConnection:
    edges = [AuditEdge(cursor=entry_id, node=_node(entry_id, entry)) for entry_id, entry in page.entries]
    last = edges[-1].cursor if edges else None
    return AuditConnection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.next_before is not None,
            has_previous_page=after is not None,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=page.next_before or last,
        ),
    )


def _node(entry_id: str, entry: AuditEntry) -> AuditEntryType:
    at = to_datetime(int(entry_id.partition("-")[0]))
    assert at is not None
    return AuditEntryType(
        at=at, action=entry.action, caller=entry.caller or None, caller_id=entry.caller_id or None,
        tenant=entry.tenant or None, address=entry.address or None, name=entry.task or None,
        task_ids=[strawberry.ID(task_id) for task_id in entry.task_ids], code=entry.code or None, count=entry.count,
    )  # fmt: skip
