"""Reads what `find_problems` decides from, for all callers of an api node at once."""

from __future__ import annotations

import logging
import time
from typing import Final

from cluster.api_node.cluster_snapshot import ClusterSnapshot
from cluster.api_node.history_counts import EndedTasks
from cluster.api_node.history_reader import HistoryReader
from cluster.api_node.open_tasks import MAX_TENANTS, OpenTasks
from cluster.api_node.problems import FAILURE_SECONDS, ClusterState, Problem, find_problems
from cluster.api_node.shared_reads import SharedReads
from cluster.errors import StoreUnavailable
from cluster.store.async_store import Store
from cluster.store.paused import paused_types
from cluster.store.record import TaskState

logger = logging.getLogger(__name__)

MAX_AGE_SECONDS: Final = 2.0
"""How long what was read is used."""


class ProblemReader:
    """The problems, as one api node knows them."""

    def __init__(self, store: Store, history: HistoryReader, open_tasks: OpenTasks) -> None:
        self._store = store
        self._history = history
        self._open_tasks = open_tasks
        self._reads: SharedReads[str | None, list[Problem]] = SharedReads(MAX_AGE_SECONDS, MAX_TENANTS)

    async def read(self, snapshot: ClusterSnapshot, tenant: str | None) -> list[Problem]:
        """The problems, the most urgent first.

        Args:
            snapshot: the cluster now, with the number of the tenant's tasks.
            tenant: whose tasks are looked at; None for all, and then for the state of Redis too.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return await self._reads.get(tenant, lambda: self._read(snapshot, tenant))

    async def _read(self, snapshot: ClusterSnapshot, tenant: str | None) -> list[Problem]:
        view = await self._history.read(FAILURE_SECONDS, FAILURE_SECONDS // 60)
        ended: dict[str, EndedTasks] = {}
        for point in view.points:
            for owner, name in point.series:
                if name and tenant in (None, owner) and name not in ended:
                    ended[name] = view.total_of_type(name, tenant)
        return find_problems(
            ClusterState(
                now=time.time(),
                load=snapshot.load,
                fleet=snapshot.fleet,
                waiting=snapshot.tasks[TaskState.QUEUED],
                oldest_seconds=await self._open_tasks.oldest_waiting_seconds(tenant),
                paused=await paused_types(self._store),
                memory=(0, 0) if tenant is not None else await self._memory(),
                ended=ended,
            )
        )

    async def _memory(self) -> tuple[int, int]:
        """The bytes that Redis uses, and its limit; zeros if it forbids INFO."""
        try:
            return await self._store.memory()
        except StoreUnavailable as error:
            logger.debug("the memory of Redis is unknown: %s", error)
            return 0, 0
