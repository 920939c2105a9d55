"""Notes made ahead: with a submission the store notes this node as one that waits, as who submits mostly asks for the
result next, at the same node. Then that subscription needs no `watch` of its own.

A hint like any other: what is not noted is watched. Nothing is noted ahead while few of the notes are used (clients
that never ask, or ask at other nodes), but for a probe now and then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from cluster.store.record import Run

KEPT_SECONDS: Final = 10.0
"""How long a note waits for its subscription. Far below WATCH_TTL_SECONDS, so that a topic that begins with one is
renewed in time."""
MOST: Final = 20_000
"""Most notes at once; the oldest go first."""
NEWS: Final = 1 / 32
"""What the latest note weighs in the share of those that were used."""
WORTH: Final = 0.4
"""Share of used notes from which on they pay: a spared `watch` costs about twice what a useless notice does."""
PROBE: Final = 16
"""Of so many submissions one is noted all the same."""


class SpeculativeWatches:
    """The notes of one node that nobody has asked for yet.

    Args:
        clock: seconds, of any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._notes: dict[str, tuple[Run, float]] = {}
        self._under_way: Counter[str] = Counter()
        self._spoiled: set[str] = set()
        self._used = 1.0
        self._asked = 0

    def __len__(self) -> int:
        return len(self._notes)

    def begin(self, task_ids: Sequence[str]) -> bool:
        """Submissions go to the store: whether it shall note this node with them. If so, `end` follows for each."""
        self._asked += 1
        pays = self._used >= WORTH or self._asked % PROBE == 0
        if pays:
            self._under_way.update(task_ids)
        return pays

    def end(self, task_id: str, run: Run | None) -> None:
        """A submission is answered: the store noted this node for a run that has not ended; None: it did not, or that
        is not known. Nothing is kept where something that undid the note was heard before the answer."""
        good = task_id not in self._spoiled
        self._under_way[task_id] -= 1
        if not self._under_way[task_id]:
            del self._under_way[task_id]
            self._spoiled.discard(task_id)
        if run is not None and good:
            self._add(task_id, run)

    def _add(self, task_id: str, run: Run) -> None:
        now = self._clock()
        self._notes.pop(task_id, None)
        self._notes[task_id] = (run, now)
        while self._notes:
            oldest = next(iter(self._notes))
            if len(self._notes) <= MOST and now - self._notes[oldest][1] <= KEPT_SECONDS:
                break
            self._forget(oldest)

    def take(self, task_id: str) -> Run | None:
        """The run that is noted for somebody who asks now; None where there is none."""
        note = self._notes.pop(task_id, None)
        if note is None:
            return None
        used = self._clock() - note[1] <= KEPT_SECONDS
        self._count(used)
        return note[0] if used else None

    def undone(self, task_id: str) -> None:
        """The store has no note of this node for a task any more: the task has ended, or somebody left it."""
        if task_id in self._under_way:
            self._spoiled.add(task_id)
        self._forget(task_id)

    def clear(self) -> None:
        """The channel is lost: an end may not have been heard."""
        self._spoiled.update(self._under_way)
        self._notes.clear()

    def _forget(self, task_id: str) -> None:
        if self._notes.pop(task_id, None) is not None:
            self._count(False)

    def _count(self, used: bool) -> None:
        self._used += NEWS * (used - self._used)
