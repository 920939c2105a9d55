"""Where attempts wait on the scheduler: how many others come first, and how long that takes.

A place is computed for all that waits at once, only when somebody asks, and is kept for a moment: an answer costs the
scheduler a sort of its queue. Beyond MAX_RANKED Dask tasks in the queue those in it have no place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cluster.scheduling import dask_internals
from cluster.scheduling.attempt_keys import AttemptId
from cluster.scheduling.demand import Demand

if TYPE_CHECKING:
    from distributed import Scheduler

MAX_RANKED: Final = 10_000
"""Longest queue that is ranked; sorting it takes some 10 ms."""
KEPT_SECONDS: Final = 0.5
"""How long places are kept."""
COST_FACTOR: Final = 20
"""Places are kept at least so many times as long as it took to compute them."""


class Place(NamedTuple):
    """Where an attempt waits.

    Attributes:
        ahead: number of attempts that have not started and come first; None if unknown.
        seconds: expected time until it starts; None if a task type before it has not been measured yet.
    """

    ahead: int | None = None
    seconds: float | None = None


class Piece(NamedTuple):
    """One Dask task: an attempt, several short ones, or a part of a graph.

    Attributes:
        attempts: number of attempts in it; 0 for a part of a graph.
        seconds: how long it takes a thread; None if unknown.
    """

    key: str
    attempts: int
    seconds: float | None


def rank(workers: Iterable[tuple[int, Sequence[Piece]]], queue: Iterable[Piece]) -> dict[str, Place]:
    """The places of Dask tasks.

    A worker runs the first of its Dask tasks, one on each thread. What runs is expected to be half done: what it has
    left is not known.

    Args:
        workers: the threads of each worker, and the Dask tasks that it was given, in their order.
        queue: the Dask tasks that wait for a worker, in their order.
    """
    places: dict[str, Place] = {}
    all_threads, waiting, work = 0, 0, _Sum()
    for threads, pieces in workers:
        own, before = _Sum(), 0
        for position, piece in enumerate(pieces):
            if position < threads:
                places[piece.key] = Place(0, 0.0) if piece.attempts == 1 else Place()
                own.add(piece.seconds, 0.5)
            else:
                places[piece.key] = Place(before, own.over(threads))
                own.add(piece.seconds)
                before += piece.attempts
        all_threads += threads
        waiting += before
        work.add(own.total)
    for piece in queue:
        places[piece.key] = Place(waiting, work.over(all_threads))
        waiting += piece.attempts
        work.add(piece.seconds)
    return places


class _Sum:
    """A sum that is unknown once a part of it is."""

    def __init__(self) -> None:
        self.total: float | None = 0.0

    def add(self, seconds: float | None, factor: float = 1.0) -> None:
        self.total = None if self.total is None or seconds is None else self.total + seconds * factor

    def over(self, threads: int) -> float | None:
        """The time in which so many threads do it."""
        return None if self.total is None or not threads else self.total / threads


class QueuePlaces:
    """The places of the attempts on one scheduler.

    Args:
        durations: seconds that one attempt of each task type takes, as measured so far.
        clock: monotonic, in seconds.
        group: the pool of a worker or a task with these resources; each has a queue of its own.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        demand: Demand,
        durations: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
        group: Callable[[Mapping[str, Any] | None], str] = lambda _: "",
    ) -> None:
        self._group = group
        self._scheduler = scheduler
        self._demand = demand
        self._durations = durations
        self._clock = clock
        self._places: dict[str, Place] = {}
        self._kept_until = float("-inf")

    def of(self, attempts: Iterable[AttemptId]) -> list[Place]:
        """The place of each attempt; without numbers if it is unknown here, or has started."""
        began = self._clock()
        if began >= self._kept_until:
            self._places = {}
            for workers, queue in dask_internals.ordered_tasks(self._scheduler, MAX_RANKED, self._group).values():
                pieces = [(threads, [self._piece(*task) for task in tasks]) for threads, tasks in workers]
                self._places |= rank(pieces, (self._piece(*task) for task in queue))
            ended = self._clock()
            self._kept_until = ended + max(KEPT_SECONDS, COST_FACTOR * (ended - began))
        return [self._place(attempt) for attempt in attempts]

    def _piece(self, key: str, average: float) -> Piece:
        batch = self._demand.batch(key)
        if batch is None:
            return Piece(key, 0, average if average >= 0 else None)
        name, attempts = batch
        seconds = self._durations.get(name)
        return Piece(key, attempts, None if seconds is None else seconds * attempts)

    def _place(self, attempt: AttemptId) -> Place:
        key = self._demand.key(attempt)
        place = self._places.get(key) if key is not None else None
        if key is None or place is None or place.ahead is None:
            return Place()
        # Those before it in its own Dask task.
        before, duration = self._demand.position(key, attempt), self._durations.get(key.partition("-")[0])
        if not before:
            return place
        seconds = None if place.seconds is None or duration is None else place.seconds + before * duration
        return Place(place.ahead + before, seconds)
