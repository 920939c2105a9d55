"""`dask-graphql tenants`: sets, lists and removes what tenants may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dask_graphql.cli.failure import fail
from dask_graphql.cli.in_store import audit, in_store

if TYPE_CHECKING:
    from cluster.store.async_store import Store


@click.group()
def tenants() -> None:
    """Sets what tenants may use: their share of the workers, and limits.

    A tenant without a policy has weight 1 and the limits of the settings.
    """


@tenants.command("set")
@click.argument("name")
@click.option("--weight", type=click.FloatRange(0.001, 1000), help="Share of the workers. Default: 1.")
@click.option("--max-running", type=click.IntRange(0), help="Tasks that may run at once.")
@click.option("--queue-limit", type=click.IntRange(0), help="Open tasks. Default: QUEUE_LIMIT_PER_TENANT.")
@click.option("--max-bytes", type=click.IntRange(0), help="Bytes of records and blobs. Default: TENANT_BYTES.")
@click.option("--submissions-per-minute", type=click.IntRange(0), help="Of all the tenant's callers; 0: no limit.")
@click.option("--operations-per-minute", type=click.IntRange(0), help="Of each caller; 0: no limit.")
def set_tenant(name: str, **values: float | None) -> None:
    """Sets the policy of the tenant NAME, or changes what is given. It applies to new submissions within seconds.

    NAME is as `keys list` shows it; jwt/NAME for the tenants of JWTs; address:192.0.2.7 without authentication.
    """
    from cluster.store.audit_stream import AuditAction
    from cluster.store.tenant_policies import change_policy

    given = {option: value for option, value in values.items() if value is not None}
    if " " in name or not name:
        fail(f"a tenant has a name without spaces, as `dask-graphql keys list` shows it, not {name!r}")
    if not given:
        fail("tenants set needs at least one option; `dask-graphql tenants set --help` lists them")

    async def change(store: Store) -> None:
        policy = await change_policy(store, name, **given)
        await audit(store, AuditAction.TENANT_SET, tenant=name, code=policy.summary())

    in_store(change)


@tenants.command("list")
def list_tenants() -> None:
    """Lists the tenants that have a policy."""
    from cluster.store.tenant_policies import list_policies

    for name, policy in sorted(in_store(list_policies).items()):
        print(name, policy.summary())


@tenants.command("remove")
@click.argument("name")
def remove_tenant(name: str) -> None:
    """Removes the policy of the tenant NAME."""
    from cluster.store.audit_stream import AuditAction
    from cluster.store.tenant_policies import remove_policy

    async def remove(store: Store) -> bool:
        if removed := await remove_policy(store, name):
            await audit(store, AuditAction.TENANT_REMOVED, tenant=name)
        return removed

    if not in_store(remove):
        fail(f"the tenant {name} has no policy; `dask-graphql tenants list` lists those that have one")
