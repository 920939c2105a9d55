"""Reads why tasks wait: from Redis, from the scheduler, and from the fleet's state.

Each scheduler is asked once for all its tasks that callers ask about within GATHER_SECONDS.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from typing import Any, Final, TypeAlias

import orjson

from cluster.api_node.limits import Limits
from cluster.api_node.paused_types import PausedTypes
from cluster.api_node.schedulers import Schedulers
from cluster.api_node.waiting import HeldQueue, Waiting, Workers, explain
from cluster.scheduling.attempt_keys import AttemptId
from cluster.scheduling.queue_places import Place
from cluster.scheduling.scheduler_client import SchedulerUnavailable
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.limit_calls import LimitList
from cluster.store.record import Record, TaskState

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.005
"""How long a question waits for others, so that the scheduler is asked at most 200 times a second."""

SILENT_SECONDS: Final = 5.0
"""After a question that the scheduler has not answered in time, how long it is taken to be away without another one."""

Asked: TypeAlias = tuple[AttemptId, "asyncio.Future[Workers | None]"]


class WaitReader:
    """Tells why tasks wait, as one node knows it."""

    def __init__(self, store: Store, schedulers: Schedulers, limits: Limits, paused: PausedTypes) -> None:
        self._store = store
        self._schedulers = schedulers
        self._limits = limits
        self._paused = paused
        # By the number of the scheduler.
        self._silent_until: dict[int, float] = defaultdict(float)
        self._asked: dict[int, list[Asked]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def read(self, record: Record) -> Waiting | None:
        """Why a task waits; None if it is not QUEUED, or has just started.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        if record.state is not TaskState.QUEUED:
            return None
        wait = await self._store.run(self._store.calls.read_wait(record.task_id))
        if wait is None:
            return None
        paused = record.name in self._paused.names
        held, scheduler = None, self._schedulers.client_of(record.task_id)
        if wait.order is not None and not paused:
            held = HeldQueue(await self._count_before(wait.limits, wait.order), self._slots(wait.limits))
        waits_for_workers = held is None and (wait.dispatched or wait.due_at is None or wait.due_at <= wait.now)
        if waits_for_workers and not paused:
            workers = await self._ask((record.task_id, wait.attempt))
        else:
            workers = Workers(0) if scheduler.connected else None
        return explain(
            wait,
            not_before=record.not_before,
            paused=paused,
            workers=workers,
            held=held,
            duration=scheduler.load.durations.get(record.name),
        )

    async def _count_before(self, limits: LimitList, order: int) -> int:
        """How many held tasks with these limits come before this place."""
        calls = self._store.calls
        counts = await self._store.commands(
            [("ZCOUNT", calls.held_list_key(digit, limits), "-inf", f"({order}") for digit in SHARDS]
        )
        return sum(counts)

    def _slots(self, limits: LimitList) -> float:
        """The slots of the narrowest limit."""
        return min(self._limits.slots(limit) for limit in limits.split(" "))

    async def _ask(self, attempt: AttemptId) -> Workers | None:
        """The workers of an attempt's scheduler, with its place there; None without that scheduler."""
        number = self._schedulers.number_of(attempt[0])
        if number not in self._schedulers.connected or time.monotonic() < self._silent_until[number]:
            return None
        answer: asyncio.Future[Workers | None] = asyncio.get_running_loop().create_future()
        asked = self._asked.setdefault(number, [])
        asked.append((attempt, answer))
        if len(asked) == 1:
            asking = asyncio.create_task(self._answer(number))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
        return await answer

    async def _answer(self, number: int) -> None:
        """Answers all that was asked of a scheduler meanwhile."""
        await asyncio.sleep(GATHER_SECONDS)
        asked = self._asked.pop(number)
        try:
            workers = await self._workers(number, [attempt for attempt, _ in asked])
        except Exception as error:  # noqa: BLE001 - each of those who wait gets it
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), place in zip(asked, workers, strict=True):
            if not answer.done():
                answer.set_result(place)

    async def _workers(self, number: int, attempts: list[AttemptId]) -> list[Workers | None]:
        try:
            load = await self._schedulers.clients[number].call("dask_graphql_load", attempts=attempts)
        except SchedulerUnavailable as error:
            logger.debug("the scheduler does not tell where tasks wait: %s", error)
            self._silent_until[number] = time.monotonic() + SILENT_SECONDS
            return [None] * len(attempts)
        # A scheduler of an earlier release tells no places.
        places = [Place(*place) for place in load.get("places", ())] or [Place()] * len(attempts)
        threads = load.get("running_threads", sum(worker["threads"] for worker in load["workers"]))
        launching, launch_seconds = (0, None) if threads else await self._launching(number, load)
        return [Workers(threads, launching, launch_seconds, place) for place in places]

    async def _launching(self, number: int, load: dict[str, Any]) -> tuple[int, float | None]:
        """How many workers are being launched, as the controller or their nannies say, and how long a launch takes."""
        stored = await self._store.command("GET", self._schedulers.keys[number].fleet_key)
        fleet = orjson.loads(stored) if stored else {}
        starting = sum(not worker["error"] for worker in load.get("starting", ()))
        return max(starting, fleet.get("launching", 0)), fleet.get("launch_seconds")
