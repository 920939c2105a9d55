"""Publishes the scheduler's load to the dispatchers, which send batches while the workers are busy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cluster.scheduling import dask_internals
from cluster.scheduling.pools import PoolQueues
from cluster.scheduling.scheduler_client import LOAD_TOPIC

if TYPE_CHECKING:
    from distributed import Scheduler

DECREASE_DELAY_SECONDS: Final = 0.003
"""Delay before a decrease in load is published, if a dispatcher may believe that more than half of the threads are
occupied: it may be holding attempts back. If nothing is left, it is published at once, as a dispatcher may hold the
next attempt back for nothing."""
DELAY_SECONDS: Final = 0.05
"""Delay before anything else is published. An increase can wait, as each dispatcher counts what it has sent itself; and
so can a decrease while there are idle threads, as a single task needs one."""
LATEST_WEIGHT: Final = 0.5
"""Weight of the latest run in the moving average of a task type's duration."""


class LoadPublisher:
    """The load of one scheduler and the durations of its attempts.

    Args:
        pools: the Dask tasks that wait in each pool; None without pools.
    """

    def __init__(self, scheduler: Scheduler, pools: PoolQueues | None = None) -> None:
        self._scheduler = scheduler
        self._pools = pools
        self._durations: dict[str, float] = {}
        self._batch_durations: dict[str, float] = {}
        self._unpublished: dict[str, float] = {}
        self._published: tuple[Any, ...] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._urgent = False
        """Whether that is the timer of a decrease that is published soon."""
        self._believed = 0
        """The most Dask tasks that any dispatcher believes to be unfinished: those last published, and all since."""

    @property
    def durations(self) -> Mapping[str, float]:
        """Seconds that one attempt of each task type takes, a moving average."""
        return self._durations

    def batch_duration(self, name: str) -> float | None:
        """Seconds that one Dask task of this task type takes, a moving average; None if unknown."""
        return self._batch_durations.get(name)

    def add_durations(self, name: str, seconds: Sequence[float]) -> None:
        """Adds the durations of the attempts in one Dask task."""
        average = sum(seconds) / len(seconds)
        self._durations[name] = self._unpublished[name] = _moving_average(self._durations.get(name), average)
        self._batch_durations[name] = _moving_average(self._batch_durations.get(name), sum(seconds))

    def publish_again(self) -> None:
        """Makes the next message go out even if the load has not changed. Dispatchers keep counting the Dask tasks that
        they sent until they receive one."""
        self._published = None

    def count_sent(self) -> None:
        """Counts a Dask task that a dispatcher has sent."""
        self._believed += 1

    def schedule(self, *, decreased: bool) -> None:
        """Publishes the load soon, at the earlier time if a message is already scheduled."""
        # With pools, the threads of one may be occupied while those of others are not.
        occupied = 1.0 if self._pools else self._believed / max(1, self._scheduler.total_nthreads)
        urgent = decreased and occupied > 0.5
        if self._timer is not None:
            # Called for each transition of each Dask task: mostly a message is scheduled already.
            if self._urgent or not urgent:
                return
            self._timer.cancel()
        self._urgent = urgent
        delay = DECREASE_DELAY_SECONDS if urgent else DELAY_SECONDS
        if urgent and occupied >= 1 and not sum(dask_internals.count_tasks(self._scheduler)):
            delay = 0.0
        self._timer = asyncio.get_running_loop().call_later(delay, self._publish)

    def _publish(self) -> None:
        self._timer = None
        load = sum(dask_internals.count_tasks(self._scheduler)), self._scheduler.total_nthreads
        pools = self._pools.loads() if self._pools else {}
        self._believed = load[0]
        if (*load, pools) != self._published or self._unpublished:
            durations, self._unpublished, self._published = self._unpublished, {}, (*load, pools)
            message: dict[str, Any] = {"outstanding": load[0], "threads": load[1], "durations": durations}
            self._scheduler.log_event(LOAD_TOPIC, message | ({"pools": pools} if pools else {}))


def _moving_average(average: float | None, latest: float) -> float:
    return latest if average is None else average + LATEST_WEIGHT * (latest - average)
