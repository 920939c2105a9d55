"""Turns and usage counters, as the scripts keep them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cluster.api_node.account_usage import Usage, read_usage
from cluster.api_node.fair_clocks import align_clocks
from cluster.api_node.fair_order import dask_priority, step_of
from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.replies import Due, SubmitReply
from cluster.task_types.retry_policy import Retries

pytestmark = pytest.mark.every_engine


def task(number: int, shard: str = "a") -> str:
    return f"{shard}{number:031x}"


async def submit(store: Store, task_id: str, account: str, step: float = 100, **options: int) -> SubmitReply:
    call = store.calls.submit(task_id, "fibonacci", "1", b"{}", account=account, step=step, **options)  # type: ignore[arg-type]
    return await store.run(call)


async def turn(store: Store, task_id: str, account: str, step: float = 100, **options: int) -> float | None:
    return (await submit(store, task_id, account, step, **options)).record.turn


async def start(store: Store, task_id: str, attempt: int = 1) -> None:
    assert (await store.run(store.calls.start(task_id, attempt, "w1"))).verdict == "RUN"


async def test_an_accounts_turns_follow_each_other_and_another_account_begins_now(store: Store) -> None:
    assert [await turn(store, task(n), "acme") for n in range(3)] == [0, 100, 200]
    await start(store, task(0))
    await start(store, task(1))
    # Virtual time is the turn of the task that started last: bank comes before acme's third.
    assert await turn(store, task(10), "bank", 400) == 100
    assert await turn(store, task(11), "bank", 400) == 500


async def test_an_account_that_used_nothing_saves_nothing_up(store: Store) -> None:
    await turn(store, task(0), "bank")
    await start(store, task(0))
    for n in range(1, 5):
        await turn(store, task(n), "acme")
        await start(store, task(n))
    assert await turn(store, task(20), "bank") == 300


async def test_each_priority_has_turns_of_its_own(store: Store) -> None:
    for n in range(5):
        await turn(store, task(n), "acme")
    assert await turn(store, task(10), "acme", priority=1) == 0
    await start(store, task(10))
    # A task of a high priority does not move the clock of the others.
    assert await turn(store, task(11), "bank") == 0


async def test_a_cancelled_task_gives_its_time_back_and_a_started_one_does_not(store: Store) -> None:
    for n in range(3):
        await turn(store, task(n), "acme")
    await store.run(store.calls.cancel(task(2)))
    assert await turn(store, task(3), "acme") == 200
    await start(store, task(0))
    await store.run(store.calls.cancel(task(0)))
    assert await turn(store, task(4), "acme") == 300


async def test_a_lost_attempt_keeps_its_turn_and_a_retry_waits_again(store: Store) -> None:
    for n in range(3):
        await turn(store, task(n), "acme")
    await start(store, task(0))
    lost = error("WORKER_LOST", "lost")
    _, due = await store.run(store.calls.replace_lost(task(0), 1, "none", lost))
    assert due is not None
    assert (due.account, due.turn) == ("acme", 0)
    await start(store, task(0), 2)
    await store.run(store.calls.fail(task(0), 2, error("TASK_FAILED", "boom"), retries=Retries(1, delay=0)))
    _, [again] = await store.run(store.calls.claim_due("a", 10))
    assert (again.attempt, again.account, again.turn) == (3, "acme", 300)


async def test_a_delayed_task_gets_its_turn_when_it_is_due(store: Store) -> None:
    due_at = await store.server_milliseconds() + 300
    assert await turn(store, task(0), "acme", not_before=due_at) is None
    assert await turn(store, task(1), "acme") == 0
    async with asyncio.timeout(5):
        due: list[Due] = []
        while not due:
            await asyncio.sleep(0.02)
            _, due = await store.run(store.calls.claim_due("a", 10))
    assert due[0].turn == 100


async def test_clocks_of_shards_are_aligned_and_never_go_back(store: Store) -> None:
    for n in range(3):
        await turn(store, task(n, "1"), "acme")
        await start(store, task(n, "1"))
    assert await turn(store, task(9, "2"), "bank") == 0
    await align_clocks(store)
    assert await turn(store, task(9, "3"), "carl") == 200
    assert await turn(store, task(8, "1"), "carl") == 200


async def test_idle_accounts_are_not_remembered_for_ever(store: Store) -> None:
    for n in range(1_010):
        await turn(store, task(n), f"made-up-{n}")
    assert await store.command("ZCARD", store.calls.shard_prefix("a") + ":fair:0") == 1_000
    await turn(store, task(2_000), "acme", 200)
    await turn(store, task(2_001), "acme")
    await start(store, task(2_001))
    # All others have used less than virtual time by now.
    await turn(store, task(2_002), "bank")
    assert await store.command("ZRANGE", store.calls.shard_prefix("a") + ":fair:0", 0, -1) == [b"acme", b"bank"]


# Usage ----------------------------------------------------------------------------------------------------------------


async def test_usage_counts_open_tasks_and_kept_bytes_until_they_are_pruned(settings: Settings) -> None:
    store = Store(replace(settings, result_ttl_seconds=1))
    calls = store.calls
    await submit(store, task(0), "acme")
    first = await read_usage(store, "acme")
    assert first.open == 1
    await submit(store, task(0), "acme")  # joined
    await submit(store, task(1, "b"), "acme")
    assert await read_usage(store, "acme") == Usage(2, 2 * first.bytes)
    await start(store, task(0))
    await store.run(calls.finish(task(0), 1, b"x" * 500, blob_bytes=3_000))
    assert await read_usage(store, "acme") == Usage(1, 2 * first.bytes + 3_500)
    await store.run(calls.cancel(task(1, "b")))
    await asyncio.sleep(1.02)
    assert await store.run(calls.prune("a", 10)) + await store.run(calls.prune("b", 10)) == 2
    assert await read_usage(store, "acme") == Usage()
    for digit in SHARDS:
        assert await store.command("EXISTS", calls.usage_key(digit), calls.shard_prefix(digit) + ":kept") == 0
    await store.close()


async def test_what_a_worker_of_an_earlier_release_ended_is_counted_off_when_it_is_pruned(settings: Settings) -> None:
    store = Store(replace(settings, result_ttl_seconds=1))
    await submit(store, task(0), "acme")
    kept = await store.command("HGET", store.calls.shard_prefix("a") + ":kept", task(0))
    await start(store, task(0))
    await store.run(store.calls.finish(task(0), 1, b"1"))
    # An earlier finish leaves both as they were.
    await store.command("HSET", store.calls.shard_prefix("a") + ":kept", task(0), kept)
    await store.command("HSET", store.calls.usage_key("a"), "acme", 2**42 + int(kept.split()[1]))
    await asyncio.sleep(1.02)
    await store.run(store.calls.prune("a", 10))
    assert await read_usage(store, "acme") == Usage()
    await store.close()


STEPS = st.sampled_from(["submit", "recompute", "start", "finish", "fail", "cancel", "lose"])


@given(st.lists(st.tuples(STEPS, st.integers(0, 3), st.sampled_from(["acme", "bank"])), max_size=40))
@examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_usage_is_the_sum_of_what_is_kept_whatever_happened(
    store: Store, steps: list[tuple[str, int, str]]
) -> None:
    calls = store.calls
    for step, number, account in steps:
        task_id = task(number)
        record = await store.read(task_id)
        attempt = record.attempt if record else 1
        if step in ("submit", "recompute"):
            await submit(store, task_id, account, recompute=step == "recompute")
        elif step == "start":
            await store.run(calls.start(task_id, attempt, "w1"))
        elif step == "finish":
            await store.run(calls.finish(task_id, attempt, b"x" * number, blob_bytes=number))
        elif step == "fail":
            await store.run(calls.fail(task_id, attempt, error("TASK_FAILED", "boom"), retries=Retries(1, delay=0)))
        elif step == "cancel":
            await store.run(calls.cancel(task_id))
        else:
            await store.run(calls.mark_lost(task_id, attempt, "none", error("WORKER_LOST", "lost")))
    records = [record for record in await store.read_many([task(n) for n in range(4)]) if record]
    for account in ("acme", "bank"):
        usage = await read_usage(store, account)
        own = [record for record in records if record.account == account]
        assert usage.open == sum(not record.final for record in own)
        assert usage.bytes >= sum(len(record.input) + len(record.result or record.error or b"") for record in own)
        assert bool(usage.bytes) == bool(own)


# The arithmetic -------------------------------------------------------------------------------------------------------


@given(st.integers(-100, 100), st.integers(-100, 100), st.floats(0, 1e12), st.floats(0, 1e12))
def test_dask_orders_by_priority_and_then_by_turn(one: int, other: int, turn_one: float, turn_other: float) -> None:
    first, second = dask_priority(one, turn_one), dask_priority(other, turn_other)
    if one != other:
        assert (first > second) == (one > other)
    elif abs(turn_one - turn_other) >= 1:
        assert (first > second) == (turn_one < turn_other)


@given(
    st.dictionaries(st.sampled_from("abcde"), st.tuples(st.floats(0.25, 8), st.floats(0.01, 2)), min_size=2),
    st.integers(1, 8),
)
def test_workers_time_is_shared_by_weight_and_nobody_lags_by_more_than_a_task(
    accounts: dict[str, tuple[float, float]], threads: int
) -> None:
    """A model of the scripts and of Dask: every account always has tasks waiting."""
    clock, turns = 0.0, dict.fromkeys(accounts, 0.0)
    served = dict.fromkeys(accounts, 0.0)
    free_at = [0.0] * threads
    for _ in range(400):
        account = min(accounts, key=lambda name: (max(clock, turns[name]), name))
        weight, seconds = accounts[account]
        clock = max(clock, turns[account])
        turns[account] = clock + step_of(seconds, weight)
        thread = free_at.index(min(free_at))
        free_at[thread] += seconds
        served[account] += seconds
    normal = {name: served[name] * 1000 / accounts[name][0] for name in accounts}
    slack = max(step_of(seconds, weight) for weight, seconds in accounts.values())
    assert max(normal.values()) - min(normal.values()) <= 2 * slack + 1
