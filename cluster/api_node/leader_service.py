"""A background service that is active on one api node at a time. Every node is a candidate; a lease decides."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

from cluster.store.async_store import Store
from cluster.store.leader_lease import LeaderLease
from cluster.system.background import BackgroundLoop


class LeaderService(ABC):
    """One candidate: a background loop beside the lease that guards it.

    Args:
        name: of the service, in logs, metrics and /readyz.
        lease_key: of the lease in Redis.
        node: this node's id, unique among running nodes.
        pause_seconds: pause between two rounds.
    """

    def __init__(self, store: Store, name: str, lease_key: str, node: str, *, pause_seconds: float = 0.0) -> None:
        self._store = store
        self._woken = asyncio.Event()
        self.lease = LeaderLease(store, name, lease_key, node)
        self.loop = BackgroundLoop(name, self._round, pause_seconds=pause_seconds)

    def wake(self) -> None:
        """Ends `_wait_for_work` at once, because there is something to do."""
        self._woken.set()

    async def _wait_for_work(self, seconds: float) -> None:
        """Waits until `wake` is called, but no longer than `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    @property
    def active(self) -> bool:
        """Whether this node holds the lease."""
        return self.lease.held

    @property
    def loops(self) -> tuple[BackgroundLoop, ...]:
        return self.lease.loop, self.loop

    def start(self) -> None:
        self.lease.start()
        self.loop.start()

    async def close(self) -> None:
        """Stops, and releases the lease so that another node can take over at once."""
        await self.loop.close()
        await self.lease.close()

    @abstractmethod
    async def _round(self) -> None:
        """One round of the loop. Nodes that do not hold the lease run it too."""
