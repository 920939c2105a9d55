"""The tenants' policies, as an api node knows them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from cluster.api_node.announced_cache import AnnouncedCache
from cluster.store.async_store import Store
from cluster.store.tenant_policies import POLICIES_CHANGED, TenantPolicy, list_policies

DEFAULT: Final = TenantPolicy()


class PolicyCache(AnnouncedCache[dict[str, TenantPolicy]]):
    """The policies by account."""

    def __init__(self, store: Store, on_change: Callable[[], None] = lambda: None) -> None:
        super().__init__("tenants' policies", POLICIES_CHANGED, partial(list_policies, store), {}, on_change)

    def of(self, account: str) -> TenantPolicy:
        """The policy of an account."""
        return self.value.get(account, DEFAULT)
