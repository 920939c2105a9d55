"""The scripts for tasks with limits: when a task is held, takes a slot, and gives it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cluster.attempt_errors import error
from cluster.store.async_store import Store
from cluster.store.limit_calls import Claimed
from cluster.store.lua_scripts import Call
from cluster.store.record import SubmissionOutcome
from cluster.store.replies import SubmitReply
from cluster.store.script_calls import Calls
from cluster.task_types.retry_policy import Retries

pytestmark = [pytest.mark.every_engine, pytest.mark.slow]

ID = "b9a7c7263c0332d12e52f09809754586"
LIMITS = "t:etl k:etl:1f=2"
FAILURE = error("TASK_FAILED", "it failed")
LOST = error("WORKER_LOST", "lost")


async def submit(store: Store, task_id: str = ID, **options: Any) -> SubmitReply:
    return await store.run(store.calls.submit(task_id, "etl", "1", b"{}", **{"limits": LIMITS, **options}))


async def claim(store: Store, *task_ids: str, number: int = 1) -> list[Claimed] | None:
    await store.run(store.calls.become_claimer("b", number))
    return await store.run(store.calls.claim_held("b", number, [(LIMITS, task_id) for task_id in task_ids or (ID,)]))


async def keys(store: Store) -> dict[str, set[str]]:
    """What is held, the slots in use, and the marks; without what is empty."""
    prefix = store.calls.shard_prefix("b")
    held = await store.redis.zrange(f"{prefix}:held:{LIMITS}", 0, -1)
    lists: Any = await store.redis.smembers(f"{prefix}:held")
    woken: Any = await store.redis.smembers(f"{prefix}:woken")
    slots: list[Any] = [await store.redis.smembers(f"{prefix}:slots:{name}") for name in ("t:etl", "k:etl:1f")]
    assert bool(held) == (LIMITS.encode() in lists)
    assert slots[0] == slots[1]
    found = {"held": set(held), "slots": slots[0], "woken": woken}
    return {name: {member.decode() for member in members} for name, members in found.items() if members}


async def due(store: Store, cutoff: int | None = None, **options: Any) -> list[tuple[str, str]]:
    _, items = await store.run(store.calls.claim_due("b", 100, cutoff, **options))
    return [(item.task_id, item.action) for item in items]


async def test_a_task_with_limits_is_held_until_it_is_claimed_and_then_holds_a_slot_of_each(store: Store) -> None:
    submitted = await submit(store, priority=3, trace="00-aa-bb-01", account="acme")
    assert (submitted.outcome, submitted.dispatch) == (SubmissionOutcome.NEW, False)
    assert await keys(store) == {"held": {ID}, "woken": {f"+{LIMITS}"}}
    assert await claim(store) == [Claimed(ID, 1, "etl", b"{}", 3, "00-aa-bb-01", "acme", False)]
    assert await keys(store) == {"slots": {ID}, "woken": {f"+{LIMITS}"}}
    assert await claim(store) == []
    assert (await store.run(store.calls.start(ID, 1, "w"))).verdict == "RUN"


def started(*calls: Callable[[Calls], Call[Any]]) -> list[Callable[[Calls], Call[Any]]]:
    return [lambda c: c.start(ID, 1, "w"), *calls]


@pytest.mark.parametrize(
    ("calls", "again"),
    [
        (started(lambda c: c.finish(ID, 1, b"1")), False),
        (started(lambda c: c.fail(ID, 1, FAILURE)), False),
        (started(lambda c: c.cancel(ID)), False),
        ([lambda c: c.cancel(ID)], False),
        (started(lambda c: c.fail(ID, 1, FAILURE, retries=Retries(1, delay=0))), True),
        (started(lambda c: c.mark_lost(ID, 1, "worker", LOST)), True),
        ([lambda c: c.mark_lost(ID, 1, "undelivered", LOST)], True),
        ([lambda c: c.replace_lost(ID, 1, "none", LOST)], True),
        ([lambda c: c.release(ID, 1)], True),
        ([lambda c: c.recall("b", "etl", 0, 10)], True),
    ],
    ids=["finished", "failed", "cancelled running", "cancelled queued", "retried", "worker lost", "dispatcher died",
         "scheduler replaced", "released", "recalled"],
)  # fmt: skip
async def test_the_end_of_an_attempt_frees_its_slots_and_a_further_attempt_is_held_again(
    store: Store, calls: list[Callable[[Calls], Call[Any]]], again: bool
) -> None:
    await submit(store)
    await claim(store)
    await store.redis.delete(store.calls.woken_key("b"))
    for call in calls:
        await store.run(call(store.calls))
    found = await keys(store)
    assert found.pop("woken") >= {"-t:etl", "-k:etl:1f"}
    assert "slots" not in found
    if not again:
        assert found == {}
        return
    assert await due(store) == []
    assert (await keys(store))["held"] == {ID}
    claimed = await claim(store)
    assert claimed is not None
    assert (await store.run(store.calls.start(ID, claimed[0].attempt, "w2"))).verdict == "RUN"
    assert (await keys(store))["slots"] == {ID}


async def test_an_attempt_that_lost_its_slot_frees_none_of_its_successors(store: Store) -> None:
    await submit(store)
    await claim(store)
    await store.run(store.calls.start(ID, 1, "w"))
    await store.run(store.calls.mark_lost(ID, 1, "worker", LOST))
    await due(store)
    await claim(store)
    assert not await store.run(store.calls.finish(ID, 1, b"1"))
    assert await store.run(store.calls.fail(ID, 1, FAILURE)) == "REFUSED"
    assert (await keys(store))["slots"] == {ID}


async def test_joining_and_finding_a_kept_result_take_no_slot(store: Store) -> None:
    await submit(store)
    assert (await submit(store)).outcome is SubmissionOutcome.JOINED
    await claim(store)
    await store.run(store.calls.start(ID, 1, "w"))
    await store.run(store.calls.finish(ID, 1, b"1"))
    assert (await submit(store)).outcome is SubmissionOutcome.CACHED
    assert set(await keys(store)) == {"woken"}


async def test_a_cancelled_held_task_leaves_nothing(store: Store) -> None:
    await submit(store)
    await store.run(store.calls.cancel(ID))
    assert set(await keys(store)) == {"woken"}
    assert await claim(store) == []


async def test_a_delayed_task_is_held_when_it_is_due(store: Store) -> None:
    now = await store.server_milliseconds()
    await submit(store, not_before=now + 60_000)
    assert await keys(store) == {}
    await store.redis.zadd(f"{store.calls.shard(ID)}:open", {ID: now})
    assert await due(store) == []
    assert (await keys(store))["held"] == {ID}


async def test_a_sweep_for_a_new_scheduler_does_not_touch_held_tasks(store: Store) -> None:
    await submit(store)
    assert await due(store, await store.server_milliseconds() + 60_000) == []
    await claim(store)
    assert await due(store, await store.server_milliseconds() + 60_000) == [(ID, "check")]


async def test_held_tasks_are_ordered_by_priority_then_submission_and_only_a_new_first_one_is_announced(
    store: Store,
) -> None:
    ids = [f"b{n:031x}" for n in range(4)]
    for task_id, priority, announced in zip(ids, (0, 0, 5, -5), (True, False, True, False), strict=True):
        await store.redis.delete(store.calls.woken_key("b"))
        await submit(store, task_id, priority=priority)
        assert bool(await store.redis.exists(store.calls.woken_key("b"))) == announced
        # Submissions in the same millisecond have no order.
        submitted_at = await store.server_milliseconds()
        while await store.server_milliseconds() == submitted_at:
            pass
    used, [first] = await store.run(store.calls.peek_held("b", ["t:etl"], [LIMITS], 10))
    assert (used, [task.task_id for task in first]) == ([0], [ids[2], ids[0], ids[1], ids[3]])


async def test_an_older_claimer_is_refused_and_takes_nothing(store: Store) -> None:
    await submit(store)
    assert await store.run(store.calls.become_claimer("b", 2))
    assert not await store.run(store.calls.become_claimer("b", 1))
    assert await store.run(store.calls.claim_held("b", 1, [(LIMITS, ID)])) is None
    assert (await keys(store))["held"] == {ID}
    assert await claim(store, number=2) == [Claimed(ID, 1, "etl", b"{}", 0, "", "", False)]


async def test_a_claim_is_limited_by_the_length_of_the_inputs(store: Store) -> None:
    ids = [f"b{n:031x}" for n in range(4)]
    for task_id in ids:
        await store.run(store.calls.submit(task_id, "etl", "1", b"x" * 200_000, limits=LIMITS))
    assert len(await claim(store, *ids) or []) == 2
    assert len((await keys(store))["held"]) == 2


async def test_a_slot_that_a_node_of_an_older_release_did_not_free_is_found(store: Store) -> None:
    await submit(store)
    await claim(store)
    prefix = store.calls.shard_prefix("b")
    for name in ("t:etl", "k:etl:1f"):
        await store.redis.sadd(f"{prefix}:slots:{name}", "b" + "0" * 31)
    await store.redis.delete(store.calls.woken_key("b"))
    assert await store.run(store.calls.check_slots("b", ["t:etl", "k:etl:1f"])) == [1, 1]
    assert await keys(store) == {"slots": {ID}, "woken": {"-t:etl", "-k:etl:1f"}}


async def test_due_and_dispatched_attempts_of_a_paused_type_are_held_without_limits_of_their_own(store: Store) -> None:
    """`t:etl` is the list of a task that had no limits before its type was paused."""
    waiting, retried, running = (f"b{n:031x}" for n in range(3))
    for task_id in (waiting, retried, running):
        assert (await submit(store, task_id, limits="")).dispatch
    for task_id in (retried, running):
        await store.run(store.calls.start(task_id, 1, "w"))
    await store.run(store.calls.fail(retried, 1, FAILURE, retries=Retries(1, delay=0)))
    assert await store.run(store.calls.recall("b", "etl", 0, 1)) == (1, [(waiting, 1)])
    assert await store.run(store.calls.recall("b", "etl", 1, 2)) == (1, [])
    assert await due(store, paused=["etl", "other"]) == []
    held: Any = await store.redis.zrange(f"{store.calls.held_key('b')}:t:etl", 0, -1)
    assert {member.decode() for member in held} == {waiting, retried}
    assert (await store.run(store.calls.start(waiting, 1, "w"))).verdict == "STALE"
    assert await store.run(store.calls.finish(running, 1, b"1"))


async def test_a_join_with_a_higher_priority_moves_a_held_task_forward_and_one_with_an_earlier_time_holds_it(
    store: Store,
) -> None:
    first, second, delayed = (f"b{n:031x}" for n in range(3))
    for task_id in (first, second):
        await submit(store, task_id)
    await submit(store, delayed, not_before=await store.server_milliseconds() + 60_000)
    assert not (await submit(store, second, priority=5)).dispatch
    assert not (await submit(store, delayed)).dispatch
    _, [found] = await store.run(store.calls.peek_held("b", [], [LIMITS], 10))
    assert found[0].task_id == second
    assert {task.task_id for task in found} == {first, second, delayed}
    assert await due(store) == []
