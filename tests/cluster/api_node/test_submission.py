"""A submission that joins with a higher priority: what the node sends to the scheduler, and takes back."""

from __future__ import annotations

from cluster.api_node.admission_control import Admission
from cluster.api_node.audit_log import AuditLog
from cluster.api_node.cancellation import Cancellations
from cluster.api_node.dispatcher import Dispatcher
from cluster.api_node.files import Files
from cluster.api_node.limits import Limits
from cluster.api_node.policy_cache import PolicyCache
from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.submission import Submissions, SubmitOptions
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.task_types.registry import load_registry


async def test_an_attempt_that_waits_with_a_lower_priority_is_replaced_and_leaves_the_scheduler(
    settings: Settings, store: Store
) -> None:
    scheduler, policies = SchedulerClient(settings), PolicyCache(store)
    dispatcher, cancellations = Dispatcher(store, scheduler), Cancellations(scheduler)
    admission = Admission(settings, store, policies)
    node = Submissions(
        store,
        dispatcher,
        admission,
        ResultDelivery(store, "node", 10, lambda _: None),
        cancellations,
        AuditLog(store, 0),
        Limits(load_registry(), frozenset, lambda _: None),
        Files(settings, store, FolderBlobStore(settings.data_dir), admission),
    )
    bound = load_registry()["fibonacci"].bind({"n": 90})
    for priority in (-5, 5, 0, 5):
        await node.submit([bound], SubmitOptions(priority=priority, account="acme"))
    sent = [(item.attempt, item.priority) for item in dispatcher._waiting]
    assert sent == [(1, -5), (2, 5)]
    assert cancellations._waiting == {(bound.task_id, 1): False}
