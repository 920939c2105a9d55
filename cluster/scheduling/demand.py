"""What the scheduler's Dask tasks hold of ours: which attempts, which of them still wait for a worker, and which are
wanted by nobody any more. Pure, so that the plugin only reports transitions and asks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from cluster.scheduling.attempt_keys import AttemptId, parse_attempt_key

WAITING: Final = ("queued", "no-worker")
"""Dask's states of a task that no worker has."""
ASSUMED_SECONDS: Final = 1.0
"""What is assumed of an attempt whose like never ended; Dask assumes half of it."""
AHEAD_SECONDS: Final = 15.0
"""How long the cancellation of an attempt that is not here is kept: its dispatch may be on its way."""


class _Pack:
    """One Dask task of ours. `kept`: some member of it may not be taken out of Dask, as it runs or may run."""

    __slots__ = ("kept", "members", "name", "waiting", "wanted")

    def __init__(self, name: str, members: Sequence[AttemptId]) -> None:
        self.name = name
        self.members = members
        self.wanted = len(members)
        self.kept = False
        self.waiting = False


class Demand:
    """The attempts that a scheduler holds.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._packs: dict[str, _Pack] = {}
        self._keys: dict[AttemptId, str] = {}
        self._cancelled: set[AttemptId] = set()
        self._ahead: dict[AttemptId, tuple[float, bool]] = {}
        self._unwanted: dict[str, None] = {}
        self._waiting_keys: Counter[str] = Counter()
        self._waiting_attempts: Counter[str] = Counter()

    def key(self, member: AttemptId) -> str | None:
        """The Dask key that holds an attempt."""
        return self._keys.get(member)

    def add(self, key: object) -> bool:
        """A Dask task is new. Returns whether it is one of ours."""
        parsed = parse_attempt_key(key)
        if parsed is None or not isinstance(key, str):
            return False
        if key in self._packs:
            return True
        self._packs[key] = pack = _Pack(*parsed)
        for member in pack.members:
            self._keys[member] = key
            if member in self._ahead:
                self._cancel(key, pack, member, self._ahead.pop(member)[1])
        return True

    def move(self, key: Any, state: str) -> None:
        """A Dask task is in another state."""
        pack = self._packs.get(key)
        waiting = state in WAITING
        if pack is None or pack.waiting == waiting:
            return
        pack.waiting = waiting
        sign = 1 if waiting else -1
        self._waiting_keys[pack.name] += sign
        self._waiting_attempts[pack.name] += sign * pack.wanted

    def remove(self, key: Any) -> tuple[str, Sequence[AttemptId]] | None:
        """A Dask task has ended. Returns the task type's name and the attempts in it; None where it is not ours, or is
        known to have ended."""
        pack = self._packs.get(key)
        if pack is None:
            return None
        self.move(key, "")
        del self._packs[key]
        self._unwanted.pop(key, None)
        for member in pack.members:
            # Released by its dispatcher, an attempt may have been sent again, in another Dask task.
            if self._keys.get(member) == key:
                del self._keys[member]
                self._cancelled.discard(member)
        return pack.name, pack.members

    def cancel(self, attempts: Iterable[tuple[str, int, bool]]) -> None:
        """Attempts are wanted by nobody any more.

        Args:
            attempts: task id, number, and whether it had begun: then its worker's watchdog ends it, and Dask must go on
                counting its thread as taken.
        """
        now = self._clock()
        for task_id, attempt, begun in attempts:
            member = task_id, attempt
            if (key := self._keys.get(member)) is not None:
                self._cancel(key, self._packs[key], member, begun)
            else:
                self._ahead[member] = now, begun

    def _cancel(self, key: str, pack: _Pack, member: AttemptId, begun: bool) -> None:
        if member in self._cancelled:
            return
        self._cancelled.add(member)
        pack.wanted -= 1
        pack.kept = pack.kept or begun
        if pack.waiting:
            self._waiting_attempts[pack.name] -= 1
        if not pack.wanted and not pack.kept:
            self._unwanted[key] = None

    def unwanted(self) -> list[str]:
        """The keys that can be taken out of Dask, as all their attempts are cancelled and none had begun."""
        now = self._clock()
        self._ahead = {member: kept for member, kept in self._ahead.items() if now - kept[0] < AHEAD_SECONDS}
        return list(self._unwanted)

    def waiting_seconds(self, durations: Mapping[str, float], others: Iterable[tuple[str, float, float]]) -> float:
        """The work that no worker has yet, in seconds of one thread, without what was cancelled.

        Args:
            durations: seconds that one attempt of a task type takes.
            others: of each of Dask's prefixes its name, how many of its tasks wait, and how long one of them takes
                (negative: unknown); parts of graphs are among them.
        """
        seconds = sum(
            count * durations.get(name, ASSUMED_SECONDS) for name, count in self._waiting_attempts.items() if count > 0
        )
        for name, count, mean in others:
            seconds += max(0.0, count - self._waiting_keys[name]) * (mean if mean >= 0 else ASSUMED_SECONDS)
        return seconds
