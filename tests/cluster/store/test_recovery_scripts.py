"""The scripts that recovery relies on: claims, signs of life, repeated outcomes, limits of losses."""

from __future__ import annotations

import pytest

from cluster.attempt_errors import error
from cluster.store.async_store import Store
from cluster.store.task_calls import LossReason
from cluster.task_types.retry_policy import Retries

ID = "b9a7c7263c0332d12e52f09809754586"


async def test_a_claim_is_limited_by_the_length_of_the_inputs(store: Store) -> None:
    now = await store.server_milliseconds()
    ids = [f"{ID[0]}{i:031x}" for i in range(5)]
    for task_id in ids:
        await store.run(store.calls.submit(task_id, "t", "1", b"x" * 200_000, not_before=now + 60_000))
    await store.redis.zadd(f"{store.calls.shard(ID)}:open", dict.fromkeys(ids, 1))
    taken: list[int] = []
    more = True
    while more:
        more, due = await store.run(store.calls.claim_due(ID[0], 100))
        taken.append(len(due))
    assert taken[:3] == [2, 2, 1]


async def test_being_checked_is_no_sign_of_life(store: Store) -> None:
    """Another worker starts an attempt that the recoverer has just checked."""
    await store.run(store.calls.submit(ID, "t", "1", b"{}"))
    await store.run(store.calls.start(ID, 1, "dead"))
    assert (await store.run(store.calls.start(ID, 1, "other"))).verdict == "ALIVE"
    await store.redis.hset(
        store.calls.record_key(ID), mapping={"started_at": await store.server_milliseconds() - 10_000}
    )
    _, [due] = await store.run(store.calls.claim_due(ID[0], 10, await store.server_milliseconds() + 20_000))
    assert due.action == "check"
    assert (await store.run(store.calls.start(ID, 1, "other"))).verdict == "TAKEN"
    await store.run(store.calls.progress(ID, 1, None))
    assert (await store.run(store.calls.start(ID, 1, "other"))).verdict == "ALIVE"


async def test_an_outcome_that_is_stored_twice_because_the_reply_was_lost_is_accepted(store: Store) -> None:
    await store.run(store.calls.submit(ID, "t", "1", b"{}"))
    await store.run(store.calls.start(ID, 1, "w"))
    for _ in range(2):
        assert await store.run(store.calls.finish(ID, 1, b"1"))
    assert not await store.run(store.calls.finish(ID, 1, b"2"))
    record = await store.read(ID)
    assert record is not None
    assert (record.seq, record.result) == (3, b"1")
    await store.run(store.calls.submit(ID, "t", "1", b"{}", recompute=True))
    assert not await store.run(store.calls.finish(ID, 1, b"1"))
    await store.run(store.calls.start(ID, 2, "w"))
    for _ in range(2):
        assert await store.run(store.calls.fail(ID, 2, error("TASK_FAILED", "no"))) == "FAILED"
    assert await store.run(store.calls.fail(ID, 2, error("TASK_FAILED", "other"))) == "REFUSED"


async def test_losses_that_do_not_count_are_limited_too_and_a_new_run_starts_from_zero(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.store.task_calls.UNCHARGED_LIMIT", 3)

    async def lose_until_it_fails(attempt: int) -> int:
        for count in range(1, 10):
            verdict = await store.run(store.calls.mark_lost(ID, attempt, "none", error("WORKER_LOST", "stopped")))
            if verdict == "FAILED":
                return count
            attempt += 1
            await store.run(store.calls.claim_due(ID[0], 10))
        raise AssertionError

    await store.run(store.calls.submit(ID, "t", "1", b"{}"))
    assert await lose_until_it_fails(1) == 3
    again = await store.run(store.calls.submit(ID, "t", "1", b"{}"))
    assert await lose_until_it_fails(again.record.attempt) == 3


@pytest.mark.every_engine
@pytest.mark.parametrize(
    ("loss_reason", "started", "resumes"),
    [("worker", True, True), ("none", True, True), ("worker", False, True), ("undelivered", False, False)],
)
async def test_the_replacement_of_an_attempt_that_had_its_turn_does_not_wait_for_another(
    store: Store, loss_reason: LossReason, started: bool, resumes: bool
) -> None:
    lost = error("WORKER_LOST", "lost")
    await store.run(store.calls.submit(ID, "t", "1", b"{}", account="acme"))
    if started:
        await store.run(store.calls.start(ID, 1, "w1"))
    _, due = await store.run(store.calls.replace_lost(ID, 1, loss_reason, lost))
    assert due is not None
    assert (due.attempt, due.account, due.resumes) == (2, "acme", resumes)
    # What a new scheduler does not know keeps what it had.
    assert await store.run(store.calls.mark_lost(ID, 2, "undelivered", lost)) == "QUEUED"
    _, [again] = await store.run(store.calls.claim_due(ID[0], 10))
    assert (again.attempt, again.account, again.resumes) == (3, "acme", resumes)
    # A retry waits, and so does a new run.
    await store.run(store.calls.start(ID, 3, "w1"))
    await store.run(store.calls.fail(ID, 3, error("TASK_FAILED", "boom"), retries=Retries(1, delay=0)))
    _, [retry] = await store.run(store.calls.claim_due(ID[0], 10))
    assert not retry.resumes
    await store.run(store.calls.start(ID, 4, "w1"))
    await store.run(store.calls.mark_lost(ID, 4, loss_reason, lost))
    await store.run(store.calls.cancel(ID))
    await store.run(store.calls.submit(ID, "t", "1", b"{}", account="acme"))
    assert await store.run(store.calls.release(ID, 6))
    _, [new] = await store.run(store.calls.claim_due(ID[0], 10))
    assert (new.attempt, new.resumes) == (6, False)


async def test_a_held_task_that_had_its_turn_resumes_when_it_is_claimed_again(store: Store) -> None:
    limits = "t:etl"
    await store.run(store.calls.submit(ID, "etl", "1", b"{}", limits=limits))
    await store.run(store.calls.become_claimer(ID[0], 1))
    for expected in (False, True):
        [claimed] = await store.run(store.calls.claim_held(ID[0], 1, [(limits, ID)])) or []
        assert claimed.resumes == expected
        await store.run(store.calls.start(ID, claimed.attempt, "w1"))
        await store.run(store.calls.mark_lost(ID, claimed.attempt, "none", error("WORKER_LOST", "lost")))
        # It is due, and is held again.
        await store.run(store.calls.claim_due(ID[0], 10))
