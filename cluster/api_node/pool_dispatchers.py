"""A dispatcher for each pool: a pool whose workers are busy neither delays what another pool could run, nor makes its
attempts wait to be sent in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.api_node.dispatcher import Dispatchable, Dispatcher
from cluster.settings.pools import DEFAULT_POOL
from cluster.system.background import BackgroundLoop


class PoolDispatchers:
    """The dispatchers of all pools; a single one without pools.

    Args:
        pools: by name.
        make: makes the dispatcher of a pool; of an empty name for all workers.
        pool_of: returns the pool of a task type.
    """

    def __init__(
        self, pools: Mapping[str, object], make: Callable[[str], Dispatcher], pool_of: Callable[[str], str]
    ) -> None:
        self._pool_of = pool_of
        self._dispatchers = {pool: make(pool) for pool in pools}
        self._others = self._dispatchers.get(DEFAULT_POOL) or make("")
        self._all = list(self._dispatchers.values()) or [self._others]
        if not self._dispatchers:
            # Without pools there is no choice to make for each attempt.
            self.put = self._others.put  # type: ignore[method-assign]

    @property
    def loops(self) -> list[BackgroundLoop]:
        return [dispatcher.loop for dispatcher in self._all]

    def start(self) -> None:
        for dispatcher in self._all:
            dispatcher.start()

    def put(self, attempt: Dispatchable) -> None:
        """Queues an attempt for its pool; see `Dispatcher.put`."""
        # A pool that it moved to may not exist any more.
        of_attempt = self._dispatchers.get(attempt.pool) if attempt.pool else None
        (of_attempt or self._dispatchers.get(self._pool_of(attempt.name), self._others)).put(attempt)

    async def drained(self) -> None:
        """Waits until every dispatcher is `drained`."""
        for dispatcher in self._all:
            await dispatcher.drained()

    async def close(self) -> None:
        for dispatcher in self._all:
            await dispatcher.close()
