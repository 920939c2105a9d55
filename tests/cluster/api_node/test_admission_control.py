"""Admission control: submissions for which there is no room are refused as a whole; those that need none are
admitted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cluster.api_node.account_usage import RECORD_BYTES, read_usage
from cluster.api_node.admission_control import Admission
from cluster.api_node.audit_log import AuditLog
from cluster.api_node.cancellation import Cancellations
from cluster.api_node.dispatcher import Dispatcher
from cluster.api_node.files import Files
from cluster.api_node.limits import Limits
from cluster.api_node.policy_cache import PolicyCache
from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.store_memory import StoreMemory
from cluster.api_node.submission import Submissions, SubmitOptions
from cluster.api_node.webhooks import Webhooks
from cluster.errors import QueueFull, QuotaExceeded, StoreFull
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.record import TaskState
from cluster.store.tenant_policies import POLICIES_CHANGED, change_policy, remove_policy
from cluster.task_types.registry import load_registry
from cluster.task_types.task_type import Bound, TaskType

FIBONACCI = load_registry()["fibonacci"]


def submissions(settings: Settings, store: Store) -> Submissions:
    # The dispatcher is not started, so accepted tasks stay QUEUED.
    deliveries = ResultDelivery(store, "node", 10, lambda _: None)
    scheduler, audit = SchedulerClient(settings), AuditLog(store, 0)
    dispatcher, cancellations = Dispatcher(store, scheduler), Cancellations(scheduler)
    policies = PolicyCache(store)
    limits = Limits(load_registry(), frozenset, lambda _: None)
    admission = Admission(settings, store, policies)
    files = Files(settings, store, FolderBlobStore(settings.data_dir), admission)
    return Submissions(
        store, dispatcher, admission, deliveries, cancellations, audit, limits, files, Webhooks(settings, store)
    )


def bound(numbers: Sequence[int], task_type: TaskType = FIBONACCI) -> list[Bound]:
    return [task_type.bind({"n": n}) for n in numbers]


async def outcomes(node: Submissions, numbers: Sequence[int], *, recompute: bool = False) -> list[str]:
    return [str(item.outcome) for item in await node.submit(bound(numbers), SubmitOptions(recompute=recompute))]


async def test_a_full_queue_refuses_with_a_code_and_a_retry_time_and_accepts_nothing(
    settings: Settings, store: Store
) -> None:
    node = submissions(replace(settings, queue_limit=5), store)
    assert await outcomes(node, range(4)) == ["NEW"] * 4
    with pytest.raises(QueueFull) as refused:
        await outcomes(node, [10, 11])
    assert refused.value.extensions == {"code": "QUEUE_FULL", "retryAfterSeconds": 5}
    assert await store.count(TaskState.QUEUED) == 4
    assert await outcomes(node, [10]) == ["NEW"]


async def test_joined_and_cached_submissions_are_admitted_even_if_the_queue_is_full(
    settings: Settings, store: Store
) -> None:
    node = submissions(replace(settings, queue_limit=2), store)
    [done] = bound([1])
    await outcomes(node, [1])
    await store.run(store.calls.start(done.task_id, 1, "w"))
    await store.run(store.calls.finish(done.task_id, 1, b"{}"))
    assert await outcomes(submissions(replace(settings, queue_limit=2), store), [2, 3]) == ["NEW", "NEW"]
    node = submissions(replace(settings, queue_limit=2), store)
    assert await outcomes(node, [1, 2, 3]) == ["CACHED", "JOINED", "JOINED"]
    with pytest.raises(QueueFull):
        await outcomes(node, [1], recompute=True)


async def test_the_limit_of_a_task_type_does_not_affect_other_types(settings: Settings, store: Store) -> None:
    node = submissions(settings, store)
    limited = replace(FIBONACCI, queue_limit=1)
    await node.submit(bound([1], limited), SubmitOptions())
    with pytest.raises(QueueFull):
        await node.submit(bound([2], limited), SubmitOptions())
    assert await outcomes(node, [3]) == ["NEW"]


async def test_submissions_of_other_nodes_count_too(settings: Settings, store: Store) -> None:
    settings = replace(settings, queue_limit=3)
    await outcomes(submissions(settings, store), range(3))
    with pytest.raises(QueueFull):
        await outcomes(submissions(settings, store), [7])


async def test_an_account_is_refused_beyond_its_own_limit_and_others_are_not(settings: Settings, store: Store) -> None:
    node = submissions(replace(settings, queue_limit_per_tenant=3), store)
    acme, bank = SubmitOptions(account="acme"), SubmitOptions(account="bank")
    await node.submit(bound([1, 2, 3]), acme)
    with pytest.raises(QueueFull, match="acme"):
        await node.submit(bound([4]), acme)
    with pytest.raises(QueueFull, match="acme"):
        await node.submit(bound([4]), replace(acme, not_before=int(time.time() * 1000) + 10**9))
    # What needs no room is admitted, and so are others.
    assert (await node.submit(bound([1]), acme))[0].outcome == "JOINED"
    assert (await node.submit(bound([4]), bank))[0].outcome == "NEW"
    with pytest.raises(QueueFull, match="acme"):
        await submissions(replace(settings, queue_limit_per_tenant=3), store).submit(bound([5]), acme)
    await store.run(store.calls.cancel(bound([1])[0].task_id))
    fresh = submissions(replace(settings, queue_limit_per_tenant=3), store)
    assert (await fresh.submit(bound([5]), acme))[0].outcome == "NEW"


async def test_an_account_keeps_no_more_bytes_than_it_may(settings: Settings, store: Store) -> None:
    node = submissions(replace(settings, tenant_bytes=5 * RECORD_BYTES), store)
    acme = SubmitOptions(account="acme")
    await node.submit(bound([1, 2, 3, 4]), acme)
    with pytest.raises(QuotaExceeded) as refused:
        await node.submit(bound([5]), acme)
    assert refused.value.extensions == {"code": "QUOTA_EXCEEDED", "limit": 5 * RECORD_BYTES}
    assert (await node.submit(bound([1]), acme))[0].outcome == "JOINED"
    assert (await node.submit(bound([5]), SubmitOptions(account="bank")))[0].outcome == "NEW"
    assert (await read_usage(store, "acme")).bytes == sum(
        RECORD_BYTES + len(item.canonical_input) for item in bound([1, 2, 3, 4])
    )


async def test_a_policy_takes_the_place_of_the_settings(settings: Settings, store: Store) -> None:
    await change_policy(store, "acme", queue_limit=1)
    policies = PolicyCache(store)
    policies.loop.start()
    async with asyncio.timeout(5):
        while policies.of("acme").queue_limit is None:
            await asyncio.sleep(0.01)
    admission = Admission(settings, store, policies)
    await admission.admit(bound([1]), recompute=False, account="acme")
    with pytest.raises(QueueFull):
        await admission.admit(bound([1, 2]), recompute=False, account="acme")
    await remove_policy(store, "acme")
    policies.on_broadcast(POLICIES_CHANGED)
    async with asyncio.timeout(5):
        while policies.of("acme").queue_limit is not None:
            await asyncio.sleep(0.01)
    await policies.loop.close()


async def test_tasks_of_a_far_day_take_no_room_in_the_queue_that_all_share(settings: Settings, store: Store) -> None:
    settings = replace(settings, queue_limit=3)
    node = submissions(settings, store)
    tomorrow = SubmitOptions(not_before=int(time.time() * 1000) + 86_400_000, account="acme")
    await node.submit(bound(range(10)), tomorrow)
    await node.submit(bound(range(10, 13)), SubmitOptions(account="bank"))
    for other in (node, submissions(settings, store)):
        with pytest.raises(QueueFull):
            await other.submit(bound([20]), SubmitOptions(account="bank"))
        await other.submit(bound([30]), tomorrow)


async def test_a_nearly_full_redis_refuses_new_tasks_only(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.api_node.store_memory.MAX_AGE_SECONDS", 0.0)
    node = submissions(settings, store)
    [done] = bound([1])
    assert await outcomes(node, [1, 2]) == ["NEW", "NEW"]
    await store.run(store.calls.start(done.task_id, 1, "w"))
    used, _ = await store.memory()
    try:
        await store.command("CONFIG", "SET", "maxmemory", int(used / 0.95))
        with pytest.raises(StoreFull) as refused:
            await outcomes(node, [3])
        assert refused.value.extensions == {"code": "STORE_FULL", "retryAfterSeconds": 5}
        with pytest.raises(StoreFull):
            await outcomes(node, [1, 3])
        # What was accepted goes on, and what is kept is served.
        assert await store.run(store.calls.finish(done.task_id, 1, b"{}"))
        assert await outcomes(node, [1, 2]) == ["CACHED", "JOINED"]
        with pytest.raises(StoreFull):
            await outcomes(node, [1], recompute=True)
    finally:
        await store.command("CONFIG", "SET", "maxmemory", 0)
    assert await outcomes(node, [3]) == ["NEW"]


async def test_the_memory_of_redis_is_read_at_most_once_a_second(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0

    async def memory() -> tuple[int, int]:
        nonlocal reads
        reads += 1
        return 1, 0

    monkeypatch.setattr(store, "memory", memory)
    clock = iter((0.0, 0.5, 1.0, 1.5, 2.0))
    memory_of_redis = StoreMemory(store, lambda: next(clock))
    for _ in range(5):
        assert not await memory_of_redis.is_full()
    assert reads == 2
