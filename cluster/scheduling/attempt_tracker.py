"""The scheduler's plugin, which tracks every attempt on its way through Dask.

It writes losses that no worker can report, answers which attempts the scheduler holds, publishes the load and the
progress of graphs, and keeps a heartbeat with an epoch in Redis: a new epoch means that this scheduler knows nothing of
what was dispatched before.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from distributed import SchedulerPlugin

from cluster.observability import metrics
from cluster.scheduling import dask_internals
from cluster.scheduling.attempt_keys import GRAPH_ANNOTATION, SHARE_ANNOTATION, AttemptId
from cluster.scheduling.attempt_messages import OPERATION
from cluster.scheduling.attempt_receiver import AttemptReceiver
from cluster.scheduling.demand import Demand
from cluster.scheduling.fair_order import FairOrder, Share
from cluster.scheduling.finishing_workers import FinishingWorkers
from cluster.scheduling.graph_progress import GraphProgress, parse_tag
from cluster.scheduling.load_publisher import LoadPublisher
from cluster.scheduling.loss_writer import LossWriter
from cluster.scheduling.pools import RESOURCES, PoolQueues, pool_of
from cluster.scheduling.queue_places import QueuePlaces
from cluster.scheduling.scheduler_heartbeat import SchedulerHeartbeat, withdraw_heartbeat, write_heartbeat
from cluster.scheduling.silent_workers import ROUND_SECONDS, SilentWorkers
from cluster.scheduling.starting_workers import StartingWorkers
from cluster.scheduling.unused_results import forget_dropped
from cluster.scheduling.worker_tallies import WorkerTallies
from cluster.settings.pools import DEFAULT_POOL
from cluster.store.async_store import Store
from cluster.store.call_builder import milliseconds
from cluster.system.background import BackgroundLoop

if TYPE_CHECKING:
    from distributed import Scheduler

HEARTBEAT_SECONDS: Final = 1.0
"""Interval of the scheduler's heartbeat."""


class AttemptTracker(SchedulerPlugin):  # type: ignore[misc]
    """Receives Dask's transitions and distributes them to the parts that follow attempts.

    Args:
        pools: the names of all pools; empty if there is none beside the default.
    """

    name = "dask-graphql"

    def __init__(self, scheduler: Scheduler, store: Store, pools: Collection[str] = (), *, release: str = "") -> None:
        self.scheduler = scheduler
        self.store = store
        self.epoch = uuid.uuid4().hex
        self._release = release
        self._heartbeat_sent: SchedulerHeartbeat | None = None
        self.started_at = time.time()
        self.graphs = GraphProgress(store)
        self._demand = Demand()
        self._pools = tuple(pools)
        self._pool_queues = PoolQueues(scheduler) if pools else None
        self._load = LoadPublisher(scheduler, self._pool_queues)
        self._order = FairOrder(self._load.durations)
        self._next_reorder = 0.0
        self._places = QueuePlaces(
            scheduler, self._demand, self._load.durations, group=pool_of if pools else lambda _: ""
        )
        self._receiver = AttemptReceiver(scheduler, self, self._demand, self._order)
        self._losses = LossWriter(store)
        self._silent_workers = SilentWorkers(scheduler, store)
        self._starting_workers = StartingWorkers()
        self._finishing_workers = FinishingWorkers()
        self._tallies = WorkerTallies()
        self._announced = False
        self._loops = [
            BackgroundLoop("scheduler heartbeat", self._heartbeat, pause_seconds=HEARTBEAT_SECONDS),
            self.graphs.loop,
            BackgroundLoop("silent workers", self._silent_workers.round, pause_seconds=ROUND_SECONDS),
        ]

    def activate(self) -> None:
        """Adds the handlers and starts the background loops. (Dask calls a plugin's `start` itself.)"""
        handlers: dict[str, Callable[..., Awaitable[Any]]] = {
            "dask_graphql_operations": self.operations,
            "dask_graphql_held": self.held,
            "dask_graphql_load": self.load,
            "dask_graphql_cancelled": self.cancelled,
            "dask_graphql_alive": self._silent_workers.on_nanny_heartbeat,
            "dask_graphql_leaving": self._silent_workers.on_worker_leaving,
            "dask_graphql_draining": self._silent_workers.on_worker_draining,
            "dask_graphql_starting": self._starting_workers.on_report,
            "dask_graphql_finishing": self._finishing_workers.on_report,
        }
        dask_internals.add_stream_handler(self.scheduler, OPERATION, self._receiver.on_message)
        dask_internals.add_handlers(self.scheduler, handlers)
        for loop in self._loops:
            loop.start()

    async def close(self) -> None:
        for loop in self._loops:
            await loop.close()
        if self._heartbeat_sent is not None:
            await withdraw_heartbeat(self.store, self._heartbeat_sent)
        await self._losses.close()
        await self.store.close()

    async def _heartbeat(self) -> None:
        """Writes the epoch. Notifies all nodes after a start and after Redis was unavailable."""
        calls = self.store.calls
        self._measure()
        self._reorder()
        # A dispatcher that has connected since the last change knows nothing yet.
        self._load.publish_again()
        self._load.schedule(decreased=False)
        dask_internals.trim_key_cache()
        # Keys that could not be released at once, because Dask had not yet registered that their client wants them.
        dask_internals.release_keys(self.scheduler, self._demand.cancelled_keys())
        self._heartbeat_sent = SchedulerHeartbeat(
            self.epoch, self.scheduler.address, milliseconds(self.started_at), self._release
        )
        announced, self._announced = self._announced, False
        await write_heartbeat(self.store, self._heartbeat_sent)
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

    def _reorder(self) -> None:
        """Orders what waits by how long it takes as measured by now, in a twentieth of the time at most."""
        began = time.monotonic()
        if began >= self._next_reorder and (places := self._order.reorder()):
            dask_internals.reorder(self.scheduler, places)
            if self._pool_queues:
                self._pool_queues.reorder()
            self._next_reorder = began + 20 * (time.monotonic() - began)

    # Handlers ---------------------------------------------------------------------------------------------------------

    async def operations(self, **_: Any) -> list[str]:
        """Returns the operations that clients may send on their streams."""
        return [OPERATION]

    async def held(self, attempts: list[AttemptId], **_: Any) -> list[bool]:
        """Returns for each attempt whether this scheduler has it to run, or a worker of another release runs it."""
        unfinished = ("waiting", "queued", "no-worker", "processing")
        tasks = self.scheduler.tasks
        finishing = self._finishing_workers.held()
        ids = [(task_id, attempt) for task_id, attempt in attempts]
        keys = {each: self._demand.key(each) for each in ids}
        return [each in finishing or (keys[each] in tasks and tasks[keys[each]].state in unfinished) for each in ids]

    async def cancelled(self, attempts: list[tuple[str, int, bool]], **_: Any) -> None:
        """Handles cancelled attempts: task id, attempt number, and whether it had started."""
        self._demand.cancel(attempts)
        dask_internals.release_keys(self.scheduler, self._demand.cancelled_keys())

    async def load(self, attempts: Sequence[AttemptId] = (), **_: Any) -> dict[str, Any]:
        """Returns the demand and the workers, for the controller and the `cluster` query.

        Args:
            attempts: attempts that wait: the reply says where.
        """
        scheduler = self.scheduler
        tasks, workers = dask_internals.count_tasks(scheduler), dask_internals.describe_workers(scheduler)
        pools = self._describe_pools()
        return {
            "epoch": self.epoch,
            "dashboard": dask_internals.dashboard_port(scheduler),
            "queued": tasks.queued,
            "no_worker": tasks.no_worker,
            "processing": tasks.processing,
            "waiting_seconds": sum(pool["waiting_seconds"] for pool in pools.values())
            if pools
            else self._demand.waiting_seconds(self._load.durations, dask_internals.waiting_by_prefix(scheduler)),
            "places": self._places.of((task_id, attempt) for task_id, attempt in attempts) if attempts else [],
            "running_threads": dask_internals.running_threads(scheduler),
            "workers": [self._describe(worker) for worker in workers],
            "pools": pools,
            "finishing": self._finishing_workers.describe(),
            "starting": self._starting_workers.describe({worker["name"] for worker in workers}),
        }

    def _describe(self, worker: dict[str, Any]) -> dict[str, Any]:
        pool = pool_of(worker.pop("resources"))
        draining = worker["address"] in self._silent_workers.draining
        return worker | {"pool": pool, "draining": draining} | self._tallies.describe(worker["address"])

    def _describe_pools(self) -> dict[str, dict[str, float]]:
        """What waits for each pool; empty without pools."""
        if not self._pool_queues:
            return {}
        total = {name: (count, average) for name, count, average in dask_internals.waiting_by_prefix(self.scheduler)}
        rest = Counter({name: count for name, (count, _) in total.items()})
        described = {}
        for pool in self._pools:
            waiting = self._pool_queues.waiting(pool)
            rest.subtract(waiting)
            described[pool] = self._described(waiting, total, pool)
        # What dispatchers of an earlier release have sent runs on any worker.
        for field, value in self._described(+rest, total, "").items():
            described[DEFAULT_POOL][field] += value
        return described

    def _described(
        self, waiting: Mapping[str, int], total: Mapping[str, tuple[int, float]], pool: str
    ) -> dict[str, float]:
        prefixes = [(name, count, total[name][1]) for name, count in waiting.items() if count]
        seconds = self._demand.waiting_seconds(self._load.durations, prefixes, pool)
        return {"waiting": sum(waiting.values()), "waiting_seconds": seconds}

    # Events -----------------------------------------------------------------------------------------------------------

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self._starting_workers.on_registered(str(scheduler.workers[worker].name))
        self._tallies.add_worker(worker)
        self._load.schedule(decreased=True)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        self._tallies.remove_worker(worker)
        self._load.schedule(decreased=False)

    def update_graph(
        self,
        scheduler: Scheduler,
        *,
        tasks: list[Any],
        annotations: dict[str, dict[Any, Any]],
        priority: dict[Any, tuple[float, ...]],
        **_: Any,
    ) -> None:
        shares, priorities = annotations.get(SHARE_ANNOTATION, {}), annotations.get("priority", {})
        resources = annotations.get(RESOURCES, {}) if self._pool_queues else {}
        # In the order in which they were sent.
        for key in sorted(tasks, key=priority.__getitem__):
            if added := self._demand.add(key, pool_of(resources.get(key))):
                name, attempts = added
                dask_internals.fail_at_first_loss(scheduler, key)
                # A dispatcher of an earlier release says nothing of shares: what it sends comes first.
                if key in shares:
                    place = self._order.add(key, name, len(attempts), priorities.get(key, 0), Share(*shares[key]))
                    dask_internals.set_priority(scheduler, key, place)
        for key, tag in annotations.get(GRAPH_ANNOTATION, {}).items():
            # The graph of an attempt that has already ended would never be removed.
            if self._demand.key(parse_tag(tag)) is not None:
                self.graphs.add(tag, key)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if finish in ("memory", "erred") and self.graphs:
            task_state = self.scheduler.tasks.get(key)
            tag = task_state and (task_state.annotations or {}).get(GRAPH_ANNOTATION)
            self.graphs.complete(tag, key)
        if self._pool_queues:
            self._pool_queues.set_state(key, start, finish)
        if finish == "processing":
            self._order.start(key)
        if finish in ("memory", "erred", "forgotten"):
            self._order.remove(key)
            if ended := self._demand.remove(key):
                if finish == "memory":
                    forget_dropped(self.scheduler, key, kwargs)
                self._on_attempts_ended(finish, *ended, kwargs)
        else:
            self._demand.set_state(key, finish)
            if finish == "waiting":
                self._load.count_sent()
        self._load.schedule(decreased=finish in ("memory", "erred"))

    def _on_attempts_ended(
        self, finish: str, name: str, attempts: Sequence[AttemptId], details: dict[str, Any]
    ) -> None:
        for attempt in attempts:
            self.graphs.remove(attempt)
        self._tallies.add_ended(details.get("worker"), len(attempts))
        self._load.publish_again()
        if finish == "memory":
            if seconds := dask_internals.reported_seconds(details, len(attempts)):
                self._load.add_durations(name, seconds)
            # Dask has just learned a duration from this Dask task, even if none of its attempts ran.
            dask_internals.set_duration(self.scheduler, name, self._load.batch_duration(name))
        elif finish == "erred":
            for attempt in attempts:
                self._losses.report(attempt, details.get("exception"), details.get("worker"))
