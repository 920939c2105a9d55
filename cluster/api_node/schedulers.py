"""An api node's connections to the schedulers, usually one. A task belongs to the scheduler of its shard."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from cluster.api_node.merged_state import SchedulerState, merge_fleets
from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.keys import Keys, scheduler_of, shards_of

logger = logging.getLogger(__name__)

SILENT_SECONDS: Final = 5.0
"""After one of several schedulers has not told its load in time, how long it is taken to be away."""


class Schedulers:
    """The connections, by the schedulers' numbers.

    Args:
        clients: one for each scheduler.
        keys: the names of the keys of each.
    """

    def __init__(self, clients: Sequence[SchedulerClient], keys: Sequence[Keys]) -> None:
        self.clients = tuple(clients)
        self.keys = tuple(keys)
        self._silent_until = [0.0] * len(self.clients)

    @classmethod
    def of(cls, settings: Settings, store: Store) -> Schedulers:
        """The connections to all schedulers in the settings."""
        numbers = range(len(settings.scheduler_addresses))
        clients = [SchedulerClient(settings, store, subscribe_to_load=True, number=number) for number in numbers]
        return cls(clients, [store.calls.of_scheduler(number) for number in numbers])

    def __len__(self) -> int:
        return len(self.clients)

    def __iter__(self) -> Iterator[SchedulerClient]:
        return iter(self.clients)

    def start(self) -> None:
        for client in self.clients:
            client.start()

    async def close(self) -> None:
        for client in self.clients:
            await client.close()

    def number_of(self, task_id: str) -> int:
        """The number of the scheduler that a task belongs to."""
        return scheduler_of(task_id, len(self.clients))

    def client_of(self, task_id: str) -> SchedulerClient:
        """The connection to the scheduler that a task belongs to."""
        return self.clients[self.number_of(task_id)]

    def shards_of(self, number: int) -> tuple[str, ...]:
        """The shards whose tasks belong to a scheduler."""
        return shards_of(number, len(self.clients))

    @property
    def connected(self) -> frozenset[int]:
        """The numbers of the schedulers to which this node is connected."""
        return frozenset(number for number, client in enumerate(self.clients) if client.connected)

    @property
    def threads(self) -> int:
        """Number of threads of all workers."""
        return sum(client.load.threads for client in self.clients)

    async def states(self) -> list[SchedulerState]:
        """Each scheduler's load, asked at once. One that is unavailable has an empty load."""
        return await asyncio.gather(*(self._state(number) for number in range(len(self.clients))))

    async def _state(self, number: int) -> SchedulerState:
        client = self.clients[number]
        if client.connected and time.monotonic() < self._silent_until[number]:
            return SchedulerState(number)
        try:
            return SchedulerState(number, await client.call("dask_graphql_load"))
        except SchedulerUnavailable as error:
            logger.debug("scheduler %d does not tell its load: %s", number, error)
            if client.connected and len(self.clients) > 1:
                # One that is frozen must not hold up each look at the others.
                self._silent_until[number] = time.monotonic() + SILENT_SECONDS
            return SchedulerState(number)

    async def fleet(self, store: Store) -> Mapping[str, Any] | None:
        """The state that the controllers have published, of all fleets together; None if no controller runs.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        published = await store.commands([("GET", keys.fleet_key) for keys in self.keys])
        return merge_fleets([orjson.loads(fleet) if fleet else None for fleet in published])
