"""Reads what `find_problems` decides from, for all callers of an api node at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Container
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
from cluster.store.schedules import TroubledSchedule, troubled_schedules

logger = logging.getLogger(__name__)

MAX_AGE_SECONDS: Final = 2.0
"""How long what was read is used."""
SCHEDULES_SECONDS: Final = 10.0
"""How long what was read of all schedules is used."""
MAX_TROUBLED: Final = 100
"""Schedules with a problem that are read, of all tenants."""


class ProblemReader:
    """The problems, as one api node knows them.

    Args:
        known: the names of the task types that the node serves.
    """

    def __init__(self, store: Store, history: HistoryReader, open_tasks: OpenTasks, known: Container[str]) -> None:
        self._store = store
        self._known = known
        self._history = history
        self._open_tasks = open_tasks
        self._reads: SharedReads[str | None, list[Problem]] = SharedReads(MAX_AGE_SECONDS, MAX_TENANTS)
        self._troubled: SharedReads[None, list[TroubledSchedule]] = SharedReads(SCHEDULES_SECONDS, 1)

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
        troubled = await self._troubled.get(None, lambda: troubled_schedules(self._store, self._known, MAX_TROUBLED))
        return find_problems(
            ClusterState(
                now=time.time(),
                load=snapshot.load,
                fleet=snapshot.fleet,
                schedulers=snapshot.schedulers,
                waiting=snapshot.tasks[TaskState.QUEUED],
                oldest_seconds=await self._open_tasks.oldest_waiting_seconds(tenant),
                paused=await paused_types(self._store),
                memory=(0, 0) if tenant is not None else await self._memory(),
                ended=ended,
                schedules=[schedule for schedule in troubled if tenant in (None, schedule.tenant)],
            )
        )

    async def _memory(self) -> tuple[int, int]:
        """The bytes that Redis uses, and its limit; zeros if it forbids INFO."""
        try:
            return await self._store.memory()
        except StoreUnavailable as error:
            logger.debug("the memory of Redis is unknown: %s", error)
            return 0, 0
