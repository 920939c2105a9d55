"""The parts of an api node, wired in one place in the order of a request."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from cluster.api_node.admission_control import Admission
from cluster.api_node.audit_log import AuditLog
from cluster.api_node.blob_deletion import BlobDeleter
from cluster.api_node.cancellation import Cancellations
from cluster.api_node.change_feed import ChangeFeed
from cluster.api_node.cluster_snapshot import SnapshotWatchers
from cluster.api_node.costs import CostReader
from cluster.api_node.dispatcher import Dispatcher
from cluster.api_node.files import Files
from cluster.api_node.history_keeper import HistoryKeeper
from cluster.api_node.history_reader import HistoryReader
from cluster.api_node.limits import Limits
from cluster.api_node.open_tasks import OpenTasks
from cluster.api_node.operation_rates import OperationRates
from cluster.api_node.paused_types import PausedTypes, Recalls
from cluster.api_node.policy_cache import PolicyCache
from cluster.api_node.pool_dispatchers import PoolDispatchers
from cluster.api_node.prices import PriceReader
from cluster.api_node.problem_reader import ProblemReader
from cluster.api_node.pruning import Pruner
from cluster.api_node.readiness import Readiness
from cluster.api_node.recovery import Recoverer
from cluster.api_node.reloads import Reloads
from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.schedule_runner import ScheduleRunner
from cluster.api_node.scheduler_dispatchers import SchedulerDispatchers
from cluster.api_node.schedulers import Schedulers
from cluster.api_node.served_versions import ServedVersions
from cluster.api_node.slot_claimer import SlotClaimer
from cluster.api_node.stream_blobs import StreamBlobs
from cluster.api_node.submission import Submissions
from cluster.api_node.wait_reader import WaitReader
from cluster.api_node.waiters import Waiters
from cluster.api_node.webhook_delivery import WebhookDeliverer
from cluster.api_node.webhooks import Webhooks
from cluster.current_settings import use_settings
from cluster.data.array_reader import ArrayReader
from cluster.data.table_reader import TableReader
from cluster.node_registry import load_node_registry
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.blob_store import BlobStore
from cluster.store.blob_url import open_blob_store
from cluster.system.background import BackgroundLoop
from cluster.system.counts import Counts, CountTable
from cluster.task_types.registry import Registry

logger = logging.getLogger(__name__)


@dataclass
class Node:
    """An api node; call `start` before use and `close` after it."""

    node_id: str
    settings: Settings
    registry: Registry
    store: Store
    blobs: BlobStore
    tables: TableReader
    arrays: ArrayReader
    schedulers: Schedulers
    dispatcher: SchedulerDispatchers
    submissions: Submissions
    files: Files
    stream_blobs: StreamBlobs
    webhooks: Webhooks
    webhook_deliverer: WebhookDeliverer
    cancellations: Cancellations
    deliveries: ResultDelivery
    paused_types: PausedTypes
    slot_claimer: SlotClaimer
    recalls: Recalls
    recoverers: list[Recoverer]
    """One for each scheduler."""
    pruner: Pruner
    blob_deleter: BlobDeleter
    history_keeper: HistoryKeeper
    schedule_runner: ScheduleRunner
    history: HistoryReader
    open_tasks: OpenTasks
    problems: ProblemReader
    costs: CostReader
    prices: PriceReader
    snapshots: SnapshotWatchers
    changes: ChangeFeed
    readiness: Readiness
    audit: AuditLog
    policies: PolicyCache
    operation_rates: OperationRates
    waiters: Waiters
    waits: WaitReader
    reloads: Reloads
    served_versions: ServedVersions
    loops: list[BackgroundLoop]
    """All background loops of the node. Parts that are added to the node append theirs."""
    broadcast_listeners: list[Callable[[str], None]]
    """Called with each message to all nodes."""

    async def start(self) -> None:
        """Starts the background loops. Neither Redis nor the scheduler needs to be up."""
        self.schedulers.start()
        self.dispatcher.start()
        self.cancellations.start()
        self.audit.start()
        self.policies.loop.start()
        await self.deliveries.start()
        self.paused_types.loop.start()
        self.recalls.loop.start()
        self.webhooks.table.loop.start()
        self.served_versions.loop.start()
        for service in (
            self.slot_claimer, *self.recoverers, self.pruner, self.blob_deleter, self.webhook_deliverer,
            self.history_keeper, self.schedule_runner,
        ):  # fmt: skip
            service.start()

    async def close(self) -> None:
        for service in (
            self.schedule_runner, self.history_keeper,
            self.webhook_deliverer, self.blob_deleter, self.pruner, *self.recoverers, self.slot_claimer,
        ):  # fmt: skip
            await service.close()
        await self.served_versions.loop.close()
        await self.webhooks.table.loop.close()
        await self.recalls.loop.close()
        await self.paused_types.loop.close()
        await self.dispatcher.close()
        await self.cancellations.close()
        await self.deliveries.close()
        await self.schedulers.close()
        await self.policies.loop.close()
        await self.audit.close()
        await self.store.close()


def make_node(settings: Settings, registry: Registry | None = None, shared: CountTable | None = None) -> Node:
    """Wires a node. Must be called in the event loop that will run it.

    Args:
        shared: what several processes on one port count together.
    """
    use_settings(settings)
    registry = load_node_registry(settings) if registry is None else registry
    node_id = uuid.uuid4().hex[:12]
    store = Store(settings)
    blobs = open_blob_store(settings.blob_store_url)
    schedulers = Schedulers.of(settings, store)

    def make_dispatchers(number: int, scheduler: SchedulerClient) -> PoolDispatchers:
        def make_dispatcher(pool: str) -> Dispatcher:
            return Dispatcher(
                store, scheduler, lambda account: policies.of(account).weight,
                lambda name: registry[name].batch if name in registry else None, pool, number,
            )  # fmt: skip

        return PoolDispatchers(settings.separate_pools, make_dispatcher, registry.pool_of)

    by_scheduler = [make_dispatchers(number, scheduler) for number, scheduler in enumerate(schedulers)]
    dispatcher = SchedulerDispatchers(by_scheduler)
    cancellations = Cancellations(*schedulers)
    paused_types = PausedTypes(store, lambda: on_paused())
    policies = PolicyCache(store, lambda: slot_claimer.on_limits_changed())
    limits = Limits(registry, lambda: paused_types.names, lambda account: policies.of(account).max_running)
    slot_claimer = SlotClaimer(store, schedulers, dispatcher, limits, node_id)
    recalls = Recalls(store, paused_types, cancellations, lambda: slot_claimer.active)
    recoverers = [
        Recoverer(
            store, scheduler, dispatchers, node_id, lambda: paused_types.names, cancellations.put_superseded,
            cancellations.put, number=number, schedulers=len(schedulers),
        )
        for number, (scheduler, dispatchers) in enumerate(zip(schedulers, by_scheduler, strict=True))
    ]  # fmt: skip

    webhooks = Webhooks(settings, store)
    webhook_deliverer = WebhookDeliverer(store, webhooks, registry, node_id)

    def on_paused() -> None:
        logger.info("paused task types: %s", ", ".join(sorted(paused_types.names)) or "none")
        slot_claimer.on_limits_changed()
        recalls.wake()

    def recover() -> None:
        for recoverer in recoverers:
            recoverer.wake()

    wakes = {
        "woken": slot_claimer.wake, "due": recover, "epoch": recover, "delivery": webhook_deliverer.wake,
    }  # fmt: skip
    broadcast_listeners: list[Callable[[str], None]] = [
        lambda message: wakes.get(message, lambda: None)(),
        paused_types.on_broadcast,
        webhooks.table.on_broadcast,
    ]

    def on_broadcast(message: str) -> None:
        for listener in broadcast_listeners:
            listener(message)

    make_counts = shared.counts if shared is not None else lambda _: Counts()
    deliveries = ResultDelivery(store, node_id, settings.subscription_limit, on_broadcast, make_counts)
    reloads = Reloads()
    served_versions = ServedVersions(store, registry)
    pruner = Pruner(store, node_id)
    history_keeper, history = HistoryKeeper(store, schedulers, node_id), HistoryReader(store)
    open_tasks = OpenTasks(store)
    blob_deleter = BlobDeleter(settings, store, blobs, node_id)
    audit = AuditLog(store, settings.audit_entries)
    admission = Admission(settings, store, policies)
    files = Files(settings, store, blobs, admission)
    submissions = Submissions(store, dispatcher, admission, deliveries, cancellations, audit, limits, files, webhooks)
    schedule_runner = ScheduleRunner(settings, store, registry, submissions, cancellations, node_id)
    broadcast_listeners += [policies.on_broadcast, schedule_runner.on_broadcast]
    loops = [
        *(scheduler.loop for scheduler in schedulers), *dispatcher.loops, *cancellations.loops,
        audit.loop, policies.loop, *deliveries.loops,
        paused_types.loop, recalls.loop, *slot_claimer.loops, *pruner.loops, *blob_deleter.loops,
        *(loop for recoverer in recoverers for loop in recoverer.loops),
        webhooks.table.loop, *webhook_deliverer.loops, *history_keeper.loops, *schedule_runner.loops,
        served_versions.loop,
    ]  # fmt: skip
    return Node(
        node_id=node_id,
        settings=settings,
        registry=registry,
        store=store,
        blobs=blobs,
        tables=TableReader(blobs, settings.answer_bytes),
        arrays=ArrayReader(blobs),
        schedulers=schedulers,
        dispatcher=dispatcher,
        submissions=submissions,
        files=files,
        stream_blobs=StreamBlobs(store),
        webhooks=webhooks,
        webhook_deliverer=webhook_deliverer,
        cancellations=cancellations,
        deliveries=deliveries,
        paused_types=paused_types,
        slot_claimer=slot_claimer,
        recalls=recalls,
        recoverers=recoverers,
        pruner=pruner,
        blob_deleter=blob_deleter,
        history_keeper=history_keeper,
        schedule_runner=schedule_runner,
        history=history,
        open_tasks=open_tasks,
        problems=ProblemReader(store, history, open_tasks, registry),
        costs=CostReader(store, schedulers.keys),
        prices=PriceReader(store, schedulers, settings.worker_threads),
        snapshots=SnapshotWatchers(store, schedulers, settings.subscription_limit, reloads),
        changes=ChangeFeed(store, settings.subscription_limit),
        readiness=Readiness(store, node_id, schedulers, deliveries, lambda: loops),
        audit=audit,
        policies=policies,
        operation_rates=OperationRates(settings.operations_per_minute, policies, shared=shared),
        waiters=Waiters(settings.waiters_per_client, make_counts),
        waits=WaitReader(store, schedulers, limits, paused_types),
        reloads=reloads,
        served_versions=served_versions,
        loops=loops,
        broadcast_listeners=broadcast_listeners,
    )
