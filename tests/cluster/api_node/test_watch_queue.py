"""The order in which tasks are watched, and the bounds of the queues."""

from __future__ import annotations

import asyncio

import pytest

from cluster.api_node import watch_queue
from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.watch_queue import FIRST_BATCH, MAX_BATCH, RENEWAL_SLOTS, WatchQueue
from cluster.store.async_store import Store


def test_every_batch_has_renewals_however_many_requests_there_are() -> None:
    queue = WatchQueue()
    queue.batch_size = 64
    renewed = [f"old {n}" for n in range(100)]
    queue.renew(renewed)
    for n in range(300):
        queue.request(f"new {n}")
    batch = queue.next_batch()
    assert len(batch) == 64
    assert len(set(renewed) & set(batch)) == RENEWAL_SLOTS


def test_a_task_that_is_requested_and_renewed_is_watched_once() -> None:
    queue = WatchQueue()
    queue.renew(["a", "b"])
    queue.request("a")
    assert queue.next_batch() == ["a", "b"]
    queue.clear_pending_if_empty()
    assert not queue.pending.is_set()


def test_a_failed_batch_is_requeued_and_halved_and_the_size_grows_back() -> None:
    queue = WatchQueue()
    batch = [str(n) for n in range(FIRST_BATCH)]
    queue.requeue(batch)
    assert queue.batch_size == FIRST_BATCH // 2
    assert queue.next_batch() == batch[: FIRST_BATCH // 2]
    queue.grow()
    assert queue.batch_size == FIRST_BATCH // 2 + 1, "slowly beyond what the failure has left"
    queue.shrink()
    assert queue.batch_size == FIRST_BATCH // 4
    queue.grow()
    assert queue.batch_size == FIRST_BATCH // 2, "quickly up to it"
    for _ in range(MAX_BATCH):
        queue.grow()
    assert queue.batch_size == MAX_BATCH


async def test_tasks_to_unwatch_are_bounded_while_redis_is_unavailable(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_queue, "MAX_UNWATCHED", 50)
    node = ResultDelivery(store, "n", 100_000, lambda _: None)
    waiting = [asyncio.ensure_future(node.final_record(f"{n:032x}")) for n in range(200)]
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert node._queue.next_unwatched() == [f"{n:032x}" for n in range(150, 200)]
