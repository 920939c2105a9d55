"""Speculative watches: a submission also registers a watch for its node, because most clients that submit a task then
ask the same node for its result. That subscription needs no `watch` call of its own.

Only an optimisation: a task without a speculative watch is watched explicitly. While few of them are used (clients that
never ask, or ask other nodes), none are registered except for an occasional probe.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from cluster.store.record import Run

MAX_AGE_SECONDS: Final = 10.0
"""How long a speculative watch can be used. Far below WATCH_TTL_SECONDS, so that a topic that begins with one is
renewed in time."""
MAX_WATCHES: Final = 20_000
"""Maximum number of speculative watches; beyond it the oldest are dropped."""
LATEST_WEIGHT: Final = 1 / 32
"""Weight of the latest watch in the moving average of the hit rate."""
MIN_HIT_RATE: Final = 0.4
"""Hit rate above which speculative watches pay off: a saved `watch` call is worth about two useless notifications."""
PROBE_INTERVAL: Final = 16
"""Below MIN_HIT_RATE, one of this many submissions registers a watch nevertheless."""


class SpeculativeWatches:
    """The watches of one node that no subscriber has used yet.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watches: dict[str, tuple[Run, float]] = {}
        self._pending: Counter[str] = Counter()
        self._invalidated: set[str] = set()
        self._hit_rate = 1.0
        self._submissions = 0

    def __len__(self) -> int:
        return len(self._watches)

    def prepare(self, task_ids: Sequence[str]) -> bool:
        """Returns whether the submissions that are about to be sent should register a watch. If so, `commit` must be
        called for each of them."""
        self._submissions += 1
        pays_off = self._hit_rate >= MIN_HIT_RATE or self._submissions % PROBE_INTERVAL == 0
        if pays_off:
            self._pending.update(task_ids)
        return pays_off

    def commit(self, task_id: str, run: Run | None) -> None:
        """Handles the reply to a submission. A watch that was invalidated before the reply arrived is not kept.

        Args:
            run: the run in flight that is now watched; None if no watch was registered, or that is unknown.
        """
        valid = task_id not in self._invalidated
        self._pending[task_id] -= 1
        if not self._pending[task_id]:
            del self._pending[task_id]
            self._invalidated.discard(task_id)
        if run is not None and valid:
            self._add(task_id, run)

    def _add(self, task_id: str, run: Run) -> None:
        now = self._clock()
        self._watches.pop(task_id, None)
        self._watches[task_id] = (run, now)
        while self._watches:
            oldest = next(iter(self._watches))
            if len(self._watches) <= MAX_WATCHES and now - self._watches[oldest][1] <= MAX_AGE_SECONDS:
                break
            self._drop(oldest)

    def take(self, task_id: str) -> Run | None:
        """Removes the watch of a task for a new subscriber. Returns the watched run, or None if there is no watch."""
        watch = self._watches.pop(task_id, None)
        if watch is None:
            return None
        hit = self._clock() - watch[1] <= MAX_AGE_SECONDS
        self._update_hit_rate(hit)
        return watch[0] if hit else None

    def invalidate(self, task_id: str) -> None:
        """Redis no longer has this node's watch of the task: the task has ended, or was unwatched."""
        if task_id in self._pending:
            self._invalidated.add(task_id)
        self._drop(task_id)

    def invalidate_all(self) -> None:
        """The pub/sub connection was lost, so notifications may have been missed."""
        self._invalidated.update(self._pending)
        self._watches.clear()

    def _drop(self, task_id: str) -> None:
        if self._watches.pop(task_id, None) is not None:
            self._update_hit_rate(False)

    def _update_hit_rate(self, hit: bool) -> None:
        self._hit_rate += LATEST_WEIGHT * (hit - self._hit_rate)
