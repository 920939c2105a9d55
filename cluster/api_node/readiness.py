"""What an api node has seen of the things that it needs: the basis of /readyz.

Nothing here is a flag that somebody forgot to take back. Each look writes to Redis, by a script as every submission
does, and reads how long ago the scheduler's plugin and the recovering node were heard of; the loops tell how their
rounds went.
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
"""How long one look is used: probes come from anybody, and each look is a write."""
RECOVERY_LIMIT_SECONDS: Final = 30.0
"""A round of recovery completes every second; where none did for so long, lost attempts wait for ever."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not work.

    Attributes:
        part: `redis`, `listening`, `scheduler`, `recovery`, or `loop: <name>`.
        needed: whether the node cannot serve without it.
        since: seconds since 1970; when it was first seen missing.
        reason: for people.
    """

    part: str
    needed: bool
    since: float
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one look saw.

    Attributes:
        redis: whether Redis took a write of this node.
        scheduler: whether this node is connected to a scheduler whose plugin writes its heartbeat.
        heartbeat_age_seconds: of that heartbeat; None where there is none.
        recovery_age_seconds: since any node last completed a round of recovery; None where that is not known.
        missing: everything that does not work.
    """

    redis: bool
    scheduler: bool
    heartbeat_age_seconds: float | None
    recovery_age_seconds: float | None
    problems: tuple[Problem, ...]

    @property
    def ready(self) -> bool:
        """Whether the node can accept and deliver. It accepts without a scheduler and without recovery."""
        return not any(item.needed for item in self.problems)


class Readiness:
    """Looks at what one api node needs.

    Args:
        node: this node's id.
        loops: the background loops of the node, by the time of a look.
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
        self._began = time.time()
        self._since: dict[str, float] = {}
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._report: Report | None = None

    async def check(self) -> Report:
        """What is there now, or was less than CACHE_SECONDS ago."""
        async with self._looking:
            if self._report is None or time.monotonic() - self._looked_at > CACHE_SECONDS:
                self._report = await self._check()
                self._looked_at = time.monotonic()
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
                    "listening", True, "the channel of this node is lost", self._deliveries.disconnected_since
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
        # Before the first round of a new system there is nothing to see yet.
        return time.time() - self._began > RECOVERY_LIMIT_SECONDS if age is None else age > RECOVERY_LIMIT_SECONDS

    def _problem(self, part: str, needed: bool, reason: str, since: float | None) -> Problem:
        return Problem(part, needed, since or self._since.get(part) or time.time(), reason)
