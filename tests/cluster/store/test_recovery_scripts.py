"""The scripts that recovery relies on: claims, signs of life, repeated outcomes, limits of losses."""

from __future__ import annotations

import pytest

from cluster.attempt_errors import error
from cluster.store.async_store import Store

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
