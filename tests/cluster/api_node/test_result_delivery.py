"""Delivery: the right run to each waiter, no long result unless it was selected, and a broken record that affects no
other."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from cluster.api_node import watch_loop
from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.watch_queue import MAX_BATCH
from cluster.errors import ResultGone, StoreUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import Record, TaskState
from tests.cluster.api_node.test_no_gap import count_watches, run_task
from tests.polling import until

LONG = b'"' + b"x" * 1_000_000 + b'"'


async def end(store: Store, task_id: str, result: bytes, attempt: int = 1) -> None:
    await store.run(store.calls.submit(task_id, "t", "1", b"{}", recompute=True))
    await store.run(store.calls.start(task_id, attempt, "w"))
    assert await store.run(store.calls.finish(task_id, attempt, result))


# The right run --------------------------------------------------------------------------------------------------------


async def test_a_read_that_began_before_a_run_is_not_delivered_to_later_waiters(
    store: Store, deliveries: ResultDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = uuid.uuid4().hex
    await end(store, task_id, b'"old"')
    answered, go_on = asyncio.Event(), asyncio.Event()
    run_many = store.run_many

    async def late(calls: Sequence[Any]) -> list[Any]:
        answers = await run_many(calls)
        answered.set()
        await go_on.wait()
        return answers

    monkeypatch.setattr(store, "run_many", late)
    first = asyncio.ensure_future(deliveries.final_record(task_id))
    await answered.wait()
    again = await store.run(store.calls.submit(task_id, "t", "1", b"{}", recompute=True))
    second = asyncio.ensure_future(deliveries.final_record(task_id))
    await asyncio.sleep(0)
    go_on.set()
    assert (await first).result == b'"old"', "it arrived before the new run began"
    await store.run(store.calls.start(task_id, again.record.attempt, "w"))
    await store.run(store.calls.finish(task_id, again.record.attempt, b'"new"'))
    async with asyncio.timeout(5):
        assert (await second).result == b'"new"'


async def old_notification(store: Store, node: str, task_id: str) -> bytes:
    """Ends a run; returns its notification, which the node does not receive."""
    pubsub = store.redis.pubsub()
    await pubsub.subscribe(store.calls.node_channel("elsewhere"))
    await pubsub.get_message(timeout=1)
    await store.redis.delete(f"{store.calls.shard(task_id)}:watch:{task_id}")
    await store.run(store.calls.watch(task_id, "elsewhere"))
    await store.run(store.calls.start(task_id, 1, "w"))
    await store.run(store.calls.finish(task_id, 1, b'"old"'))
    late = await pubsub.get_message(timeout=1)
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    assert late is not None
    return bytes(late["data"])


@pytest.mark.parametrize("speculative", [True, False], ids=["speculative watch", "another waiter"])
async def test_a_late_notification_does_not_end_a_wait_that_began_after_its_run(
    store: Store, deliveries: ResultDelivery, speculative: bool
) -> None:
    """The node knows the earlier run, by a speculative watch or another waiter, and is notified of its end late."""
    task_id, waiting = uuid.uuid4().hex, list[asyncio.Future[Any]]()
    sent_at = time.monotonic()
    assert deliveries.prepare_watches([task_id])
    submitted = await store.run(store.calls.submit(task_id, "t", "1", b"{}", node=deliveries.node))
    deliveries.commit_watch(task_id, submitted, sent_at)
    if not speculative:
        waiting.append(asyncio.ensure_future(deliveries.final_record(task_id)))
        await asyncio.sleep(0)
    notification = await old_notification(store, deliveries.node, task_id)
    await asyncio.sleep(0.005)
    again = await store.run(store.calls.submit(task_id, "t", "1", b"{}", recompute=True))
    late = asyncio.ensure_future(deliveries.final_record(task_id))
    await asyncio.sleep(0)
    await store.command("PUBLISH", store.calls.node_channel(deliveries.node), notification)
    await run_task(store, other := uuid.uuid4().hex)
    await deliveries.final_record(other)
    assert not late.done()
    await store.run(store.calls.start(task_id, again.record.attempt, "w"))
    await store.run(store.calls.finish(task_id, again.record.attempt, b'"new"'))
    async with asyncio.timeout(5):
        assert (await late).result == b'"new"'
        for one in waiting:
            # It arrived before the earlier end, which the node can tell if replies are fast.
            assert (await one).result in (b'"old"', b'"new"')


# Long results --------------------------------------------------------------------------------------------------------


async def sent_bytes(store: Store) -> int:
    return int((await store.redis.info("stats"))["total_net_output_bytes"])


async def test_no_reply_includes_a_long_result_that_was_not_requested(store: Store, deliveries: ResultDelivery) -> None:
    ids = [uuid.uuid4().hex for _ in range(20)]
    for task_id in ids:
        await end(store, task_id, LONG)
    calls, before = store.calls, await sent_bytes(store)
    again = await store.run_many([calls.submit(task_id, "t", "1", b"{}") for task_id in ids])
    read = await store.run_many([calls.read(task_id) for task_id in ids])
    watched = await store.run_many([calls.watch(task_id, "n") for task_id in ids])
    _, cancelled = await store.run(calls.cancel(ids[0]))
    listed = await store.read_many(ids, results=False)
    async for record in deliveries.final_records(ids, result=lambda: False):
        assert record.result_omitted
    assert (await deliveries.final_record(ids[0], result=lambda: False)).result_omitted
    assert await sent_bytes(store) - before < 500_000
    found: list[Record | None] = [a.record for a in again] + read + [w.record for w in watched] + [cancelled] + listed
    for one in found:
        assert one is not None
        assert one.result_omitted


async def test_a_short_result_is_included(store: Store) -> None:
    await end(store, task_id := uuid.uuid4().hex, b'"short"')
    assert (await store.run(store.calls.submit(task_id, "t", "1", b"{}"))).record.result == b'"short"'
    record = await store.run(store.calls.read(task_id))
    assert record is not None
    assert (record.result, record.result_omitted) == (b'"short"', False)


async def test_long_results_are_read_on_request_and_waiters_for_the_same_end_share_a_read(
    store: Store, deliveries: ResultDelivery
) -> None:
    task_id = uuid.uuid4().hex
    waiting = [asyncio.ensure_future(deliveries.final_record(task_id)) for _ in range(50)]
    await asyncio.sleep(0)
    await end(store, task_id, LONG)
    before = await sent_bytes(store)
    async with asyncio.timeout(10):
        assert {(await one).result for one in waiting} == {LONG}
        assert [record.result async for record in deliveries.final_records([task_id])] == [LONG]
    assert await sent_bytes(store) - before < 4 * len(LONG)


async def test_nothing_long_is_kept_for_a_slow_reader_and_expired_records_are_reported(
    store: Store, deliveries: ResultDelivery
) -> None:
    ids = [uuid.uuid4().hex for _ in range(3)]
    await end(store, ids[0], LONG)
    stream = deliveries.final_records(ids)
    first = await anext(stream)
    assert (first.task_id, first.result) == (ids[0], LONG)
    for task_id in ids[1:]:
        await store.run(store.calls.submit(task_id, "t", "1", b'{"x":"' + b"y" * 10_000 + b'"}'))
        await store.run(store.calls.start(task_id, 1, "w"))
        await store.run(store.calls.finish(task_id, 1, LONG))
    await until(lambda: deliveries.subscribers == 0)
    # The reader was slow: one task runs again, so the reader waits for the end of that run.
    again = await store.run(store.calls.submit(ids[1], "t", "1", b"{}", recompute=True))
    taking = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)
    await store.run(store.calls.start(ids[1], again.record.attempt, "w"))
    await store.run(store.calls.finish(ids[1], again.record.attempt, b'"new"'))
    got = {(record := await taking).task_id: record.result}
    # The other record has expired.
    await store.redis.delete(store.calls.record_key(ids[2]))
    if ids[2] in got:
        assert got[ids[2]] == LONG
    else:
        assert got == {ids[1]: b'"new"'}
        with pytest.raises(ResultGone):
            await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]


# Batches --------------------------------------------------------------------------------------------------------------


async def test_a_record_that_cannot_be_read_does_not_delay_others(store: Store, deliveries: ResultDelivery) -> None:
    ids, broken = [uuid.uuid4().hex for _ in range(100)], uuid.uuid4().hex
    await store.redis.set(store.calls.record_key(broken), "no hash")
    waiting = [asyncio.ensure_future(deliveries.final_record(task_id)) for task_id in [*ids[:50], broken, *ids[50:]]]
    await asyncio.sleep(0)
    for task_id in ids:
        await run_task(store, task_id)
    async with asyncio.timeout(10):
        done = await asyncio.gather(*(one for i, one in enumerate(waiting) if i != 50))
    assert {record.state for record in done} == {TaskState.SUCCEEDED}
    assert not waiting[50].done()
    # It is read again with the next renewal.
    await store.redis.delete(store.calls.record_key(broken))
    await run_task(store, broken)
    deliveries._topics.renew_all()
    async with asyncio.timeout(5):
        await waiting[50]


async def test_batches_that_fail_are_halved_until_they_succeed_and_nothing_is_dropped(
    store: Store, deliveries: ResultDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.system.background.UNAVAILABLE_BACKOFF_SECONDS", 0.001)
    ids, sizes = [uuid.uuid4().hex for _ in range(64)], list[int]()
    run_many = store.run_many

    async def narrow(calls: Sequence[Any]) -> list[Any]:
        sizes.append(len(calls))
        if len(calls) > 5:
            raise StoreUnavailable("too much at once")
        return await run_many(calls)

    for task_id in ids:
        await run_task(store, task_id)
    monkeypatch.setattr(store, "run_many", narrow)
    async with asyncio.timeout(10):
        await asyncio.gather(*(deliveries.final_record(task_id) for task_id in ids))
    assert sizes[:4] == [32, 16, 8, 4]


async def test_watches_of_many_tasks_are_renewed_in_parts(
    store: Store, deliveries: ResultDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [asyncio.ensure_future(deliveries.final_record(uuid.uuid4().hex)) for _ in range(300)]
    await asyncio.sleep(0)
    await until(lambda: not deliveries._queue.requests, 10)
    monkeypatch.setattr(watch_loop, "RENEWAL_SECONDS", 0.04)
    renewed, parts = set[str](), list[int]()

    def renew(task_ids: Iterable[str]) -> None:
        parts.append(len(set(task_ids)))
        renewed.update(task_ids)

    monkeypatch.setattr(deliveries._queue, "renew", renew)
    await deliveries._watches._renew()
    assert (parts, renewed) == ([75] * 4, set(deliveries._topics))
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_new_subscribers_are_watched_before_renewals(
    store: Store, deliveries: ResultDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [asyncio.ensure_future(deliveries.final_record(uuid.uuid4().hex)) for _ in range(2_000)]
    await asyncio.sleep(0)
    await until(lambda: not deliveries._queue.requests, 10)
    watched = count_watches(deliveries, monkeypatch)
    deliveries._topics.renew_all()
    await until(lambda: watched, pause_seconds=0.001)
    newest = uuid.uuid4().hex
    waiting.append(asyncio.ensure_future(deliveries.final_record(newest)))
    await until(lambda: newest in watched, pause_seconds=0.001)
    assert watched.index(newest) < 3 * MAX_BATCH
    await until(lambda: len(watched) == 2_001)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_after_a_notification_of_another_release_the_record_is_read(
    store: Store, deliveries: ResultDelivery
) -> None:
    for odd in (b"\xc1garbage", msgpack.packb([b"t", b"1", b"{}", b"SUCCEEDED", *[b"1"] * 25])):
        task_id = uuid.uuid4().hex
        waiting = asyncio.ensure_future(deliveries.final_record(task_id))
        await asyncio.sleep(0)
        await until(lambda: not deliveries._queue.requests)
        await run_task(store, task_id)
        await store.command("PUBLISH", store.calls.node_channel(deliveries.node), task_id.encode() + odd)
        async with asyncio.timeout(5):
            assert (await waiting).result == task_id.encode()
        assert deliveries.listening.is_set()


async def test_a_record_whose_result_has_expired_is_still_delivered(settings: Settings) -> None:
    """A long result that expires between the end and the read."""
    store = Store(replace(settings, result_ttl_seconds=1))
    node = ResultDelivery(store, "n", 10, lambda _: None)
    await end(store, task_id := uuid.uuid4().hex, LONG)
    found = await store.run(store.calls.read(task_id))
    assert found is not None
    await store.redis.delete(store.calls.record_key(task_id))
    assert await node._complete(found) is found
    await store.close()
