"""The attempts that the scheduler's Dask tasks contain: which still wait for a worker, and which are cancelled. No I/O:
the plugin reports transitions and asks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from cluster.scheduling.attempt_keys import AttemptId, parse_attempt_key

WAITING: Final = ("queued", "no-worker")
"""Dask's states of a task that is not assigned to a worker."""
ASSUMED_SECONDS: Final = 1.0
"""Assumed duration of an attempt whose task type has no measured duration yet; Dask assumes half of that."""
EARLY_CANCELLATION_SECONDS: Final = 15.0
"""How long the cancellation of an unknown attempt is kept, because its dispatch may still be in transit."""


class _Batch:
    """One Dask task of ours.

    Attributes:
        remaining: number of attempts that are not cancelled.
        pinned: it must not be removed from Dask, because a cancelled attempt in it may be running.
        waiting: it is not assigned to a worker.
        counted_as: its pool and its task type.
    """

    __slots__ = ("attempts", "counted_as", "name", "pinned", "remaining", "waiting")

    def __init__(self, name: str, attempts: Sequence[AttemptId], pool: str) -> None:
        self.name = name
        self.counted_as = pool, name
        self.attempts = attempts
        self.remaining = len(attempts)
        self.pinned = False
        self.waiting = False


class Demand:
    """The attempts that a scheduler holds.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._batches: dict[str, _Batch] = {}
        self._keys: dict[AttemptId, str] = {}
        self._cancelled: set[AttemptId] = set()
        self._early_cancellations: dict[AttemptId, tuple[float, bool]] = {}
        self._cancelled_keys: dict[str, None] = {}
        self._waiting_keys: Counter[tuple[str, str]] = Counter()
        self._waiting_attempts: Counter[tuple[str, str]] = Counter()

    def key(self, attempt: AttemptId) -> str | None:
        """The Dask key that contains an attempt; None if it is unknown."""
        return self._keys.get(attempt)

    def batch(self, key: str) -> tuple[str, int] | None:
        """The task type's name of one of our Dask tasks, and the number of attempts in it that are not cancelled; None
        if it is not ours."""
        batch = self._batches.get(key)
        return None if batch is None else (batch.name, batch.remaining)

    def position(self, key: str, attempt: AttemptId) -> int:
        """The number of attempts that come first in the Dask task that contains an attempt."""
        before = takewhile(lambda other: other != attempt, self._batches[key].attempts)
        return sum(other not in self._cancelled for other in before)

    def add(self, key: object, pool: str = "") -> tuple[str, Sequence[AttemptId]] | None:
        """Adds a new Dask task. Returns the task type's name and the attempts in it; None if it is not ours or was
        already added. `pool` is empty without pools."""
        parsed = parse_attempt_key(key)
        if parsed is None or not isinstance(key, str) or not self.add_batch(key, *parsed, pool):
            return None
        return parsed

    def add_batch(self, key: str, name: str, attempts: Sequence[AttemptId], pool: str = "") -> bool:
        """As `add`, for a Dask task of ours. Returns False if it was already added."""
        if key in self._batches:
            return False
        self._batches[key] = batch = _Batch(name, attempts, pool)
        for attempt in attempts:
            self._keys[attempt] = key
            if attempt in self._early_cancellations:
                self._cancel(key, batch, attempt, self._early_cancellations.pop(attempt)[1])
        return True

    def set_state(self, key: Any, state: str) -> None:
        """Records the new state of a Dask task."""
        batch = self._batches.get(key)
        waiting = state in WAITING
        if batch is None or batch.waiting == waiting:
            return
        batch.waiting = waiting
        sign = 1 if waiting else -1
        self._waiting_keys[batch.counted_as] += sign
        self._waiting_attempts[batch.counted_as] += sign * batch.remaining

    def remove(self, key: Any) -> tuple[str, Sequence[AttemptId]] | None:
        """Removes a Dask task that has ended. Returns the task type's name and the attempts in it; None if it is not
        ours or was already removed."""
        batch = self._batches.get(key)
        if batch is None:
            return None
        self.set_state(key, "")
        del self._batches[key]
        self._cancelled_keys.pop(key, None)
        for attempt in batch.attempts:
            # An attempt that its dispatcher released may have been sent again in another Dask task.
            if self._keys.get(attempt) == key:
                del self._keys[attempt]
                self._cancelled.discard(attempt)
        return batch.name, batch.attempts

    def cancel(self, attempts: Iterable[tuple[str, int, bool]]) -> None:
        """Marks attempts as cancelled.

        Args:
            attempts: task id, attempt number, and whether it had started. A started attempt is ended by its worker's
                watchdog, and until then Dask must count its thread as occupied.
        """
        now = self._clock()
        for task_id, number, started in attempts:
            attempt = task_id, number
            if (key := self._keys.get(attempt)) is not None:
                self._cancel(key, self._batches[key], attempt, started)
            else:
                self._early_cancellations[attempt] = now, started

    def _cancel(self, key: str, batch: _Batch, attempt: AttemptId, started: bool) -> None:
        if attempt in self._cancelled:
            return
        self._cancelled.add(attempt)
        batch.remaining -= 1
        batch.pinned = batch.pinned or started
        if batch.waiting:
            self._waiting_attempts[batch.counted_as] -= 1
        if not batch.remaining and not batch.pinned:
            self._cancelled_keys[key] = None

    def cancelled_keys(self) -> list[str]:
        """The keys that can be removed from Dask: all their attempts are cancelled and none had started."""
        now = self._clock()
        self._early_cancellations = {
            attempt: early
            for attempt, early in self._early_cancellations.items()
            if now - early[0] < EARLY_CANCELLATION_SECONDS
        }
        return list(self._cancelled_keys)

    def waiting_seconds(
        self, durations: Mapping[str, float], prefixes: Iterable[tuple[str, float, float]], pool: str = ""
    ) -> float:
        """The work of a pool that is not assigned to a worker, in seconds of one thread, without cancelled attempts.

        Args:
            durations: seconds that one attempt of each task type takes.
            prefixes: for each of Dask's key prefixes, which include parts of graphs: its name, how many of its tasks
                wait in this pool, and how many seconds one of them takes (negative if unknown).
        """
        seconds = sum(
            count * durations.get(name, ASSUMED_SECONDS)
            for (where, name), count in self._waiting_attempts.items()
            if count > 0 and where == pool
        )
        for name, count, average in prefixes:
            seconds += max(0.0, count - self._waiting_keys[pool, name]) * (average if average >= 0 else ASSUMED_SECONDS)
        return seconds
