"""Pools on the Dask scheduler: which workers may run a Dask task, and the queue of each pool.

A worker announces its pool as a resource, and a Dask task of a pool asks for that resource. Dask sends a task with such
a restriction to a worker at once, however many that worker has: new workers would find nothing to do, later tasks of
other accounts would have to wait behind it, and its time would count as that of a running task. So with pools, a task
without dependencies waits in Dask's state `no-worker` until a worker of its pool has a thread for it, in the order of
the priorities; as tasks without restrictions wait in the state `queued`.

Without pools nothing of this is used: Dask tasks have no restrictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cluster.scheduling import dask_internals
from cluster.scheduling.entry_point import AttemptInput, Runner

if TYPE_CHECKING:
    from distributed import Scheduler

_PREFIX: Final = "pool:"

RESOURCES: Final = "resources"
"""Dask's annotation with the resources that a task asks for."""


def announced(pool: str) -> dict[str, float]:
    """The resources of a worker of a pool."""
    return {_PREFIX + pool: 1.0}


def required(pool: str) -> dict[str, float]:
    """The resources of a Dask task of a pool.

    An amount of 0: a worker has the resource or not, and it is never used up. A task that waits for its graph would
    keep what it has taken, and the parts of its graph would wait for it for ever.
    """
    return {_PREFIX + pool: 0.0}


def pool_of(resources: Mapping[str, Any] | None) -> str:
    """The pool in the resources of a worker or of a task; empty if there is none: a worker of an earlier release, or a
    system without pools."""
    return next((name.removeprefix(_PREFIX) for name in resources or () if name.startswith(_PREFIX)), "")


def keep_in_pool(run: Runner, pool: str) -> Runner:
    """Runs attempts so that all Dask tasks that they make, parts of graphs for example, run in their pool."""
    import dask

    def run_in_pool(name: str, members: Sequence[AttemptInput]) -> list[float]:
        with dask.annotate(**{RESOURCES: required(pool)}):
            return run(name, members)

    return run_in_pool


class PoolQueues:
    """The Dask tasks that wait for a worker of their pool. Makes the scheduler keep them until there is one."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waiting: dict[str, Any] = {}
        self._counts: dict[str, Counter[str]] = {}
        dask_internals.queue_restricted_tasks(scheduler, self._choose, self._fill)

    def _choose(self, task: Any) -> Any:
        """The worker with a free thread that has the least to do, of the pool of a task without dependencies."""
        return dask_internals.freest_worker(self._scheduler, task.resource_restrictions)

    def _fill(self) -> None:
        """Gives workers that have a free thread the next tasks of their pools."""
        for queue in self._waiting.values():
            while queue and dask_internals.freest_worker(self._scheduler, queue.peek().resource_restrictions):
                first = queue.peek()
                dask_internals.process(self._scheduler, first.key)
                if queue and queue.peek() is first:
                    break

    def set_state(self, key: Any, start: str, finish: str) -> None:
        """Records a transition of a Dask task."""
        if start == finish or "no-worker" not in (start, finish):
            return
        task = self._scheduler.tasks.get(key)
        pool = pool_of(task.resource_restrictions) if task else ""
        if not task or not pool:
            return
        if pool not in self._waiting:
            self._waiting[pool], self._counts[pool] = dask_internals.priority_queue(), Counter()
        if finish == "no-worker":
            self._waiting[pool].add(task)
            self._counts[pool][task.prefix.name] += 1
        elif task in self._waiting[pool]:
            self._waiting[pool].discard(task)
            self._counts[pool][task.prefix.name] -= 1

    def reorder(self) -> None:
        """Sorts anew: priorities have changed."""
        for queue in self._waiting.values():
            dask_internals.refill(queue)

    def waiting(self, pool: str) -> Mapping[str, int]:
        """How many of the Dask tasks with each key prefix wait for a worker of a pool."""
        return self._counts.get(pool, {})

    def loads(self) -> dict[str, tuple[int, int]]:
        """The unfinished Dask tasks and the threads of each pool."""
        loads = {pool: (len(queue), 0) for pool, queue in self._waiting.items()}
        for resources, threads, tasks in dask_internals.worker_loads(self._scheduler):
            pool = pool_of(resources)
            outstanding, all_threads = loads.get(pool, (0, 0))
            loads[pool] = outstanding + tasks, all_threads + threads
        return loads
