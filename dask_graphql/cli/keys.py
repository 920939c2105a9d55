"""`dask-graphql keys`: creates, lists and revokes API keys, and revokes task tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cluster.settings import load_settings
from dask_graphql.cli.failure import fail
from dask_graphql.cli.in_store import audit, in_store

if TYPE_CHECKING:
    from cluster.store.async_store import Store
    from cluster.store.audit_stream import AuditAction
    from graphql_api.auth.keys import ApiKey


@click.group()
def keys() -> None:
    """Creates, lists and revokes API keys. Redis stores only their hashes."""


async def _audit_key(store: Store, action: AuditAction, key: ApiKey) -> None:
    await audit(store, action, tenant=key.tenant, code=f"{key.key_id} {key.name}")


@keys.command("create")
@click.argument("name")
@click.option(
    "--scopes",
    default="submit,read,cancel",
    show_default=True,
    help="Comma-separated scopes: submit, priority, read, cancel, admin.",
)
@click.option("--tenant", help="Tenant whose tasks the key can see, if tenants are isolated. Default: NAME.")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="Days until it expires. Default: never.")
def create(name: str, scopes: str, tenant: str | None, days: float | None) -> None:
    """Creates a key for NAME and prints it; it cannot be shown again."""
    from cluster.store.audit_stream import AuditAction
    from graphql_api.auth.callers import Scope, parse_scopes, tenant_name
    from graphql_api.auth.keys import create_key

    words = [word.strip() for word in scopes.split(",") if word.strip()]
    found = parse_scopes(words)
    if len(found) != len(set(words)) or not found:
        fail(f"--scopes takes a comma-separated list of {', '.join(Scope)}, not {scopes!r}")
    try:
        whose = tenant_name(tenant or name)
    except ValueError as error:
        fail(str(error))

    async def make(store: Store) -> str:
        text, key = await create_key(store, name, whose, found, days)
        await _audit_key(store, AuditAction.KEY_CREATED, key)
        return text

    print(in_store(make))


@keys.command("list")
def list_() -> None:
    """Lists the keys: id, name, tenant, scopes, expiry."""
    from datetime import UTC, datetime

    from graphql_api.auth.keys import list_keys

    for key in in_store(list_keys):
        end = "-" if key.expires_at is None else f"{datetime.fromtimestamp(key.expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        print(f"{key.key_id}  {key.name}  {key.tenant}  {','.join(sorted(key.scopes))}  {end}")


@keys.command("revoke")
@click.argument("key_id")
def revoke_(key_id: str) -> None:
    """Revokes a key on all nodes.

    KEY_ID is the part of the key between the underscores. The key's open connections are closed.
    """
    from cluster.store.audit_stream import AuditAction
    from graphql_api.auth.keys import list_keys, revoke_key

    async def revoke(store: Store) -> bool:
        key = next((key for key in await list_keys(store) if key.key_id == key_id), None)
        revoked = await revoke_key(store, key_id)
        if revoked and key is not None:
            await _audit_key(store, AuditAction.KEY_REVOKED, key)
        return revoked

    if not in_store(revoke):
        fail(f"there is no key {key_id}; `dask-graphql keys list` lists all keys")


@keys.command("revoke-tokens")
def revoke_tokens_() -> None:
    """Revokes all task tokens and `href`s on all nodes, and closes the tokens' connections.

    Not those that are signed with DASK_GRAPHQL_TASK_TOKEN_SECRETS: change that variable to revoke them.
    """
    from cluster.store.audit_stream import AuditAction
    from graphql_api.auth.keys import KEYS_CHANGED
    from graphql_api.auth.task_tokens import revoke_tokens

    if load_settings().task_token_secrets:
        fail("task tokens are signed with DASK_GRAPHQL_TASK_TOKEN_SECRETS: give all nodes another value to revoke them")

    async def revoke(store: Store) -> None:
        await revoke_tokens(store)
        await store.command("PUBLISH", store.calls.all_channel, KEYS_CHANGED)
        await audit(store, AuditAction.TOKENS_REVOKED)

    in_store(revoke)
