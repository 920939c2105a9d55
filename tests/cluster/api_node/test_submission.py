"""A node's submissions: what it sends to the scheduler, and takes back."""

from __future__ import annotations

import asyncio

import pytest

from cluster.api_node.admission_control import Admission
from cluster.api_node.audit_log import AuditLog
from cluster.api_node.cancellation import Cancellations
from cluster.api_node.dispatcher import Dispatcher
from cluster.api_node.files import Files
from cluster.api_node.limits import Limits
from cluster.api_node.policy_cache import PolicyCache
from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.submission import Submissions, SubmitOptions
from cluster.api_node.webhooks import Webhooks
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.task_types.registry import load_registry


@pytest.fixture
def dispatcher(settings: Settings, store: Store) -> Dispatcher:
    return Dispatcher(store, SchedulerClient(settings))


@pytest.fixture
def cancellations(settings: Settings) -> Cancellations:
    return Cancellations(SchedulerClient(settings))


@pytest.fixture
def node(settings: Settings, store: Store, dispatcher: Dispatcher, cancellations: Cancellations) -> Submissions:
    admission = Admission(settings, store, PolicyCache(store))
    return Submissions(
        store,
        dispatcher,
        admission,
        ResultDelivery(store, "node", 10, lambda _: None),
        cancellations,
        AuditLog(store, 0),
        Limits(load_registry(), frozenset, lambda _: None),
        Files(settings, store, FolderBlobStore(settings.data_dir), admission),
        Webhooks(settings, store),
    )


async def test_an_attempt_that_waits_with_a_lower_priority_is_replaced_and_leaves_the_scheduler(
    node: Submissions, dispatcher: Dispatcher, cancellations: Cancellations
) -> None:
    bound = load_registry()["fibonacci"].bind({"n": 90})
    for priority in (-5, 5, 0, 5):
        await node.submit([bound], SubmitOptions(priority=priority, account="acme"))
    sent = [(item.attempt, item.priority) for item in dispatcher._waiting]
    assert sent == [(1, -5), (2, 5)]
    assert cancellations.outboxes[0].waiting == {(bound.task_id, 1): False}


async def test_every_task_that_was_accepted_is_dispatched_though_its_caller_went_away_at_any_moment(
    store: Store, node: Submissions, dispatcher: Dispatcher
) -> None:
    """It would be queued until the recoverer asks the scheduler for it."""
    kind = load_registry()["fibonacci"]
    tasks = [kind.bind({"n": n}) for n in range(1_000, 1_040)]
    for steps, bound in enumerate(tasks):
        submitting = asyncio.ensure_future(node.submit([bound], SubmitOptions()))
        for _ in range(steps):
            await asyncio.sleep(0)
        submitting.cancel()
    async with asyncio.timeout(5):
        while node._claiming:
            await asyncio.sleep(0.01)
    accepted = {bound.task_id for bound in tasks if await store.read(bound.task_id) is not None}
    assert accepted == {item.task_id for item in dispatcher._waiting}
    assert accepted, "none was cancelled after it was sent"
