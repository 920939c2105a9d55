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
from cluster.api_node.schedulers import Schedulers
from cluster.errors import StoreUnavailable
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
        part: `redis`, `listening`, `scheduler`, `recovery`, or `loop: <name>`; of several schedulers with
            their numbers, as `scheduler 1` and `recovery 1`.
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
        scheduler: whether this node is connected to each scheduler, and its plugin writes its heartbeat.
        heartbeat_age_seconds: age of the oldest of these heartbeats; None if one is missing.
        recovery_age_seconds: time since any node completed a round of recovery, of the scheduler for which that is
            longest; None if it is unknown for one.
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
        schedulers: Schedulers,
        deliveries: ResultDelivery,
        loops: Callable[[], Iterable[BackgroundLoop]],
    ) -> None:
        self._store = store
        self._node = node
        self._schedulers = schedulers
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
        heartbeats: list[float | None] = [None] * len(self._schedulers)
        recoveries: list[float | None] = [None] * len(self._schedulers)
        refusal = ""
        try:
            now = await self._store.run(calls.probe(self._node))
            keys = self._schedulers.keys
            found = await self._store.commands(
                [("PTTL", each.scheduler_key) for each in keys] + [("GET", each.recovered_key) for each in keys]
            )
            left, recovered_at = found[: len(keys)], found[len(keys) :]
            heartbeats = [None if each < 0 else EPOCH_TTL_SECONDS - each / 1000 for each in left]
            recoveries = [
                None if each is None else max(0.0, (now - int(each.split()[0])) / 1000) for each in recovered_at
            ]
        except StoreUnavailable as error:
            refusal = str(error)
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
        for number, client in enumerate(self._schedulers):
            part, name = self._names("scheduler", "the scheduler", number)
            if not client.connected:
                problems.append(self._problem(part, False, f"no connection to {name}", client.disconnected_since))
            elif not refusal and heartbeats[number] is None:
                problems.append(self._problem(part, False, f"{name} writes no heartbeat", None))
        scheduler = not any(item.part.startswith("scheduler") for item in problems)
        for number, recovery in enumerate(recoveries):
            if not refusal and self._recovery_is_late(recovery):
                part, name = self._names("recovery", "recovery", number)
                problems.append(self._problem(part, False, f"no node completes a round of {name}", None))
        for loop in self._loops():
            if (since := loop.health.failing_since) is not None:
                reason = loop.health.last_error or "it keeps failing"
                problems.append(self._problem(f"loop: {loop.health.name}", loop.needed, reason, since))
        self._since = {item.part: item.since for item in problems}
        return Report(not refusal, scheduler, _oldest(heartbeats), _oldest(recoveries), tuple(problems))

    def _names(self, part: str, name: str, number: int) -> tuple[str, str]:
        """What belongs to a scheduler, as `Problem.part` and in a reason: with its number, if there are several."""
        return (part, name) if len(self._schedulers) == 1 else (f"{part} {number}", f"{part} {number}")

    def _recovery_is_late(self, age: float | None) -> bool:
        # A new system has not completed its first round yet.
        return time.time() - self._created_at > RECOVERY_LIMIT_SECONDS if age is None else age > RECOVERY_LIMIT_SECONDS

    def _problem(self, part: str, needed: bool, reason: str, since: float | None) -> Problem:
        return Problem(part, needed, since or self._since.get(part) or time.time(), reason)


def _oldest(ages: list[float | None]) -> float | None:
    """The highest age; None if one is unknown."""
    known = [age for age in ages if age is not None]
    return max(known) if len(known) == len(ages) else None
