"""Tenants' policies: weights and ceilings, set with `dask-graphql tenants`, stored in Redis by account.

An account without a policy has weight 1 and the limits of the settings.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson

from cluster.store.async_store import Store

POLICIES_CHANGED: Final = "tenants"
"""The message on the channel of all nodes after a change."""


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """What a tenant may use. None: as the settings say.

    Attributes:
        weight: share of the workers, in proportion to other tenants that have tasks waiting.
        max_running: tasks that may run at once.
        queue_limit: open tasks.
        max_bytes: of records and blobs.
        submissions_per_minute: of all the tenant's callers together.
        operations_per_minute: of each caller, on each api node.
    """

    weight: float = 1.0
    max_running: int | None = None
    queue_limit: int | None = None
    max_bytes: int | None = None
    submissions_per_minute: int | None = None
    operations_per_minute: int | None = None

    def dump(self) -> bytes:
        return orjson.dumps({name: value for name, value in asdict(self).items() if value is not None})

    def summary(self) -> str:
        """For people: `weight=2.5 queue_limit=7`, without what the settings say."""
        return " ".join(f"{name}={value:.15g}" for name, value in asdict(self).items() if value is not None)

    @classmethod
    def load(cls, text: bytes) -> TenantPolicy:
        """Reads a stored policy. Ignores what a later release has added."""
        raw = orjson.loads(text)
        return cls(**{name: raw[name] for name in cls.__dataclass_fields__ if name in raw})


async def list_policies(store: Store) -> dict[str, TenantPolicy]:
    """All policies by account."""
    raw = await store.command("HGETALL", store.calls.tenants_key)
    pairs = raw.items() if isinstance(raw, dict) else zip(raw[::2], raw[1::2], strict=True)
    return {account.decode(): TenantPolicy.load(text) for account, text in pairs}


async def change_policy(store: Store, account: str, **changes: Any) -> TenantPolicy:
    """Changes some attributes of a tenant's policy on all nodes; two changes at once both count. Returns the policy."""
    while True:
        old = await store.command("HGET", store.calls.tenants_key, account) or b""
        policy = replace(TenantPolicy.load(old) if old else TenantPolicy(), **changes)
        if await store.run(store.calls.replace_field(store.calls.tenants_key, account, old, policy.dump())):
            await store.command("PUBLISH", store.calls.all_channel, POLICIES_CHANGED)
            return policy


async def remove_policy(store: Store, account: str) -> bool:
    """Removes a tenant's policy on all nodes; False if it has none."""
    removed = await store.command("HDEL", store.calls.tenants_key, account)
    await store.command("PUBLISH", store.calls.all_channel, POLICIES_CHANGED)
    return bool(removed)
