"""The tenants' policies, as an api node knows them: read at each change that is announced, and every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from cluster.store.async_store import Store
from cluster.store.tenant_policies import POLICIES_CHANGED, TenantPolicy, list_policies
from cluster.system.background import BackgroundLoop

REFRESH_SECONDS: Final = 5.0
"""Interval at which they are read if no change was announced."""

DEFAULT: Final = TenantPolicy()


class PolicyCache:
    """The policies by account.

    Args:
        on_change: called when they have changed.
    """

    def __init__(self, store: Store, on_change: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._on_change = on_change
        self._policies: dict[str, TenantPolicy] = {}
        self._changed = asyncio.Event()
        self.loop = BackgroundLoop("tenants' policies", self._refresh)

    def of(self, account: str) -> TenantPolicy:
        """The policy of an account."""
        return self._policies.get(account, DEFAULT)

    def on_broadcast(self, message: str) -> None:
        """Handles a message to all nodes."""
        if message == POLICIES_CHANGED:
            self._changed.set()

    async def _refresh(self) -> None:
        self._changed.clear()
        policies = await list_policies(self._store)
        if policies != self._policies:
            self._policies = policies
            self._on_change()
        with suppress(TimeoutError):
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._changed.wait()
