"""The scheduler's plugin, which follows every attempt of ours on its way through Dask.

It writes what no worker can say (a worker died with its tasks, a key was lost), answers which
attempts the scheduler holds, tells the progress of graph tasks, and keeps a heartbeat with an epoch in Redis: a new
epoch means that this scheduler knows nothing of what was dispatched before.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
from distributed import SchedulerPlugin

from cluster import attempt_errors
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.observability.logs import log_context
from cluster.scheduling import dask_internals
from cluster.scheduling.attempt_keys import GRAPH_ANNOTATION
from cluster.scheduling.demand import Demand
from cluster.scheduling.silent_workers import ROUND_SECONDS, SilentWorkers
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.script_calls import EPOCH_TTL_SECONDS, milliseconds
from cluster.system.background import BackgroundLoop

if TYPE_CHECKING:
    from distributed import Scheduler

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0
"""How often the scheduler says that it lives."""
PROGRESS_SECONDS: Final = 0.2
"""How often the progress of graph tasks is told."""
TELL_SECONDS: Final = 0.003
"""How soon the dispatchers are told that there is less to do."""
TELL_MORE_SECONDS: Final = 0.05
"""How soon they are told that there is more: each counts what it sent itself."""
LOAD_TOPIC: Final = "dask-graphql-load"
"""Where Dask's clients subscribe to that."""
RECENT: Final = 0.5
"""What the latest run weighs in the mean duration of a task type."""
NANNY_SECONDS: Final = 1.0
"""How long the loss of a worker is left to its nanny to tell; where that is lost, too, it is told here."""
STORE_TRIES_SECONDS: Final = 60.0
"""How long a loss is kept to be written while Redis is away; afterwards the recoverer's sweep finds it."""


class _GraphProgress:
    """How much of one attempt's graph is done."""

    __slots__ = ("done", "keys", "told")

    def __init__(self) -> None:
        self.keys: set[Any] = set()
        self.done: set[Any] = set()
        self.told = 0.0

    @property
    def fraction(self) -> float:
        """The share of its parts that are done; never less than was told, though a second graph brings more parts."""
        return max(self.told, len(self.done) / max(1, len(self.keys)))


class AttemptTracker(SchedulerPlugin):  # type: ignore[misc]
    """Sees what happens to attempts on the scheduler and writes what no worker can."""

    name = "dask-graphql"

    def __init__(self, scheduler: Scheduler, settings: Settings, store: Store) -> None:
        self.scheduler = scheduler
        self.settings = settings
        self.store = store
        self.epoch = uuid.uuid4().hex
        self.started_at = time.time()
        self._graphs: dict[str, _GraphProgress] = {}
        self._demand = Demand()
        self._durations: dict[str, float] = {}
        self._pack_durations: dict[str, float] = {}
        self._news: dict[str, float] = {}
        self._told: tuple[int, int] | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._announced = False
        self._silent = SilentWorkers(scheduler, store)
        self._loops = [
            BackgroundLoop("scheduler heartbeat", self._beat, pause_seconds=BEAT_SECONDS),
            BackgroundLoop("graph progress", self._tell_progress, pause_seconds=PROGRESS_SECONDS),
            BackgroundLoop("silent workers", self._silent.round, pause_seconds=ROUND_SECONDS),
        ]

    # Life -------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        handlers: dict[str, Callable[..., Awaitable[Any]]] = {
            "dask_graphql_held": self.held,
            "dask_graphql_load": self.load,
            "dask_graphql_cancelled": self.cancelled,
            "dask_graphql_alive": self._silent.alive,
            "dask_graphql_leaving": self._silent.leaving,
        }
        dask_internals.add_handlers(self.scheduler, handlers)
        for loop in self._loops:
            loop.start()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # The loop keeps only weak references to tasks.
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for loop in self._loops:
            await loop.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()

    async def _beat(self) -> None:
        """Writes the epoch; tells all nodes after a start, and after a loss of Redis."""
        calls = self.store.calls
        self._measure()
        # What could not go at once, as its client had still to say that it wants it.
        dask_internals.release_keys(self.scheduler, self._demand.unwanted())
        word = orjson.dumps(
            {"epoch": self.epoch, "address": self.scheduler.address, "started_at": milliseconds(self.started_at)}
        )
        announced, self._announced = self._announced, False
        await self.store.command("SET", calls.scheduler_key, word, "PX", milliseconds(EPOCH_TTL_SECONDS))
        if not announced:
            await self.store.command("PUBLISH", calls.all_channel, "epoch")
        self._announced = True

    def _measure(self) -> None:
        scheduler = self.scheduler
        metrics.SCHEDULER_WORKERS.set(len(scheduler.workers))
        tasks = dask_internals.count_tasks(scheduler)
        metrics.SCHEDULER_TASKS.labels("waiting").set(tasks.queued + tasks.no_worker)
        metrics.SCHEDULER_TASKS.labels("processing").set(tasks.processing)
        metrics.SCHEDULER_WORK.set(scheduler.total_occupancy)

    # What others ask --------------------------------------------------------------------------------------------

    async def held(self, attempts: list[tuple[str, int]], **_: Any) -> list[bool]:
        """Whether this scheduler still has each of these attempts to run."""
        living = ("waiting", "queued", "no-worker", "processing")
        tasks = self.scheduler.tasks
        keys = (self._demand.key((task_id, attempt)) for task_id, attempt in attempts)
        return [key in tasks and tasks[key].state in living for key in keys]

    async def cancelled(self, attempts: list[tuple[str, int, bool]], **_: Any) -> None:
        """These attempts are wanted by nobody any more; with each, whether it had begun."""
        self._demand.cancel(attempts)
        dask_internals.release_keys(self.scheduler, self._demand.unwanted())

    def _waiting_seconds(self) -> float:
        """The work that no worker has yet."""
        return self._demand.waiting_seconds(self._durations, dask_internals.waiting_by_prefix(self.scheduler))

    def _tell_load(self) -> None:
        """To the dispatchers, which pack while there is more to do than the workers can take."""
        self._telling = None
        scheduler = self.scheduler
        load = sum(dask_internals.count_tasks(scheduler)), scheduler.total_nthreads
        if load != self._told or self._news:
            news, self._news, self._told = self._news, {}, load
            scheduler.log_event(LOAD_TOPIC, {"outstanding": load[0], "threads": load[1], "durations": news})

    async def load(self, **_: Any) -> dict[str, Any]:
        """The demand and the workers, for the controller and for `cluster`."""
        scheduler = self.scheduler
        tasks = dask_internals.count_tasks(scheduler)
        return {
            "epoch": self.epoch,
            "dashboard": dask_internals.dashboard_port(scheduler),
            "queued": tasks.queued,
            "no_worker": tasks.no_worker,
            "processing": tasks.processing,
            "waiting_seconds": self._waiting_seconds(),
            "workers": dask_internals.describe_workers(scheduler),
        }

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        dask_internals.shorten_linger_to_worker(scheduler, worker)

    # What happens -----------------------------------------------------------------------------------------------

    def update_graph(
        self, scheduler: Scheduler, *, tasks: list[Any], annotations: dict[str, dict[Any, Any]], **_: Any
    ) -> None:
        for key in tasks:
            if self._demand.add(key):
                dask_internals.fail_at_first_loss(scheduler, key)
        for key, tag in annotations.get(GRAPH_ANNOTATION, {}).items():
            task_id, attempt = tag.rsplit(":", 1)
            # Of one that has ended nobody would take it away again.
            if self._demand.key((task_id, int(attempt))) is not None:
                self._graphs.setdefault(tag, _GraphProgress()).keys.add(key)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if finish in ("memory", "erred") and self._graphs:
            task_state = self.scheduler.tasks.get(key)
            tag = task_state and (task_state.annotations or {}).get(GRAPH_ANNOTATION)
            if tag in self._graphs:
                self._graphs[tag].done.add(key)
        if finish in ("memory", "erred", "forgotten"):
            if ended := self._demand.remove(key):
                self._attempts_ended(finish, *ended, kwargs)
        else:
            self._demand.move(key, finish)
        self._tell_soon(TELL_SECONDS if finish in ("memory", "erred") else TELL_MORE_SECONDS)

    def _tell_soon(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._telling is not None:
            if self._telling.when() <= due:
                return
            self._telling.cancel()
        self._telling = loop.call_at(due, self._tell_load)

    def _attempts_ended(self, finish: str, name: str, members: Sequence[tuple[str, int]], told: dict[str, Any]) -> None:
        for task_id, attempt in members:
            self._graphs.pop(f"{task_id}:{attempt}", None)
        # Whoever sent them counts them until the load is told again, be it what was told last.
        self._told = None
        if finish == "memory":
            if seconds := dask_internals.reported_seconds(told, len(members)):
                took = sum(seconds) / len(seconds)
                self._durations[name] = self._news[name] = recent_mean(self._durations.get(name), took)
                self._pack_durations[name] = recent_mean(self._pack_durations.get(name), sum(seconds))
            # Dask has just learnt how long its task took, be it that nothing ran in it.
            dask_internals.set_duration(self.scheduler, name, self._pack_durations.get(name))
        elif finish == "erred":
            for task_id, attempt in members:
                with log_context(taskId=task_id, attempt=attempt):
                    # The new task takes this context with it.
                    self._spawn(self._lose(task_id, attempt, told.get("exception"), told.get("worker")))

    async def _lose(self, task_id: str, attempt: int, exception: Any, worker: str | None) -> None:
        exception = dask_internals.read_exception(exception)
        name = dask_internals.worker_that_died(exception, worker)
        if name is not None:
            cause = "worker_died"
            # Its nanny may know why the worker process ended, and that nobody is to be charged.
            await asyncio.sleep(NANNY_SECONDS)
            call = self.store.calls.mark_lost(task_id, attempt, "worker", attempt_errors.worker_lost(name))
        else:
            reason = f"{attempt_errors.type_of(exception)}: {attempt_errors.message_of(exception)}"
            cause = "undelivered"
            call = self.store.calls.mark_lost(task_id, attempt, "undelivered", attempt_errors.undelivered(reason))
        deadline = time.monotonic() + STORE_TRIES_SECONDS
        while True:
            try:
                verdict = await self.store.run(call)
                metrics.count_lost(cause, verdict)
                told_as = attempt_errors.message_of(exception)
                logger.warning("task %s attempt %d is lost (%s): %s", task_id, attempt, told_as, verdict)
                return
            except StoreUnavailable as error:
                if time.monotonic() > deadline:
                    logger.error("the loss of task %s attempt %d could not be written: %s", task_id, attempt, error)
                    return
                await asyncio.sleep(0.5)

    async def _tell_progress(self) -> None:
        """One round: the progress of every graph of which more is done than was told."""
        for tag, graph in list(self._graphs.items()):
            fraction = graph.fraction
            if fraction == graph.told:
                continue
            task_id, attempt = tag.rsplit(":", 1)
            await self.store.run(self.store.calls.progress(task_id, int(attempt), fraction))
            graph.told = fraction


def recent_mean(mean: float | None, latest: float) -> float:
    """A running mean with one more value."""
    return latest if mean is None else mean + RECENT * (latest - mean)
