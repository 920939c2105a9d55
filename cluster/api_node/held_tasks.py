"""What the slot claimer knows of held tasks, and its decision which of them may be dispatched. No I/O.

Held tasks with the same list of limits form one queue. A queue waits at one of its limits that is full, and is looked
at again when that limit has room: so a freed slot costs the same however many queues there are.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cluster.store.limit_calls import HeldTask, LimitList

FIRST_QUEUES: Final = 4
"""How many queues are looked at first when a limit has room; four times as many each time if it still has."""
STALE_FACTOR: Final = 4
"""A heap of waiting queues is cleaned when it has this many times as many entries as queues wait."""


def limit_names(limits: LimitList) -> list[str]:
    """The names of the limits in a list, without their numbers."""
    return [limit.partition("=")[0] for limit in limits.split(" ")]


@dataclass(frozen=True, slots=True)
class Queue:
    """The next held tasks with the same limits, in their order. `complete`: there are no others."""

    limits: LimitList
    tasks: Sequence[HeldTask]
    complete: bool


@dataclass(slots=True)
class Allocation:
    """A decision.

    Attributes:
        claims: the tasks to dispatch, with their limits.
        waiting: queues that must wait, with the limit at which they do, and the order of their next task.
        unfinished: queues whose further tasks must be looked at.
        passed_over: limits that have room, but at which a task with a better order waits.
    """

    claims: list[tuple[LimitList, HeldTask]] = field(default_factory=list)
    waiting: list[tuple[LimitList, str, int]] = field(default_factory=list)
    unfinished: list[LimitList] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def allocate(queues: Iterable[Queue], room: Mapping[str, float], waits: Mapping[str, float]) -> Allocation:
    """Gives slots to tasks in their order.

    Args:
        room: free slots of every limit of the queues; infinite if it has no number.
        waits: for each limit, the best order of the other queues that wait at it: no worse one may pass them.
    """
    decided, room = Allocation(), dict(room)
    heads = [(queue.tasks[0].order, queue.limits, 0, queue) for queue in queues if queue.tasks]
    heapq.heapify(heads)
    while heads:
        order, limits, position, queue = heapq.heappop(heads)
        names = limit_names(limits)
        full = next((name for name in names if room[name] < 1), None)
        contended = next((name for name in names if waits.get(name, math.inf) < order), None)
        if full is not None or contended is not None:
            decided.waiting.append((limits, full or contended or "", order))
            if full is None and contended is not None:
                decided.passed_over.append(contended)
            continue
        decided.claims.append((limits, queue.tasks[position]))
        for name in names:
            room[name] -= 1
        if position + 1 < len(queue.tasks):
            heapq.heappush(heads, (queue.tasks[position + 1].order, limits, position + 1, queue))
        elif not queue.complete:
            decided.unfinished.append(limits)
    return decided


class HeldTasks:
    """The queues of held tasks: which must be looked at, and at which limit each of the others waits."""

    def __init__(self) -> None:
        self._to_look_at: dict[LimitList, None] = {}
        self._waits_at: dict[LimitList, tuple[str, int]] = {}
        # By limit, heaps of (order, queue). An entry counts only if `_waits_at` agrees with it.
        self._waiting: dict[str, list[tuple[int, LimitList]]] = {}
        self._with_room: dict[str, int] = {}

    @property
    def limits(self) -> list[str]:
        """The limits at which queues wait."""
        return list(self._waiting)

    def add(self, limits: LimitList) -> None:
        """A queue has a new first task."""
        self._to_look_at[limits] = None

    def on_room(self, limit: str) -> None:
        """A limit may have room."""
        if limit in self._waiting:
            self._with_room.setdefault(limit, FIRST_QUEUES)

    def next_queues(self, count: int) -> list[LimitList]:
        """The queues to look at next, at most `count`: the best ones that wait at a limit with room, and new ones."""
        found: dict[LimitList, None] = {}
        for limit, some in list(self._with_room.items()):
            if len(found) >= count:
                break
            for _ in range(min(some, count - len(found))):
                if self.best_order(limit) == math.inf:
                    break
                _, limits = heapq.heappop(self._waiting[limit])
                del self._waits_at[limits]
                found[limits] = None
            self._with_room[limit] = min(some * 4, 1_000_000)
            if self.best_order(limit) == math.inf:
                del self._with_room[limit]
        for limits in list(self._to_look_at)[: max(0, count - len(found))]:
            self._waits_at.pop(limits, None)
            found[limits] = None
        for limits in found:
            self._to_look_at.pop(limits, None)
        return list(found)

    def best_order(self, limit: str) -> float:
        """The order of the best task that waits at a limit; infinite if none does."""
        heap = self._waiting.get(limit)
        while heap:
            order, limits = heap[0]
            if self._waits_at.get(limits) == (limit, order):
                return order
            heapq.heappop(heap)
        self._waiting.pop(limit, None)
        return math.inf

    def record(self, decided: Allocation, room: Mapping[str, float]) -> None:
        """Takes over a decision that was made with this room."""
        taken: dict[str, int] = {}
        for limits, _ in decided.claims:
            for name in limit_names(limits):
                taken[name] = taken.get(name, 0) + 1
        for limits, limit, order in decided.waiting:
            self._waits_at[limits] = limit, order
            heap = self._waiting.setdefault(limit, [])
            heapq.heappush(heap, (order, limits))
            if len(heap) > STALE_FACTOR * (len(self._waits_at) + FIRST_QUEUES):
                # A queue whose first task changes while its limit stays full leaves an entry each time.
                heap[:] = {entry for entry in heap if self._waits_at.get(entry[1]) == (limit, entry[0])}
                heapq.heapify(heap)
        for limits in decided.unfinished:
            self._to_look_at[limits] = None
        for limit in decided.passed_over:
            self.on_room(limit)
        for limit in list(self._with_room):
            if limit in room and room[limit] - taken.get(limit, 0) < 1:
                del self._with_room[limit]
