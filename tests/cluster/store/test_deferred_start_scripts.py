"""The scripts of attempts whose start is deferred leave the same behind as those of attempts that `start` began; on
every engine."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.attempt_errors import error
from cluster.store.async_store import Store
from cluster.store.deferred_start import DeferredStart
from cluster.store.end_counts import parse_end_counts
from cluster.store.record import Record, TaskState
from cluster.store.replies import StartReply, hash_fields
from cluster.task_types.retry_policy import Retries

pytestmark = pytest.mark.every_engine

ID = "b" + "0" * 31
IDS = [f"b{n:031x}" for n in range(1, 20)]
BEGAN = DeferredStart("worker 1", 0.25, 0.5)
LOST = error("WORKER_LOST", "gone")
S = TaskState


async def submit(store: Store, task_id: str = ID, **more: Any) -> None:
    await store.run(store.calls.submit(task_id, "etl", "1", b"{}", **more))


async def look(store: Store, task_id: str = ID) -> tuple[Record, list[str]]:
    """The record, and the kinds of its events, whose numbers have no gaps."""
    found = await store.run(store.calls.watch(task_id, "n", after_seq=0))
    assert found.record is not None
    assert [event.seq for event in found.events] == list(range(1, found.record.seq + 1))
    return found.record, [event.kind for event in found.events]


async def test_a_result_records_that_its_attempt_had_begun(store: Store) -> None:
    await submit(store)
    for _ in range(2):  # a repeated call writes nothing
        assert await store.run(store.calls.finish(ID, 1, b"7", deferred=BEGAN))
    record, kinds = await look(store)
    assert (record.state, record.worker, record.result) == (S.SUCCEEDED, "worker 1", b"7")
    assert record.started_at is not None
    assert record.finished_at == record.started_at + 250
    assert kinds == ["QUEUED", "STARTED", "SUCCEEDED"]
    minute = record.finished_at // 60_000
    [end] = parse_end_counts(hash_fields(await store.command("HGETALL", store.calls.ends_key("b", minute))))
    assert end.wait is not None
    assert end.run is not None
    assert end.wait > end.run > 0
    counts = [
        await store.redis.zcard(f"{store.calls.shard(ID)}:index:{name}")
        for name in ("*", "s:QUEUED", "s:RUNNING", "s:SUCCEEDED", "n:etl:s:QUEUED", "n:etl:s:SUCCEEDED")
    ]
    assert counts == [1, 0, 0, 1, 0, 1]


async def test_a_failure_records_it_too_and_a_retry_leaves_nothing_of_the_attempt(store: Store) -> None:
    await submit(store)
    retries = Retries(1, delay=0)
    failed = error("TASK_FAILED", "no")
    assert await store.run(store.calls.fail(ID, 1, failed, retries=retries, deferred=BEGAN)) == "RETRY"
    record, _ = await look(store)
    assert (record.state, record.worker, record.started_at) == (S.QUEUED, None, None)
    assert await store.run(store.calls.fail(ID, 2, failed, retries=retries, deferred=BEGAN)) == "FAILED"
    record, kinds = await look(store)
    assert (record.state, record.worker) == (S.FAILED, "worker 1")
    assert kinds == ["QUEUED", "STARTED", "RETRY", "STARTED", "FAILED"]


async def test_a_loss_counts_against_a_task_that_had_begun_and_no_other(store: Store) -> None:
    for task_id, began in zip(IDS, (BEGAN, None), strict=False):
        await submit(store, task_id)
        await store.run(store.calls.claim_due("b", 1))
        assert await store.run(store.calls.mark_lost(task_id, 1, "worker", LOST, deferred=began)) == "QUEUED"
    assert [(await look(store, task_id))[0].lost for task_id in IDS[:2]] == [1, 0]
    assert (await look(store, IDS[0]))[1] == ["QUEUED", "STARTED", "LOST"]


async def test_the_changes_of_a_shard_have_both_steps(store: Store) -> None:
    page = await store.run(store.calls.read_changes("b", None, listen=True))
    await submit(store)
    await store.run(store.calls.finish(ID, 1, b"7", deferred=BEGAN))
    found = await store.run(store.calls.read_changes("b", page.last, limit=10))
    assert [(change.event.kind, change.was, change.event.state) for change in found.changes] == [
        ("QUEUED", None, S.QUEUED),
        ("STARTED", S.QUEUED, S.RUNNING),
        ("SUCCEEDED", S.RUNNING, S.SUCCEEDED),
    ]


async def test_what_was_started_meanwhile_ends_as_usual_and_what_was_superseded_is_refused(store: Store) -> None:
    await submit(store, IDS[0])
    await store.run(store.calls.start(IDS[0], 1, "w"))
    assert await store.run(store.calls.finish(IDS[0], 1, b"7", deferred=BEGAN))
    record, kinds = await look(store, IDS[0])
    assert (record.worker, kinds) == ("w", ["QUEUED", "STARTED", "SUCCEEDED"])
    await submit(store, IDS[1])
    await store.run(store.calls.mark_lost(IDS[1], 1, "none", LOST))
    assert not await store.run(store.calls.finish(IDS[1], 1, b"7", deferred=BEGAN))
    await submit(store, IDS[2])
    await store.run(store.calls.cancel(IDS[2]))
    assert not await store.run(store.calls.finish(IDS[2], 1, b"7", deferred=BEGAN))
    await submit(store, IDS[3])
    assert not await store.run(store.calls.finish(IDS[3], 1, b"7"))
    assert (await look(store, IDS[3]))[0].state is S.QUEUED


async def test_a_look_at_several_attempts_finds_those_that_need_no_start(store: Store) -> None:
    calls = store.calls
    for task_id in IDS[:8]:
        await submit(store, task_id, start_within_seconds=60 if task_id == IDS[4] else None)
    await store.run(calls.cancel(IDS[1]))
    await store.run(calls.start(IDS[2], 1, "w"))
    await store.run(calls.mark_lost(IDS[3], 1, "none", LOST))
    # Lost with its worker before anybody said that it had begun: it may be at fault.
    await store.run(calls.mark_lost(IDS[5], 1, "worker", LOST))
    await store.run(calls.mark_lost(IDS[6], 1, "undelivered", LOST))
    wanted = [(IDS[0], 1), (IDS[1], 1), (IDS[2], 1), (IDS[3], 1), (IDS[4], 1), (IDS[5], 2), (IDS[6], 2), (IDS[9], 1)]
    found = await store.run(calls.read_starts(wanted))
    assert [reply is not None for reply in found] == [True, False, False, False, False, False, True, False]
    assert found[0] is not None
    assert found[0].waited_seconds is not None
    assert found[6] == StartReply("RUN", None, version="1")
    assert found[0] == StartReply("RUN", found[0].waited_seconds, version="1")
