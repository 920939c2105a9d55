"""Admission control: submissions for which there is no room are refused as a whole; those that need none are
admitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cluster.api_node.admission_control import Admission
from cluster.api_node.audit_log import AuditLog
from cluster.api_node.dispatcher import Dispatcher
from cluster.api_node.policy_cache import PolicyCache
from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.store_memory import StoreMemory
from cluster.api_node.submission import Submissions, SubmitOptions
from cluster.errors import QueueFull, StoreFull
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.task_types.registry import load_registry
from cluster.task_types.task_type import Bound, TaskType

FIBONACCI = load_registry()["fibonacci"]


def submissions(settings: Settings, store: Store) -> Submissions:
    # The dispatcher is not started, so accepted tasks stay QUEUED.
    deliveries = ResultDelivery(store, "node", 10, lambda _: None)
    return Submissions(
        store,
        Dispatcher(store, SchedulerClient(settings)),
        Admission(settings, store),
        deliveries,
        AuditLog(store, 0),
        PolicyCache(store),
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
