"""Checks what an api node depends on: the basis of /readyz.

Readiness is observed, not a flag that could become stale. Each check writes to Redis through a script, as every
submission does, and reads the age of the scheduler plugin's heartbeat and of the last round of recovery. Background
loops report their own failures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cluster.api_node.result_delivery import ResultDelivery
from cluster.errors import StoreUnavailable
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.store.async_store import Store
from cluster.store.script_calls import EPOCH_TTL_SECONDS
from cluster.system.background import BackgroundLoop

CACHE_SECONDS: Final = 1.0
"""How long a check is cached: anyone can send probes, and each check writes."""
RECOVERY_LIMIT_SECONDS: Final = 30.0
"""A round of recovery completes every second. If none did for this long, lost attempts are not recovered."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One dependency that does not work.

    Attributes:
        part: `redis`, `listening`, `scheduler`, `recovery`, or `loop: <name>`.
        needed: whether the node cannot serve without it.
        since: when it was first observed, seconds since 1970.
        reason: for people.
    """

    part: str
    needed: bool
    since: float
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one check.

    Attributes:
        redis: whether Redis accepted a write from this node.
        scheduler: whether this node is connected to a scheduler whose plugin writes its heartbeat.
        heartbeat_age_seconds: age of that heartbeat; None if there is none.
        recovery_age_seconds: time since any node completed a round of recovery; None if unknown.
        problems: everything that does not work.
    """

    redis: bool
    scheduler: bool
    heartbeat_age_seconds: float | None
    recovery_age_seconds: float | None
    problems: tuple[Problem, ...]

    @property
    def ready(self) -> bool:
        """Whether the node can accept tasks and deliver results, which needs neither a scheduler nor recovery."""
        return not any(item.needed for item in self.problems)


class Readiness:
    """Checks the dependencies of one api node.

    Args:
        node: this node's id.
        loops: returns the background loops of the node at the time of a check.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        scheduler: SchedulerClient,
        deliveries: ResultDelivery,
        loops: Callable[[], Iterable[BackgroundLoop]],
    ) -> None:
        self._store = store
        self._node = node
        self._scheduler = scheduler
        self._deliveries = deliveries
        self._loops = loops
        self._created_at = time.time()
        self._since: dict[str, float] = {}
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._report: Report | None = None

    async def check(self) -> Report:
        """Returns a report that is at most CACHE_SECONDS old."""
        async with self._lock:
            if self._report is None or time.monotonic() - self._checked_at > CACHE_SECONDS:
                self._report = await self._check()
                self._checked_at = time.monotonic()
            return self._report

    async def _check(self) -> Report:
        calls, problems = self._store.calls, list[Problem]()
        heartbeat = recovery = None
        refusal = ""
        try:
            now = await self._store.run(calls.probe(self._node))
            heartbeat_left, recovered_at = await self._store.commands(
                [("PTTL", calls.scheduler_key), ("GET", calls.recovered_key)]
            )
            heartbeat = None if heartbeat_left < 0 else EPOCH_TTL_SECONDS - heartbeat_left / 1000
            recovery = None if recovered_at is None else max(0.0, (now - int(recovered_at.split()[0])) / 1000)
        except StoreUnavailable as error:
            refusal = str(error)
        connected = self._scheduler.connected
        if refusal:
            problems.append(self._problem("redis", True, refusal, self._store.unavailable_since))
        if not self._deliveries.listening.is_set():
            problems.append(
                self._problem(
                    "listening",
                    True,
                    "the pub/sub connection of this node is lost",
                    self._deliveries.disconnected_since,
                )
            )
        if not connected:
            problems.append(
                self._problem("scheduler", False, "no connection to the scheduler", self._scheduler.disconnected_since)
            )
        elif not refusal and heartbeat is None:
            problems.append(self._problem("scheduler", False, "the scheduler writes no heartbeat", None))
        if not refusal and self._recovery_is_late(recovery):
            problems.append(self._problem("recovery", False, "no node completes a round of recovery", None))
        for loop in self._loops():
            if (since := loop.health.failing_since) is not None:
                reason = loop.health.last_error or "it keeps failing"
                problems.append(self._problem(f"loop: {loop.health.name}", loop.needed, reason, since))
        self._since = {item.part: item.since for item in problems}
        scheduler = not any(item.part == "scheduler" for item in problems)
        return Report(not refusal, scheduler, heartbeat, recovery, tuple(problems))

    def _recovery_is_late(self, age: float | None) -> bool:
        # A new system has not completed its first round yet.
        return time.time() - self._created_at > RECOVERY_LIMIT_SECONDS if age is None else age > RECOVERY_LIMIT_SECONDS

    def _problem(self, part: str, needed: bool, reason: str, since: float | None) -> Problem:
        return Problem(part, needed, since or self._since.get(part) or time.time(), reason)
