"""The fleet and the scheduler of one run, in virtual time: Fargate's launch times and bills, Dask's assignment."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

MINIMUM_BILLING_SECONDS: Final = 60.0
LAUNCH_SECONDS: Final = (20.0, 60.0)
UNKNOWN_SECONDS: Final = 0.5
"""Dask's assumption about the duration of a task type that has not run yet."""
SPOT_LIFE_SECONDS: Final = 3_600.0
"""Mean time until a Spot worker is reclaimed, in the traces with Spot."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task: when it is submitted, its type, and how long it runs, in seconds."""

    at: float
    kind: str
    seconds: float


@dataclass(slots=True)
class Worker:
    """One worker of one thread. It is billed from `started` on."""

    number: int
    started: float
    ready: float
    task: Task | None = None
    task_started: float = 0.0
    leaving: bool = False
    reclaimed_at: float = math.inf

    @property
    def name(self) -> str:
        """Its name in the fleet."""
        return f"w{self.number}"


@dataclass
class World:
    """The fleet and the scheduler of one run."""

    seed: int
    spot: bool = False
    now: float = 0.0
    workers: dict[str, Worker] = field(default_factory=dict)
    queue: deque[Task] = field(default_factory=deque)
    waiting: Counter[str] = field(default_factory=Counter)
    durations: dict[str, float] = field(default_factory=dict)
    billed: float = 0.0
    started: int = 0
    waits: list[float] = field(default_factory=list)
    launch_billed: float = 0.0
    """Of the bill, the time until workers were ready, in seconds."""
    _ends: list[tuple[float, str]] = field(default_factory=list)
    _launching: list[tuple[float, int, Worker]] = field(default_factory=list)
    _free: list[tuple[int, Worker]] = field(default_factory=list)
    """Workers that are ready and had no task when they were added, oldest first."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def start(self, count: int) -> None:
        """Starts workers."""
        for _ in range(count):
            self.started += 1
            life = self._random.expovariate(1 / SPOT_LIFE_SECONDS) if self.spot else math.inf
            ready = self.now + self._random.uniform(*LAUNCH_SECONDS)
            worker = Worker(self.started, self.now, ready, reclaimed_at=self.now + life)
            self.workers[worker.name] = worker
            heapq.heappush(self._launching, (ready, worker.number, worker))

    def stop(self, names: Iterable[str]) -> None:
        """Stops workers; those that have a task, once it has ended."""
        for name in names:
            worker = self.workers[name]
            worker.leaving = True
            if worker.task is None:
                self._remove(worker)

    def _remove(self, worker: Worker) -> None:
        worker.leaving = True
        self.billed += max(MINIMUM_BILLING_SECONDS, self.now - worker.started)
        self.launch_billed += min(worker.ready, self.now) - worker.started
        del self.workers[worker.name]

    def add(self, task: Task) -> None:
        """Submits a task."""
        self.queue.append(task)
        self.waiting[task.kind] += 1

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a worker nor a task."""
        return not self.workers and not self.queue

    def step(self) -> None:
        """Advances to `now`: ends tasks, reclaims Spot workers, and gives waiting tasks to free workers."""
        while self._ends and self._ends[0][0] <= self.now:
            at, name = heapq.heappop(self._ends)
            worker = self.workers.get(name)
            if worker is None or worker.task is None or worker.task_started + worker.task.seconds != at:
                continue
            task, worker.task = worker.task, None
            mean = self.durations.get(task.kind, task.seconds)
            self.durations[task.kind] = 0.5 * mean + 0.5 * task.seconds
            if worker.leaving:
                self._remove(worker)
            elif self.queue:
                # It continues at once, not in the next step.
                self._give(worker, max(at, self.queue[0].at))
            else:
                heapq.heappush(self._free, (worker.number, worker))
        if self.spot:
            self._reclaim()
        while self._launching and self._launching[0][0] <= self.now:
            _, number, worker = heapq.heappop(self._launching)
            heapq.heappush(self._free, (number, worker))
        while self.queue and self._free:
            worker = heapq.heappop(self._free)[1]
            if worker.task is None and not worker.leaving:
                self._give(worker, max(worker.ready, self.queue[0].at))

    def _reclaim(self) -> None:
        for worker in [worker for worker in self.workers.values() if worker.reclaimed_at <= self.now]:
            if worker.task is not None:
                self.queue.appendleft(worker.task)  # it runs again on another worker
                self.waiting[worker.task.kind] += 1
            self._remove(worker)

    def _give(self, worker: Worker, at: float) -> None:
        task = self.queue.popleft()
        self.waiting[task.kind] -= 1
        worker.task, worker.task_started = task, at
        self.waits.append(at - task.at)
        heapq.heappush(self._ends, (at + task.seconds, worker.name))

    # What Dask's scheduler reports --------------------------------------------------------------------------------

    def occupancy(self, worker: Worker) -> float:
        """As Dask: the mean of the task's type, or twice its run time once that is longer than twice the mean."""
        if worker.task is None:
            return 0.0
        mean, spent = self.durations.get(worker.task.kind, UNKNOWN_SECONDS), self.now - worker.task_started
        return 2 * spent if spent > 2 * mean else mean

    def waiting_seconds(self, unknown: float = UNKNOWN_SECONDS) -> float:
        """The estimated work of what waits, in seconds of one thread."""
        return sum(count * self.durations.get(kind, unknown) for kind, count in self.waiting.items() if count)

    def registered(self) -> list[Worker]:
        """The workers that the scheduler knows, without those that leave."""
        return [worker for worker in self.workers.values() if worker.ready <= self.now and not worker.leaving]
