"""A scheduler's own dispatchers for the tasks of its shards: one that is away does not delay the attempts of others."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.api_node.dispatcher import Dispatchable
from cluster.api_node.pool_dispatchers import PoolDispatchers
from cluster.store.keys import scheduler_of
from cluster.system.background import BackgroundLoop


class SchedulerDispatchers:
    """The dispatchers of all schedulers.

    Args:
        dispatchers: of each scheduler, by number.
    """

    def __init__(self, dispatchers: Sequence[PoolDispatchers]) -> None:
        self._all = tuple(dispatchers)
        if len(self._all) == 1:
            # With one scheduler there is no choice to make for each attempt.
            self.put = self._all[0].put  # type: ignore[method-assign]

    @property
    def loops(self) -> list[BackgroundLoop]:
        return [loop for dispatchers in self._all for loop in dispatchers.loops]

    def start(self) -> None:
        for dispatchers in self._all:
            dispatchers.start()

    def put(self, attempt: Dispatchable) -> None:
        """Queues an attempt for the scheduler of its task; see `Dispatcher.put`."""
        self._all[scheduler_of(attempt.task_id, len(self._all))].put(attempt)

    async def drained(self) -> None:
        """Waits until every dispatcher is `drained`."""
        for dispatchers in self._all:
            await dispatchers.drained()

    async def close(self) -> None:
        for dispatchers in self._all:
            await dispatchers.close()
