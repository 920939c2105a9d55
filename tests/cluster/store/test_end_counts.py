"""Every script that ends a task counts it in its shard's minute, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from cluster.attempt_errors import error
from cluster.observability.log_histogram import lower_bound
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.end_counts import EndCount, parse_end_counts
from cluster.store.record import TaskState
from cluster.store.replies import hash_fields
from cluster.task_types.retry_policy import Retries

pytestmark = pytest.mark.every_engine


def task(number: int) -> str:
    return f"a{number:031x}"


async def counted(store: Store, digit: str = "a") -> list[EndCount]:
    """What the newest two minutes of a shard have."""
    minute = await store.server_milliseconds() // 60_000
    replies = [await store.command("HGETALL", store.calls.ends_key(digit, at)) for at in (minute - 1, minute)]
    return [end for reply in replies for end in parse_end_counts(hash_fields(reply))]


async def begin(store: Store, number: int, *, start: bool = True, tenant: str = "") -> str:
    calls, task_id = store.calls, task(number)
    await store.run(calls.submit(task_id, "fibonacci", "1", b"{}", tenant=tenant))
    if start:
        assert (await store.run(calls.start(task_id, 1, "w"))).verdict == "RUN"
    return task_id


async def test_each_way_to_end_a_task_is_counted_with_its_wait_its_run_and_its_code(settings: Settings) -> None:
    store = Store(replace(settings, lost_worker_limit=1))
    calls = store.calls
    await store.run(calls.finish(await begin(store, 1, tenant="acme"), 1, b"1"))
    await store.run(calls.fail(await begin(store, 2), 1, error("TASK_FAILED", "no")))
    await store.run(calls.fail(await begin(store, 3), 1, error("it has spaces", "no")))
    await store.run(calls.mark_lost(await begin(store, 4), 1, "worker", error("WORKER_LOST", "gone")))
    await store.run(calls.cancel(await begin(store, 5)))
    await store.run(calls.cancel(await begin(store, 6, start=False)))
    await store.run(calls.submit(task(7), "fibonacci", "1", b"{}", start_within_seconds=0.001))
    await asyncio.sleep(0.01)
    await store.run(calls.expire_unstarted("a", 10))
    ends = await counted(store)
    assert Counter((end.state, end.tenant, end.code, end.wait is None, end.run is None) for end in ends) == {
        (TaskState.SUCCEEDED, "acme", "", False, False): 1,
        (TaskState.FAILED, "", "TASK_FAILED", False, False): 1,
        (TaskState.FAILED, "", "", False, False): 1,
        (TaskState.FAILED, "", "WORKER_LOST", False, False): 1,
        (TaskState.CANCELLED, "", "", False, False): 1,
        (TaskState.CANCELLED, "", "", True, True): 1,
        (TaskState.FAILED, "", "EXPIRED_BEFORE_START", True, True): 1,
    }
    assert {(end.name, end.tasks) for end in ends} == {("fibonacci", 1)}
    await store.close()


async def test_a_repeated_finish_counts_once_and_tasks_that_end_alike_share_a_field(store: Store) -> None:
    calls = store.calls
    for number in range(8):
        task_id = await begin(store, number)
        for _ in range(2):
            await store.run(calls.finish(task_id, 1, b"1"))
    ends = await counted(store)
    assert sum(end.tasks for end in ends) == 8
    minute = await store.server_milliseconds() // 60_000
    ttls = [await store.command("PTTL", calls.ends_key("a", at)) for at in (minute - 1, minute)]
    assert 0 < max(ttls) <= 7_200_000


async def test_the_run_is_that_of_the_newest_attempt_and_the_wait_only_of_a_first_one(store: Store) -> None:
    calls, task_id = store.calls, await begin(store, 1)
    await asyncio.sleep(0.05)
    assert await store.run(calls.fail(task_id, 1, error("TASK_FAILED", "no"), retries=Retries(1))) == "RETRY"
    assert (await store.run(calls.start(task_id, 2, "w"))).verdict == "RUN"
    await store.run(calls.finish(task_id, 2, b"1"))
    [end] = await counted(store)
    assert end.state is TaskState.SUCCEEDED
    assert end.wait is None
    assert end.run is not None
    assert lower_bound(end.run) < 0.05


async def test_a_recomputed_task_counts_the_wait_of_its_new_run(store: Store) -> None:
    calls, task_id = store.calls, await begin(store, 1)
    await store.run(calls.finish(task_id, 1, b"1"))
    await store.run(calls.submit(task_id, "fibonacci", "1", b"{}", recompute=True))
    await store.run(calls.start(task_id, 2, "w"))
    await store.run(calls.finish(task_id, 2, b"1"))
    ends = await counted(store)
    assert sum(end.tasks for end in ends) == 2
    assert all(end.wait is not None and lower_bound(end.wait) < 1 for end in ends)


async def test_codes_that_a_task_makes_up_do_not_make_a_minute_grow(store: Store) -> None:
    tasks = range(1_100)
    await store.run_many([store.calls.submit(task(number), "fibonacci", "1", b"{}") for number in tasks])
    await store.run_many([store.calls.start(task(number), 1, "w") for number in tasks])
    await store.run_many([store.calls.fail(task(number), 1, error(f"CODE_{number}", "no")) for number in tasks])
    ends = await counted(store)
    assert sum(end.tasks for end in ends) == len(tasks)
    # Two minutes, if one has just begun.
    assert len([end for end in ends if end.code]) in range(1_000, 1_101)
    minute = await store.server_milliseconds() // 60_000
    for at in (minute - 1, minute):
        ends_of_minute = parse_end_counts(hash_fields(await store.command("HGETALL", store.calls.ends_key("a", at))))
        assert len([end for end in ends_of_minute if end.code]) <= 1_000
