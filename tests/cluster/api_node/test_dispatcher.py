"""Batches: short attempts that share a Dask task still succeed, fail and are cancelled independently."""

from __future__ import annotations

import asyncio
import itertools
import operator
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api_node.dispatcher import MAX_BATCH, MAX_BATCH_SECONDS, split_into_batches
from cluster.scheduling.attempt_keys import attempt_key, parse_attempt_key
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.store.async_store import Store
from tests.system import Socket, System

IDS = st.text(alphabet="0123456789abcdef", min_size=32, max_size=32)


# Splitting ----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 600), st.integers(0, 50), st.none() | st.floats(1e-6, 100))
def test_batches_contain_every_attempt_once_and_in_order(count: int, idle_threads: int, duration: float | None) -> None:
    batches = split_into_batches(range(count), idle_threads, duration)
    assert list(itertools.chain.from_iterable(batches)) == list(range(count))
    assert all(1 <= len(batch) <= MAX_BATCH for batch in batches)
    if duration is None:
        assert len(batches) == count
    else:
        # Long attempts are not batched, and no thread stays idle so that a batch can be larger.
        assert all(len(batch) == 1 or len(batch) * duration <= MAX_BATCH_SECONDS * (1 + 1e-9) for batch in batches)
        assert len(batches) >= min(count, idle_threads)


@given(
    st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), st.lists(st.tuples(IDS, st.integers(1, 10**6)), min_size=1)
)
def test_the_attempts_in_a_key_can_be_parsed(name: str, members: list[tuple[str, int]]) -> None:
    assert parse_attempt_key(attempt_key(name, members)) == (name, members)


@pytest.mark.parametrize("key", ["square-0123", ("a", 1), "add-" + "0" * 32, "Add-" + "0" * 32 + "-1"])
def test_other_keys_are_not_parsed(key: object) -> None:
    assert parse_attempt_key(key) is None


# In a system ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Two workers, and a scheduler that has measured how short `moody` is."""
    async with System(tmp_path_factory.mktemp("pair"), min_workers=2, max_workers=2) as running:
        for first in range(0, 300, 100):
            await results(running, await submit(running, [{"n": n} for n in range(first, first + 100)]))
        yield running


async def submit(system: System, inputs: list[dict[str, Any]]) -> list[str]:
    query = "mutation($i: [MoodyInput!]!) { submitMoodyMany(inputs: $i) { taskId } }"
    return [item["taskId"] for item in (await system.ask(query, {"i": inputs}))["submitMoodyMany"]]


async def results(system: System, ids: list[str]) -> list[dict[str, Any]]:
    """The final records in the order of arrival."""
    query = "subscription($ids: [ID!]!) { taskResults(taskIds: $ids) { taskId state attempt } }"
    async with Socket.open(system.url) as socket:
        return [item["taskResults"] async for item in socket.subscribe(query, {"ids": ids})]


@pytest.mark.slow
async def test_attempts_queued_behind_a_slow_one_run_elsewhere(pair: System) -> None:
    requeued = False
    for first in range(1_000, 1_500, 100):
        ids = await submit(pair, [{"n": first, "mood": "slow"}, *({"n": n} for n in range(first + 1, first + 20))])
        begun = time.monotonic()
        quick = await results(pair, ids[1:])
        assert {item["state"] for item in quick} == {"SUCCEEDED"}
        assert time.monotonic() - begun < 2.9, "the slow one takes 3 s"
        (slow,) = await results(pair, ids[:1])
        assert (slow["state"], slow["attempt"]) == ("SUCCEEDED", 1)
        requeued = any(item["attempt"] == 2 for item in quick)
        if requeued:
            break
        # On a busy machine the quick attempts, and the slow one, raised the average so that they were sent alone.
        await results(pair, await submit(pair, [{"n": n} for n in range(first + 10_000, first + 10_100)]))
    assert requeued, "no attempt was in a batch with the slow one"


@pytest.mark.slow
async def test_attempts_in_a_batch_with_a_deadly_one_succeed_without_a_counted_loss(pair: System) -> None:
    inputs: list[dict[str, Any]] = [{"n": n} for n in range(2_000, 2_019)]
    inputs.insert(3, {"n": 2_100, "mood": "deadly"})
    ids = await submit(pair, inputs)
    async with asyncio.timeout(60):
        ended = {item["taskId"]: item for item in await results(pair, ids)}
    assert ended.pop(ids[3])["state"] == "FAILED"
    assert {item["state"] for item in ended.values()} == {"SUCCEEDED"}
    store = Store(pair.settings)
    # Three losses count against the deadly task, none against the others.
    assert sum(record.lost for record in await store.read_many(list(ended)) if record) == 0
    await store.close()


@pytest.mark.slow
async def test_a_dispatcher_gets_the_load_after_every_end_even_if_it_is_unchanged(pair: System) -> None:
    """It counts what it sends until the load is published again: without a correction single attempts would linger."""
    scheduler = SchedulerClient(pair.settings, subscribe_to_load=True)
    scheduler.start()
    try:
        async with asyncio.timeout(20):
            while not scheduler.connected:
                await asyncio.sleep(0.02)
            for _ in range(2):
                scheduler.load.outstanding = 7
                key = attempt_key("gone", [(uuid.uuid4().hex, 1)])
                failing = scheduler.client.submit(operator.truediv, 1, 0, key=key, pure=False)
                with pytest.raises(ZeroDivisionError):
                    await failing
                while scheduler.load.outstanding:
                    scheduler.load_changed.clear()
                    await scheduler.load_changed.wait()
    finally:
        await scheduler.close()
