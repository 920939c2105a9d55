"""Deferred starts: short attempts of one Dask task run after a single look at all of them, and Redis learns with the
end of each that it had begun. This spares it a script for each, and the worker a round trip.

An attempt is never without a record of having begun for long: its own thread records that before it does anything that
Redis allows to running attempts only, the heartbeat thread with the first report, and the nanny after a tenth of a
second, or when the process dies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from cluster.scheduling.entry_point import AttemptInput
from cluster.store.lua_scripts import Call
from cluster.store.replies import StartReply
from cluster.store.thread_store import ThreadStore
from cluster.task_types.task_type import TaskType
from cluster.worker.task_context import RunningAttempt

SHORT_SECONDS: Final = 0.01
"""Starts are deferred of task types that take no longer on average."""
MIN_TIMEOUT_SECONDS: Final = 1.0
"""And of those that may take this long at least: a time limit is kept by the nanny, four times a second."""
NEWEST_SHARE: Final = 0.2
"""The weight of the newest attempt in the average."""
MAX_AGE_SECONDS: Final = 0.1
"""How old the look at an attempt may be when it begins: it may have been cancelled since. Then the rest is looked at
again."""


class RunTimes:
    """How long attempts of each task type take in this process: an average in which the newest count most."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Adds how long an attempt took."""
        average = self._seconds.get(name, seconds)
        self._seconds[name] = average + NEWEST_SHARE * (seconds - average)

    def is_short(self, task_type: TaskType) -> bool:
        """Whether the starts of its attempts may be deferred."""
        has_time = task_type.timeout_seconds is None or task_type.timeout_seconds >= MIN_TIMEOUT_SECONDS
        is_plain = task_type.items is None and not task_type.output.declared.holds_data
        return has_time and is_plain and self._seconds.get(task_type.name, SHORT_SECONDS) < SHORT_SECONDS


class StartsRead:
    """Looks at several attempts that run one after the other: at all of them first, and again at the rest when the last
    look is too old."""

    def __init__(self, store: ThreadStore, attempts: Sequence[AttemptInput]) -> None:
        self._store = store
        self._attempts = attempts
        self._replies: dict[tuple[str, int], StartReply | None] = {}
        self._read_at = float("-inf")

    def find(self, position: int) -> StartReply | None:
        """The reply for an attempt that may begin now; None if `start` must decide. Raises StoreUnavailable."""
        if time.monotonic() - self._read_at > MAX_AGE_SECONDS:
            self._look(self._attempts[position:])
        reply = self._replies[self._attempts[position][:2]]
        if reply is None or reply.waited_seconds is None:
            return reply
        return replace(reply, waited_seconds=reply.waited_seconds + time.monotonic() - self._read_at)

    def _look(self, attempts: Sequence[AttemptInput]) -> None:
        by_shard: dict[str, list[tuple[str, int]]] = {}
        for task_id, number, _ in attempts:
            by_shard.setdefault(task_id[0], []).append((task_id, number))
        self._read_at = time.monotonic()
        found = self._store.run_many([self._store.calls.read_starts(some) for some in by_shard.values()])
        for some, replies in zip(by_shard.values(), found, strict=True):
            self._replies.update(zip(some, replies, strict=True))


def record_start(attempt: RunningAttempt, run: Callable[[Call[StartReply]], StartReply]) -> None:
    """Records that an attempt has begun, if its start was deferred; it is told to stop if it must not run any more.

    Args:
        run: runs one script.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    make = attempt.deferred_start
    if make is None:
        return
    if run(make()).verdict != "RUN":
        attempt.stop.set()
    attempt.deferred_start = None
