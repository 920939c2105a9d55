"""The scripts: what each returns, and what it leaves in Redis."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest

from cluster.attempt_errors import error
from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.record import Record, SubmissionOutcome, TaskState
from cluster.store.replies import SubmitReply, parse_notification
from cluster.store.task_calls import CancelMode, LossReason
from cluster.store.task_filter import TaskFilter
from cluster.store.thread_store import ThreadStore
from cluster.task_types.retry_policy import Retries
from tests.system import RedisServer

pytestmark = pytest.mark.every_engine

ID = "b9a7c7263c0332d12e52f09809754586"
NEW, JOINED, CACHED, RECOMPUTED = SubmissionOutcome


async def submit(
    store: Store, task_id: str = ID, *, recompute: bool = False, not_before: int | None = None
) -> SubmitReply:
    return await store.run(
        store.calls.submit(task_id, "fibonacci", "1", b'{"n":90}', recompute=recompute, not_before=not_before)
    )


async def start(store: Store, attempt: int = 1, worker: str = "w1") -> str:
    return (await store.run(store.calls.start(ID, attempt, worker))).verdict


async def finish(store: Store, attempt: int = 1, result: bytes = b"{}") -> int:
    return await store.run(store.calls.finish(ID, attempt, result))


async def lose(store: Store, attempt: int, loss_reason: LossReason = "none") -> str:
    return await store.run(store.calls.mark_lost(ID, attempt, loss_reason, error("WORKER_LOST", "lost")))


async def due(store: Store, cutoff: int | None = None) -> list[tuple[str, int]]:
    _, items = await store.run(store.calls.claim_due(ID[0], 100, cutoff))
    return [(item.action, item.attempt) for item in items]


async def record(store: Store) -> Record:
    found = await store.read(ID)
    assert found is not None
    return found


async def test_the_submitter_of_a_new_task_must_dispatch_it(store: Store) -> None:
    submitted = await submit(store)
    assert (submitted.outcome, submitted.dispatch) == (NEW, True)
    assert (submitted.record.state, submitted.record.attempt, submitted.record.seq) == (TaskState.QUEUED, 1, 1)
    assert submitted.record.input == b'{"n":90}'


async def test_a_task_in_flight_is_joined_and_a_done_one_is_cached(store: Store) -> None:
    await submit(store)
    again = await submit(store)
    assert (again.outcome, again.dispatch, again.record.submissions) == (JOINED, False, 2)
    await start(store)
    assert (await submit(store)).outcome is JOINED
    await finish(store, result=b'{"n":90}')
    cached = await submit(store)
    assert (cached.outcome, cached.dispatch, cached.record.result) == (CACHED, False, b'{"n":90}')


async def test_a_result_that_another_version_of_the_code_made_is_delivered_but_not_reused(store: Store) -> None:
    await submit(store)
    assert await start(store) == "RUN"
    assert await store.run(store.calls.finish(ID, 1, b"{}", made_by="2"))
    assert (await record(store)).result == b"{}"
    again = await submit(store)
    assert (again.outcome, again.record.attempt) == ("RECOMPUTED", 2)
    assert await start(store, 2) == "RUN"
    assert await finish(store, 2)
    assert (await submit(store)).outcome == "CACHED"


async def test_a_worker_is_told_which_version_a_task_was_submitted_for(store: Store) -> None:
    await store.run(store.calls.submit(ID, "demo", "2 of us", b"{}"))
    reply = await store.run(store.calls.start(ID, 1, "w1"))
    assert (reply.verdict, reply.trace, reply.version) == ("RUN", "", "2 of us")
    again = await store.run(store.calls.start(ID, 1, "w1"))
    assert (again.waited_seconds, again.version) == (None, "2 of us"), "the reply to a repeated call"


async def test_recompute_runs_a_done_task_again_with_a_higher_attempt(store: Store) -> None:
    await submit(store)
    await start(store)
    await finish(store)
    again = await submit(store, recompute=True)
    assert (again.outcome, again.dispatch) == (RECOMPUTED, True)
    assert (again.record.state, again.record.attempt, again.record.result) == (TaskState.QUEUED, 2, None)
    assert again.record.expires_at is None


async def test_a_failed_and_a_cancelled_task_run_again_on_the_next_submission(store: Store) -> None:
    await submit(store)
    await start(store)
    assert await store.run(store.calls.fail(ID, 1, error("TASK_FAILED", "no"))) == "FAILED"
    again = await submit(store)
    assert (again.outcome, again.record.attempt, again.record.error) == (RECOMPUTED, 2, None)
    assert (await store.run(store.calls.cancel(ID)))[0]
    again = await submit(store)
    assert (again.outcome, again.record.attempt) == (RECOMPUTED, 3)


async def test_the_fence_refuses_a_late_attempt(store: Store) -> None:
    await submit(store)
    await start(store)
    assert await lose(store, 1) == "QUEUED"
    assert not await finish(store, 1, b"late")
    assert await store.run(store.calls.fail(ID, 1, error("X", "late"))) == "REFUSED"
    assert not await store.run(store.calls.progress(ID, 1, 0.5))
    assert await due(store) == [("dispatch", 2)]
    assert await start(store, 2) == "RUN"
    assert await finish(store, 2, b"right")
    assert not await finish(store, 2, b"twice")
    assert (await record(store)).result == b"right"


async def test_start_says_why_an_attempt_must_not_run(store: Store) -> None:
    assert await start(store) == "GONE"
    await submit(store)
    assert await start(store, 2) == "STALE"
    assert await start(store, 1, "w1") == "RUN"
    assert await start(store, 1, "w2") == "ALIVE"
    silent_since = int(time.time() * 1000) - 10_000
    await store.redis.hset(store.calls.record_key(ID), mapping={"started_at": silent_since})
    assert await start(store, 1, "w2") == "TAKEN"
    # A check by the recoverer is no heartbeat.
    await store.run(store.calls.claim_due(ID[0], 10, int(time.time() * 1000) + 60_000))
    assert await start(store, 1, "w2") == "TAKEN"
    assert await store.run(store.calls.progress(ID, 1, None))
    assert await start(store, 1, "w2") == "ALIVE"
    await finish(store)
    assert await start(store, 1) == "ENDED"


async def test_only_silent_or_unstarted_attempts_are_moved_and_it_counts_against_nothing(store: Store) -> None:
    await submit(store)
    assert await lose(store, 1, "unbegun") == "QUEUED"
    assert await due(store) == [("dispatch", 2)]
    assert await start(store, 2) == "RUN"
    assert await lose(store, 2, "unbegun") == "BEGUN"
    assert await lose(store, 2, "silent") == "HEARD"
    await store.redis.hset(store.calls.record_key(ID), mapping={"started_at": 1})
    assert await lose(store, 2, "silent") == "QUEUED"
    moved = await record(store)
    assert (moved.attempt, moved.lost, moved.state) == (3, 0, TaskState.QUEUED)


async def test_a_failing_attempt_is_retried_after_its_delay_as_often_as_allowed(store: Store) -> None:
    await submit(store)
    await start(store)
    fail = store.calls.fail(ID, 1, error("TASK_FAILED", "no"), retries=Retries(1, delay=0))
    assert await store.run(fail) == "RETRY"
    assert (await record(store)).state is TaskState.QUEUED
    assert await due(store) == [("dispatch", 2)]
    await start(store, 2)
    fail = store.calls.fail(ID, 2, error("TASK_FAILED", "no"), retries=Retries(1, delay=0))
    assert await store.run(fail) == "FAILED"
    ended = await record(store)
    assert (ended.state, ended.retries, ended.error_fields()) == (
        TaskState.FAILED, 1, {"code": "TASK_FAILED", "message": "no", "type": None},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("retries", "pauses"),
    [
        (Retries(9), [1, 2, 4, 8]),
        (Retries(9, delay=3, factor=3, max_delay=20), [3, 9, 20, 20]),
        (Retries(9, delay=100), [100, 100]),
        (Retries(9, delay=0, factor=1_000), [0, 0, 0]),
    ],
)
async def test_the_pauses_before_retries_grow_up_to_the_longest(
    store: Store, retries: Retries, pauses: list[float]
) -> None:
    await submit(store)
    for attempt, pause in enumerate(pauses, 1):
        before = await store.server_milliseconds()
        assert await store.run(store.calls.fail(ID, attempt, error("X", "no"), retries=retries)) == "RETRY"
        due_at = float(await store.command("ZSCORE", f"{store.calls.shard(ID)}:open", ID))
        assert pause * 1_000 <= due_at - before <= pause * 1_000 + 500


async def test_jitter_spreads_the_pause_and_a_very_long_run_of_retries_stays_bounded(store: Store) -> None:
    retries = Retries(1_000, delay=10, factor=1_000, jitter=0.5)
    await submit(store)
    await store.command("HSET", store.calls.record_key(ID), "retries", 999)
    before = await store.server_milliseconds()
    await store.run(store.calls.fail(ID, 1, error("X", "no"), retries=retries))
    due_at = float(await store.command("ZSCORE", f"{store.calls.shard(ID)}:open", ID))
    assert 30_000 <= due_at - before <= 90_500


async def test_a_retry_is_not_due_before_its_delay(store: Store) -> None:
    await submit(store)
    await start(store)
    await store.run(store.calls.fail(ID, 1, error("X", "no"), retries=Retries(1, delay=60)))
    assert await due(store) == []
    assert await due(store, int(time.time() * 1000) + 120_000) == []


async def test_a_task_may_lose_a_limited_number_of_workers(store: Store) -> None:
    await submit(store)
    for attempt in (1, 2):
        await start(store, attempt)
        assert await lose(store, attempt, "worker") == "QUEUED"
        assert await due(store) == [("dispatch", attempt + 1)]
    await start(store, 3)
    assert await lose(store, 3, "worker") == "FAILED"
    ended = await record(store)
    assert (ended.state, ended.lost, ended.error_fields()["code"]) == (TaskState.FAILED, 3, "WORKER_LOST")  # type: ignore[index]


async def test_a_lost_worker_does_not_count_against_an_attempt_that_had_not_started(store: Store) -> None:
    await submit(store)
    for attempt in range(1, 8):
        assert await lose(store, attempt, "worker") == "QUEUED"
        assert await due(store) == [("dispatch", attempt + 1)]
    assert (await record(store)).lost == 0


async def test_an_attempt_that_waits_to_be_dispatched_cannot_be_lost(store: Store) -> None:
    await submit(store)
    assert await lose(store, 1) == "QUEUED"
    assert await lose(store, 2) == "REFUSED"


async def test_a_task_that_the_scheduler_never_knows_fails_in_the_end(store: Store) -> None:
    await submit(store)
    verdicts = []
    for attempt in range(1, 40):
        verdicts.append(await lose(store, attempt, "undelivered"))
        if verdicts[-1] == "FAILED":
            break
        await due(store)
    assert len(verdicts) == 20


async def test_a_released_attempt_is_dispatched_under_the_same_number(store: Store) -> None:
    await submit(store)
    assert await store.run(store.calls.release(ID, 1))
    assert not await store.run(store.calls.release(ID, 1))
    assert await due(store) == [("dispatch", 1)]
    assert await due(store) == []


async def test_cancelling_ends_an_open_task_and_changes_no_final_one(store: Store) -> None:
    assert await store.run(store.calls.cancel(ID)) == (False, None)
    await submit(store)
    await start(store)
    changed, cancelled = await store.run(store.calls.cancel(ID))
    assert changed
    assert cancelled is not None
    assert cancelled.state is TaskState.CANCELLED
    assert not await finish(store)
    again, same = await store.run(store.calls.cancel(ID))
    assert (again, same) == (False, cancelled)


async def test_a_delayed_task_is_dispatched_when_it_is_due(store: Store) -> None:
    now = int((await store.redis.time())[0]) * 1000
    submitted = await submit(store, not_before=now + 60_000)
    assert not submitted.dispatch
    assert await due(store) == []
    await store.redis.zadd(f"{store.calls.shard(ID)}:open", {ID: now})
    assert await due(store) == [("dispatch", 1)]


async def test_a_new_schedulers_cutoff_makes_every_dispatched_task_due_once(store: Store) -> None:
    await submit(store)
    assert await due(store) == []
    cutoff = int(time.time() * 1000) + 15_000
    assert await due(store, cutoff) == [("check", 1)]
    assert await due(store, cutoff) == []


async def test_only_watching_nodes_are_notified_and_only_of_what_they_want(store: Store) -> None:
    pubsub = store.redis.pubsub()
    await pubsub.subscribe(*[store.calls.node_channel(node) for node in ("final", "every", "gone", "other")])
    for _ in range(4):
        await pubsub.get_message(timeout=1)
    assert (await store.run(store.calls.watch(ID, "final"))).record is None
    await store.run(store.calls.watch(ID, "every", every_event=True))
    await store.run(store.calls.watch(ID, "gone"))
    await store.run(store.calls.unwatch(ID, "gone"))
    await submit(store)
    await start(store)
    await finish(store)
    heard = []
    while message := await pubsub.get_message(timeout=0.2):
        heard.append((message["channel"].decode().rsplit(":", 1)[1], *parse_notification(message["data"])))
    every = ("every", ID, None)
    assert sorted(heard, key=lambda item: item[0]) == [every, every, every, ("final", ID, await record(store))]
    assert await store.redis.exists(f"{store.calls.shard(ID)}:watch:{ID}") == 0
    await pubsub.aclose()  # type: ignore[no-untyped-call]


async def test_a_long_record_is_left_out_of_its_notification(store: Store) -> None:
    pubsub = store.redis.pubsub()
    await pubsub.subscribe(store.calls.node_channel("node"))
    await pubsub.get_message(timeout=1)
    await store.run(store.calls.watch(ID, "node"))
    await submit(store)
    await start(store)
    await finish(store, result=b'"' + b"x" * 4096 + b'"')
    message = await pubsub.get_message(timeout=1)
    assert message is not None
    assert parse_notification(message["data"]) == (ID, None)
    await pubsub.aclose()  # type: ignore[no-untyped-call]


async def test_watching_a_final_task_returns_it_and_registers_no_watcher(store: Store) -> None:
    await submit(store)
    await start(store)
    await finish(store, result=b"1")
    watched = await store.run(store.calls.watch(ID, "node"))
    assert watched.record is not None
    assert watched.record.result == b"1"
    assert await store.redis.exists(f"{store.calls.shard(ID)}:watch:{ID}") == 0


async def test_events_are_numbered_without_gaps_and_can_be_read_from_any_number(store: Store) -> None:
    await submit(store)
    await start(store)
    for step in range(5):
        assert await store.run(store.calls.progress(ID, 1, step / 10))
    await finish(store)
    for after in range(9):
        watched = await store.run(store.calls.watch(ID, "n", every_event=True, after_seq=after))
        assert [event.seq for event in watched.events] == list(range(after + 1, 9))
    kinds = [event.kind for event in (await store.run(store.calls.watch(ID, "n", after_seq=0))).events]
    assert kinds == ["QUEUED", "STARTED", *["PROGRESS"] * 5, "SUCCEEDED"]


async def test_the_event_log_is_bounded_and_keeps_the_newest(settings: Settings) -> None:
    store = Store(replace(settings, event_limit=10))
    await submit(store)
    await start(store)
    for step in range(50):
        await store.run(store.calls.progress(ID, 1, (step + 1) / 100))
    events = (await store.run(store.calls.watch(ID, "n", after_seq=0))).events
    assert [event.seq for event in events] == list(range(43, 53))
    await store.close()


def lines(first: int, *texts: str) -> bytes:
    """Lines as a worker sends them, each a second old."""
    return "\n".join([str(first), *(f"1000 INFO {text}" for text in texts)]).encode()


async def log_of(store: Store) -> list[tuple[int, int, str]]:
    return [(line.number, line.attempt, line.text) for line in await store.read_log(ID)]


async def test_lines_of_a_task_are_numbered_through_its_attempts_and_kept_as_long_as_the_record(store: Store) -> None:
    calls = store.calls
    await submit(store)
    await start(store)
    before = await store.server_milliseconds()
    await store.run(calls.progress(ID, 1, None, b"", lines(1, "a", "b c")))
    await store.run(calls.progress(ID, 1, 0.5, b"", lines(2, "b c", "d")))  # the reply to the first one was lost
    assert await log_of(store) == [(1, 1, "a"), (2, 1, "b c"), (3, 1, "d")]
    assert abs((await store.read_log(ID))[0].at - (before - 1000)) < 1000
    assert await store.run(calls.fail(ID, 1, error("X", "x"), retries=Retries(1), lines=lines(4, "e"))) == "RETRY"
    await store.run(calls.claim_due(ID[0], 100, await store.server_milliseconds() + 60_000))
    await start(store, 2)
    # Lines 1 and 2 of this attempt were dropped by the worker.
    await store.run(calls.finish(ID, 2, b"1", lines=lines(3, "f")))
    assert await log_of(store) == [(1, 1, "a"), (2, 1, "b c"), (3, 1, "d"), (4, 1, "e"), (7, 2, "f")]
    assert await store.redis.pttl(calls.log_key(ID)) > 0
    await submit(store, recompute=True)
    assert await log_of(store) == []
    await start(store, 3)
    await store.run(calls.progress(ID, 3, None, b"", lines(1, "g")))
    assert await log_of(store) == [(8, 3, "g")]


async def test_lines_of_an_attempt_that_may_not_run_are_refused(store: Store) -> None:
    await submit(store)
    await start(store)
    await store.run(store.calls.cancel(ID))
    assert not await store.run(store.calls.progress(ID, 1, None, b"", lines(1, "late")))
    assert not await store.run(store.calls.finish(ID, 1, b"1", lines=lines(1, "late")))
    assert await log_of(store) == []


async def test_the_log_of_a_task_is_bounded_and_counts_for_its_account(store: Store) -> None:
    calls = store.calls
    await store.run(calls.submit(ID, "fibonacci", "1", b'{"n":90}', account="acme"))
    await start(store)
    await store.run(calls.progress(ID, 1, None, b"", lines(1, *(str(number) for number in range(300)))))
    assert [number for number, _, _ in await log_of(store)] == list(range(101, 301))
    await store.run(calls.progress(ID, 1, None, b"", lines(301, *["x" * 2000] * 40)))
    stored = await store.redis.lrange(calls.log_key(ID), 0, -1)
    assert 60_000 < sum(map(len, stored)) <= 65_536
    await store.run(calls.finish(ID, 1, b"1"))
    kept_bytes = 1500 + len(b'{"n":90}') + 1 + sum(map(len, stored))
    assert await store.redis.hget(f"{calls.shard(ID)}:kept", ID) == f"acme {kept_bytes} 0".encode()


async def test_repeated_progress_is_a_heartbeat_but_no_event(store: Store) -> None:
    await submit(store)
    await start(store)
    await store.run(store.calls.progress(ID, 1, 0.5))
    seq = (await record(store)).seq
    assert await store.run(store.calls.progress(ID, 1, 0.5))
    assert await store.run(store.calls.progress(ID, 1, None))
    assert (await record(store)).seq == seq


async def test_a_report_has_a_message_and_data_until_the_next_one_or_another_attempt(store: Store) -> None:
    """The data are returned byte for byte: decoded and encoded in Lua, numbers would change."""
    await submit(store)
    await start(store)
    data = b'{"big":12345678901234567890,"share":0.10,"none":[]}'
    for _ in range(2):
        assert await store.run(store.calls.progress(ID, 1, 0.5, message="reading", data=data))
    # A heartbeat of an earlier release, and of the watchdog.
    assert await store.run(store.calls.progress(ID, 1, None))
    found = await record(store)
    assert (found.progress, found.message, found.data) == (0.5, "reading", data)
    assert await store.run(store.calls.progress(ID, 1, None, message="writing"))
    found = await record(store)
    assert (found.progress, found.message, found.data) == (0.5, "writing", None)
    watched = await store.run(store.calls.watch(ID, "node", every_event=True, after_seq=2))
    assert [(event.kind, event.progress, event.message, event.data) for event in watched.events] == [
        ("PROGRESS", 0.5, "reading", data), ("PROGRESS", 0.5, "writing", None),
    ]  # fmt: skip
    await store.run(store.calls.mark_lost(ID, 1, "worker", error("WORKER_LOST", "it died")))
    found = await record(store)
    assert (found.message, found.data) == ("", None)


async def test_a_run_that_runs_out_of_memory_moves_to_the_larger_pool_once(store: Store) -> None:
    calls = store.calls
    await store.run(calls.submit(ID, "train", "1", b"{}", next_pool="big"))
    # One that had not started, or that died of something else, stays.
    assert await lose(store, 1, "memory") == "QUEUED"
    await due(store)
    await start(store, 2)
    assert await lose(store, 2, "worker") == "QUEUED"
    await due(store)
    await start(store, 3)
    assert await lose(store, 3, "memory") == "MOVED big"
    assert await lose(store, 3, "memory") == "REFUSED"
    found = await record(store)
    assert (found.state, found.attempt, found.lost, found.pool) == (TaskState.QUEUED, 4, 2, "big")
    [event] = (await store.run(calls.watch(ID, "node", after_seq=found.seq - 1))).events
    assert (event.kind, event.message) == ("LOST", "it goes on in the pool big: lost")
    _, items = await store.run(calls.claim_due(ID[0], 100))
    [item] = items
    assert (item.action, item.attempt, item.resumes, item.pool) == ("dispatch", 4, True, "big")
    # A retry stays there, and so does a submission that hastens it.
    await start(store, 4)
    assert await store.run(calls.fail(ID, 4, error("TASK_FAILED", "no"), retries=Retries(1, delay=0))) == "RETRY"
    _, items = await store.run(calls.claim_due(ID[0], 100))
    assert [item.pool for item in items] == ["big"]
    hastened = await store.run(calls.submit(ID, "train", "1", b"{}", priority=5, next_pool="big"))
    assert (hastened.dispatch, hastened.record.pool) == (True, "big")
    # There, it counts as any other loss.
    await start(store, 6)
    assert await lose(store, 6, "memory") == "FAILED"
    assert (await record(store)).pool == "big"
    # A new run begins in the pool of its type, and may move again.
    again = await store.run(calls.submit(ID, "train", "1", b"{}", next_pool="big"))
    assert (again.outcome, (await record(store)).pool) == (RECOMPUTED, "")
    await start(store, 7)
    assert await lose(store, 7, "memory") == "MOVED big"


async def test_the_recoverer_learns_the_larger_pool_of_an_attempt_that_the_scheduler_lost(store: Store) -> None:
    calls = store.calls
    await store.run(calls.submit(ID, "train", "1", b"{}", next_pool="big"))
    await start(store)
    await lose(store, 1, "memory")
    await due(store)
    verdict, item = await store.run(calls.replace_lost(ID, 2, "none", error("WORKER_LOST", "lost")))
    assert verdict == "QUEUED"
    assert item is not None
    assert (item.attempt, item.pool) == (3, "big")


async def test_the_list_is_newest_first_and_its_pages_have_no_gap_or_overlap(store: Store) -> None:
    ids = [f"{SHARDS[i % 16]}{i:031x}" for i in range(60)]
    for task_id in ids:
        await submit(store, task_id)
    pages: list[str] = []
    before = None
    while page := await store.list_tasks(7, below=before):
        pages += [task_id for _, task_id in page]
        before = page[-1]
    assert sorted(pages) == sorted(ids)
    assert len(pages) == len(set(pages))
    times = [(await store.read(task_id)).submitted_at for task_id in pages]  # type: ignore[union-attr]
    assert times == sorted(times, reverse=True)


async def test_the_age_of_the_queue_is_that_of_its_oldest_task(store: Store) -> None:
    assert await store.oldest_queued_at() is None
    await submit(store)
    record = await store.list_tasks(1)
    assert await store.oldest_queued_at() == pytest.approx(record[0][0] / 1_000, abs=0.001)
    await start(store)
    assert await store.oldest_queued_at() is None


async def test_the_lists_by_state_and_name_follow_the_record(store: Store) -> None:
    async def places() -> list[str]:
        return [
            f"{state}/{name}"
            for state in TaskState
            for name in (None, "fibonacci")
            if await store.list_tasks(
                5, wanted=TaskFilter(states=frozenset({state}), names=None if name is None else frozenset({name}))
            )
        ]

    await submit(store)
    assert await places() == ["QUEUED/None", "QUEUED/fibonacci"]
    await start(store)
    assert await places() == ["RUNNING/None", "RUNNING/fibonacci"]
    await finish(store)
    assert await places() == ["SUCCEEDED/None", "SUCCEEDED/fibonacci"]
    assert (await store.counts())[TaskState.SUCCEEDED] == 1
    assert await store.list_tasks(5, wanted=TaskFilter(names=frozenset({"other"}))) == []


async def test_what_has_expired_is_gone_from_reads_and_lists(settings: Settings) -> None:
    store = Store(replace(settings, result_ttl_seconds=1))
    await submit(store)
    await start(store)
    await finish(store)
    async with asyncio.timeout(5):
        while await store.read(ID) is not None:
            await asyncio.sleep(0.05)
    assert (await store.run(store.calls.watch(ID, "n"))).record is None
    async with asyncio.timeout(5):
        while not await store.run(store.calls.prune(ID[0], 10)):
            await asyncio.sleep(0.05)
    assert await store.list_tasks(5) == []
    assert (await submit(store)).outcome is NEW
    await store.redis.delete(f"{store.calls.shard(ID)}:watch:{ID}")
    await store.close()


async def test_a_submission_that_finds_a_result_can_still_read_it_by_its_next_request(settings: Settings) -> None:
    """A client that is told CACHED subscribes next, and would wait for ever if the record expired in between."""
    store = Store(replace(settings, result_ttl_seconds=40))
    await submit(store)
    await start(store)
    await finish(store)
    record, expiry = store.calls.record_key(ID), f"{store.calls.shard(ID)}:expiry"

    async def age(milliseconds: int) -> None:
        """As if the task had ended that much earlier."""
        for field in ("finished_at", "expires_at"):
            await store.redis.hincrby(record, field, -milliseconds)

    fresh = (await submit(store)).record.expires_at
    await age(39_000)
    found = await submit(store)
    due = found.record.expires_at
    assert fresh is not None
    assert due is not None
    assert (found.outcome, due) == (CACHED, fresh - 39_000 + 20_000)
    for key in (record, f"{store.calls.shard(ID)}:events:{ID}"):
        assert abs(await store.server_milliseconds() + await store.redis.pttl(key) - due) < 1_000
    entries: Any = await store.redis.zrange(expiry, 0, -1, withscores=True)
    assert [score for _, score in entries] == [due]
    again = await submit(store)
    assert (again.outcome, again.record.expires_at) == (CACHED, due)
    await age(1_000)
    assert (await submit(store)).outcome is RECOMPUTED, "a result does not stay for ever because it is asked for"
    await store.close()


async def test_a_task_that_runs_again_is_not_pruned_with_its_former_end(settings: Settings) -> None:
    store = Store(replace(settings, result_ttl_seconds=1))
    await submit(store)
    await start(store)
    await finish(store)
    await submit(store, recompute=True)
    expiry = f"{store.calls.shard(ID)}:expiry"
    assert await store.redis.zcard(expiry) == 0
    assert await store.redis.ttl(store.calls.record_key(ID)) == -1
    await store.close()


async def test_zero_keeps_results_for_ever(settings: Settings) -> None:
    store = Store(replace(settings, result_ttl_seconds=0))
    await submit(store)
    await start(store)
    await finish(store)
    assert (await record(store)).expires_at is None
    assert await store.redis.ttl(store.calls.record_key(ID)) == -1
    await store.close()


async def test_lost_scripts_are_loaded_again_without_running_anything_twice(store: Store) -> None:
    await store.redis.script_flush()
    assert (await submit(store)).outcome is NEW
    await store.redis.script_flush()
    ids = [f"{digit}{ID[1:]}" for digit in SHARDS]
    claimed = await store.run_many([store.calls.submit(task_id, "fibonacci", "1", b"{}") for task_id in ids])
    assert [item.outcome for item in claimed] == [JOINED if task_id == ID else NEW for task_id in ids]


async def test_a_missing_redis_is_reported_within_two_seconds(settings: Settings, redis_server: RedisServer) -> None:
    store = Store(replace(settings, redis_url="redis://127.0.0.1:1/0"))
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await submit(store)
    assert time.monotonic() - begun < 5
    await store.close()


async def test_a_hanging_redis_is_reported_within_two_seconds(settings: Settings) -> None:
    async def told(answer: Awaitable[object]) -> float:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await answer
        return time.monotonic() - begun

    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = Store(replace(settings, redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))
        waits = await asyncio.gather(told(submit(store)), told(store.read(ID)), told(store.list_tasks(5)))
        assert max(waits) < 2
        await store.close()


async def test_the_pages_of_one_state_and_name_continue_across_the_shards(store: Store) -> None:
    ids = [f"{SHARDS[i % 16]}{i:031x}" for i in range(40)]
    for i, task_id in enumerate(ids):
        await store.run(store.calls.submit(task_id, "even" if i % 2 == 0 else "odd", "1", b"{}"))
        if i % 4 == 0:
            await store.run(store.calls.cancel(task_id))
    pages: list[str] = []
    before = None
    while page := await store.list_tasks(
        3, below=before, wanted=TaskFilter(states=frozenset({TaskState.QUEUED}), names=frozenset({"even"}))
    ):
        pages += [task_id for _, task_id in page]
        before = page[-1]
    assert len(pages) == len(set(pages))
    assert sorted(pages) == sorted(task_id for i, task_id in enumerate(ids) if i % 4 == 2)


async def test_a_task_submitted_meanwhile_does_not_disturb_the_next_page(store: Store) -> None:
    ids = [f"{SHARDS[i % 16]}{i:031x}" for i in range(10)]
    for task_id in ids:
        await submit(store, task_id)
    first = await store.list_tasks(5)
    await submit(store, "f" * 32)
    second = await store.list_tasks(50, below=first[-1])
    assert sorted(task_id for _, task_id in first + second) == sorted(ids)


async def test_a_watcher_expires_and_one_of_every_event_is_not_replaced_by_one_of_the_end(store: Store) -> None:
    await store.run(store.calls.watch(ID, "node", every_event=True))
    await store.run(store.calls.watch(ID, "node"))
    key = f"{store.calls.shard(ID)}:watch:{ID}"
    assert await store.redis.hgetall(key) == {b"node": b"e"}
    assert 0 < await store.redis.ttl(key) <= 180


async def test_a_cancelled_delayed_task_is_never_dispatched(store: Store) -> None:
    now = int((await store.redis.time())[0]) * 1000
    await submit(store, not_before=now + 60_000)
    await store.run(store.calls.cancel(ID))
    assert await due(store, now + 120_000) == []
    assert await store.redis.zcard(f"{store.calls.shard(ID)}:open") == 0


# Faults of today -----------------------------------------------------------------------------------------------------


async def test_a_task_that_expired_and_runs_again_is_in_the_lists_once(store: Store) -> None:
    await submit(store)
    await start(store)
    await finish(store)
    # As when Redis expires the keys before the task is pruned.
    await store.redis.delete(store.calls.record_key(ID), f"{store.calls.shard(ID)}:events:{ID}")
    assert (await submit(store)).outcome is NEW
    assert [
        state for state in TaskState if await store.list_tasks(5, wanted=TaskFilter(states=frozenset({state})))
    ] == [TaskState.QUEUED]
    assert await store.redis.zcard(f"{store.calls.shard(ID)}:expiry") == 0


async def test_pages_continue_where_a_whole_shard_was_submitted_in_one_millisecond(store: Store) -> None:
    ids = {f"0{i:031x}" for i in range(200)}
    await store.redis.zadd(store.calls.index_key("0", None, None), dict.fromkeys(ids, 1_000))
    found: set[str] = set()
    before = None
    while page := await store.list_tasks(5, below=before):
        found |= {task_id for _, task_id in page}
        before = page[-1]
    assert found == ids


async def test_tasks_that_are_not_due_yet_do_not_hide_dispatched_ones_from_a_sweep(store: Store) -> None:
    now = int((await store.redis.time())[0]) * 1000
    for i in range(3):
        await submit(store, f"{ID[0]}{i:031x}", not_before=now + 10_000)
    await submit(store)
    checked: list[str] = []
    for _ in range(5):
        more, items = await store.run(store.calls.claim_due(ID[0], 3, now + 20_000))
        checked += [item.task_id for item in items]
        if not more:
            break
    assert checked == [ID]


async def test_a_start_whose_reply_was_lost_may_be_repeated(store: Store) -> None:
    await submit(store)
    assert await start(store, 1, "w1") == "RUN"
    assert await start(store, 1, "w1") == "RUN"


async def test_a_store_whose_connections_do_not_close_lets_the_rest_of_its_node_close(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(settings)
    await store.command("PING")
    close = store.redis.aclose
    monkeypatch.setattr(store.redis, "aclose", asyncio.Event().wait)
    monkeypatch.setattr("cluster.store.async_store.CLOSE_TIMEOUT_SECONDS", 0.05)
    await store.close()
    await close()


async def test_a_database_that_does_not_exist_is_reported_as_an_unavailable_redis(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(settings, redis_url=settings.redis_url.rpartition("/")[0] + "/99")
    store, thread_store = Store(wrong), ThreadStore(wrong, retry_seconds=0)
    with pytest.raises(StoreUnavailable, match="DB index is out of range"):
        await store.command("PING")
    with pytest.raises(StoreUnavailable, match="DB index is out of range"):
        await store.run(store.calls.watch(ID, "n"))
    with pytest.raises(StoreUnavailable, match="DB index is out of range"):
        await asyncio.to_thread(thread_store.run, thread_store.calls.watch(ID, "n"))
    await store.close()
    assert [record.message for record in caplog.records if record.levelname == "WARNING"].count(caplog.messages[0]) == 1
    assert "DB index is out of range" in caplog.text


# Several submitters --------------------------------------------------------------------------------------------------

ANNA, BEN, EVE = (Actor(f"key:{name}", tenant, name) for name, tenant in (("anna", "a"), ("ben", "a"), ("eve", "e")))
LATER = 253_402_300_799_000


async def submit_as(store: Store, actor: Actor, **options: Any) -> SubmitReply:
    return await store.run(store.calls.submit(ID, "fibonacci", "1", b'{"n":90}', actor=actor, **options))


async def end(store: Store, actor: Actor, mode: CancelMode) -> bool:
    """Whether it ended the task."""
    ended, _ = await store.run(store.calls.cancel(ID, actor, mode))
    return ended


async def test_who_joins_need_not_wait_for_the_not_before_of_others(store: Store) -> None:
    first = await submit_as(store, EVE, not_before=LATER)
    assert not first.dispatch
    soon = await store.server_milliseconds() + 60_000
    earlier = await submit_as(store, BEN, not_before=soon)
    assert (earlier.outcome, earlier.dispatch, earlier.record.not_before) == (JOINED, False, soon)
    later = await submit_as(store, EVE, not_before=LATER)
    assert (later.dispatch, later.record.not_before) == (False, soon)
    now = await submit_as(store, ANNA)
    assert (now.outcome, now.dispatch, now.record.not_before, now.record.attempt) == (JOINED, True, None, 1)
    assert await due(store) == []
    assert not (await submit_as(store, BEN)).dispatch
    assert await start(store) == "RUN"


async def test_who_joins_does_not_shorten_the_pause_before_a_retry(store: Store) -> None:
    await submit_as(store, ANNA)
    await start(store)
    failed = store.calls.fail(ID, 1, error("TASK_FAILED", "no"), retries=Retries(1, delay=60))
    assert await store.run(failed) == "RETRY"
    assert not (await submit_as(store, BEN, priority=5)).dispatch
    assert await due(store) == []
    assert (await record(store)).priority == 5


async def test_the_highest_priority_counts_and_an_attempt_that_waits_is_replaced(store: Store) -> None:
    await submit_as(store, ANNA, priority=-1)
    assert not (await submit_as(store, BEN, priority=-2)).dispatch
    raised = await submit_as(store, BEN, priority=7)
    assert (raised.outcome, raised.dispatch, raised.record.attempt, raised.record.priority) == (JOINED, True, 2, 7)
    assert await start(store, 1) == "STALE"
    assert await start(store, 2) == "RUN"
    running = await submit_as(store, EVE, priority=9)
    assert (running.dispatch, running.record.attempt, running.record.priority) == (False, 2, 9)
    assert await finish(store, 2)


async def test_a_join_that_hastens_may_be_repeated_if_its_reply_is_lost(store: Store) -> None:
    await submit_as(store, EVE, not_before=LATER)
    call = store.calls.submit(ID, "fibonacci", "1", b'{"n":90}', actor=ANNA)
    replies = [await store.run(call) for _ in range(2)]
    assert [(reply.outcome, reply.dispatch, reply.record.attempt) for reply in replies] == [(JOINED, True, 1)] * 2
    assert replies[1].record.submissions == 2


async def test_the_old_result_stays_until_there_is_a_new_one(store: Store) -> None:
    await submit_as(store, ANNA)
    await start(store)
    assert await finish(store, result=b'"old"') == 2, "no earlier result is kept"
    assert await finish(store, result=b'"old"') == 1, "repeated"
    finished_at = (await record(store)).finished_at
    again = await submit_as(store, EVE, recompute=True, not_before=LATER)
    assert (again.outcome, again.record.result, again.record.previous_at) == (RECOMPUTED, None, finished_at)
    assert (again.record.runs, (await record(store)).runs) == (2, 2)
    assert await store.read_previous_result(ID) == b'"old"'
    assert (await submit_as(store, ANNA)).dispatch
    await start(store, 2)
    await store.run(store.calls.progress(ID, 2, 0.5, b'"part"'))
    assert ((await record(store)).result, await store.read_previous_result(ID)) == (b'"part"', b'"old"')
    await store.run(store.calls.fail(ID, 2, error("TASK_FAILED", "no")))
    assert (await record(store)).previous_at == finished_at
    assert await store.read_previous_result(ID) == b'"old"'
    again = await submit_as(store, ANNA)
    assert (again.record.previous_at, again.record.runs) == (finished_at, 3)
    await start(store, 3)
    assert await finish(store, 3, b'"new"') == 1
    assert ((await record(store)).result, (await record(store)).previous_at) == (b'"new"', None)
    assert await store.read_previous_result(ID) is None


async def test_a_task_ends_when_its_last_submitter_withdraws(store: Store) -> None:
    await submit_as(store, ANNA)
    for actor in (BEN, EVE, BEN, ANNA):
        await submit_as(store, actor)
    assert not await end(store, Actor("key:nobody", "a", "nobody"), "withdraw")
    for actor in (ANNA, ANNA, BEN):
        assert not await end(store, actor, "withdraw")
    await submit_as(store, ANNA)
    assert not await end(store, EVE, "withdraw")
    assert await end(store, ANNA, "withdraw")
    ended = await record(store)
    assert (ended.state, Actor.parse(ended.cancelled_by), Actor.parse(ended.submitted_by)) == (
        TaskState.CANCELLED, ANNA, ANNA,
    )  # fmt: skip
    again = await submit_as(store, BEN)
    assert (again.outcome, (await record(store)).cancelled_by) == (RECOMPUTED, "")
    assert await end(store, BEN, "withdraw")


@pytest.mark.parametrize(
    ("submitters", "mode", "ends"),
    [
        ((ANNA,), "cancel", True),
        ((BEN,), "cancel", True),
        ((EVE,), "cancel", False),
        ((EVE,), "cancel_any", True),
        ((EVE,), "force", True),
        ((ANNA, BEN), "cancel", False),
        ((BEN, EVE), "cancel", False),
        ((BEN, EVE), "cancel_any", False),
        ((BEN, EVE), "force", True),
        ((Actor(),), "cancel", True),
        ((ANNA, Actor()), "cancel", False),
    ],
)
async def test_only_what_no_other_caller_wants_is_cancelled(
    store: Store, submitters: tuple[Actor, ...], mode: CancelMode, *, ends: bool
) -> None:
    for actor in submitters:
        await submit_as(store, actor)
    assert await end(store, ANNA, mode) is ends
    assert ((await record(store)).state is TaskState.CANCELLED) is ends


async def test_who_withdraws_from_a_shared_task_may_not_cancel_it_for_another_tenant(store: Store) -> None:
    for actor in (EVE, ANNA):
        await submit_as(store, actor)
    assert not await end(store, ANNA, "withdraw")
    assert not await end(store, ANNA, "cancel")
    assert await end(store, EVE, "cancel")


async def test_more_submitters_than_are_named_keep_the_task_alive(store: Store) -> None:
    crowd = [Actor(f"address:{number}", "", "x") for number in range(1_003)]
    await store.run_many([store.calls.submit(ID, "fibonacci", "1", b'{"n":90}', actor=actor) for actor in crowd])
    replies = await store.run_many([store.calls.cancel(ID, actor, "withdraw") for actor in crowd])
    assert not any(ended for ended, _ in replies)
    assert await store.command("HGET", store.calls.record_key(ID), "submitters") == b"3"
    assert await end(store, ANNA, "force")
    await submit_as(store, ANNA)
    assert await end(store, ANNA, "withdraw")
