"""What accounts use, as the scripts count it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cluster.api_node.account_usage import Usage, read_usage
from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.replies import SubmitReply
from cluster.task_types.retry_policy import Retries

pytestmark = pytest.mark.every_engine


def task(number: int, shard: str = "a") -> str:
    return f"{shard}{number:031x}"


async def submit(store: Store, task_id: str, account: str, **options: bool) -> SubmitReply:
    call = store.calls.submit(task_id, "fibonacci", "1", b"{}", account=account, **options)  # type: ignore[arg-type]
    return await store.run(call)


async def start(store: Store, task_id: str, attempt: int = 1) -> None:
    assert (await store.run(store.calls.start(task_id, attempt, "w1"))).verdict == "RUN"


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
    await store.run(calls.finish(task(0), 1, b"x" * 500, kept_bytes=3_000))
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
            await store.run(calls.finish(task_id, attempt, b"x" * number, kept_bytes=number))
        elif step == "fail":
            await store.run(calls.fail(task_id, attempt, error("TASK_FAILED", "boom"), retries=Retries(1)))
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
