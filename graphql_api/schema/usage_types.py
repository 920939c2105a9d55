"""What an account uses of the system, and what it may use, as GraphQL."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import strawberry

from cluster.api_node.account_usage import Usage, read_all_usage, read_usage
from cluster.api_node.node import Node
from graphql_api.auth.callers import Caller, Scope
from graphql_api.schema.scalars import BigInt


@strawberry.type(
    name="Usage", description="What a tenant, or without authentication an address, uses, and what it may use."
)
class UsageType:
    account: str = strawberry.field(description="The tenant, or `address:<ip>`.")
    open_tasks: int = strawberry.field(description="Tasks that have not ended.")
    open_task_limit: int
    bytes: BigInt = strawberry.field(
        description="Of records, blobs and files: inputs, results and errors, and 1,500 for each record."
    )
    byte_limit: BigInt
    weight: float = strawberry.field(
        description="Share of the workers, in proportion to other tenants that have tasks waiting."
    )
    max_running: int | None = strawberry.field(description="Tasks that may run at once; null: no limit.")
    submissions_per_minute: int | None = strawberry.field(
        description="Of all the tenant's callers together; null: no limit."
    )
    operations_per_minute: int | None = strawberry.field(
        description="Of each caller, on each api node; null: no limit."
    )


async def usage_of(node: Node, caller: Caller, account: str | None) -> UsageType:
    """The usage of an account; None for the caller's own.

    Raises:
        Forbidden: another account needs the scope `admin` of an authenticated caller.
    """
    if account and account != caller.account:
        caller.require(Scope.ADMIN)
        if caller.anonymous:
            account = caller.account
    account = account or caller.account
    return _to_usage(node, account, await read_usage(node.store, account))


async def all_usage(node: Node, caller: Caller, first: int) -> list[UsageType]:
    """The usage of the accounts that use most bytes; without authentication only the caller's own.

    Raises:
        Forbidden: it needs the scope `admin`.
    """
    caller.require(Scope.ADMIN)
    if caller.anonymous:
        return [await usage_of(node, caller, None)][:first]
    found = sorted((await read_all_usage(node.store)).items(), key=lambda item: -item[1].bytes)
    return [_to_usage(node, account, usage) for account, usage in found[:first]]


def _to_usage(node: Node, account: str, usage: Usage) -> UsageType:
    policy, admission = node.policies.of(account), node.submissions.admission
    return UsageType(
        account=account,
        open_tasks=usage.open,
        open_task_limit=admission.task_limit(account),
        bytes=BigInt(usage.bytes),
        byte_limit=BigInt(admission.byte_limit(account)),
        weight=policy.weight,
        max_running=policy.max_running,
        submissions_per_minute=policy.submissions_per_minute,
        operations_per_minute=node.operation_rates.limit_of(account) or None,
    )
