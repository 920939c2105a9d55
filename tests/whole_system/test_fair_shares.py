"""Tenants share the workers: one tenant's long queue hardly delays another's task."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.record import Record
from cluster.store.tenant_policies import change_policy
from graphql_api.auth.callers import Scope
from tests.system import System
from tests.thoroughness import THOROUGH

pytestmark = pytest.mark.slow

QUEUE = 10_000 if THOROUGH else 5_000
"""Tasks of the tenant with the long queue: enough that it is not empty before they all are submitted."""
USER = frozenset({Scope.SUBMIT, Scope.READ})
SLOW = "mutation($i: [SlowInput!]!) { submitSlowMany(inputs: $i) { taskId } }"
MOODY = "mutation($i: [MoodyInput!]!) { submitMoodyMany(inputs: $i) { taskId } }"


@pytest.fixture
async def tenants(tmp_path: Path) -> AsyncIterator[System]:
    """A worker, and tenants told apart by their keys, whose tasks are not shared."""
    async with System(tmp_path, authentication="required", tenants="isolated", min_workers=1, max_workers=1) as running:
        yield running


async def submit(system: System, query: str, inputs: list[dict[str, Any]], token: str) -> list[str]:
    ids: list[str] = []
    for first in range(0, len(inputs), 1_000):
        answer = await system.ask(query, {"i": inputs[first : first + 1_000]}, token=token)
        [submitted] = answer.values()
        ids += [item["taskId"] for item in submitted]
    return ids


async def read(store: Store, ids: list[str]) -> list[Record]:
    records: list[Record] = []
    for first in range(0, len(ids), 1_000):
        records += [record for record in await store.read_many(ids[first : first + 1_000], results=False) if record]
    return records


@pytest.mark.parametrize("length", ["long tasks", "short ones in batches"])
async def test_thousands_of_tasks_of_one_tenant_delay_the_only_one_of_another_by_a_task_in_each_shard(
    tenants: System, tmp_path: Path, length: str
) -> None:
    acme, bank = [await tenants.make_key(name, scopes=USER) for name in ("acme", "bank")]
    folder = str(tmp_path)
    if length == "long tasks":
        # Turns are counted in each shard: of each account, one task in each may have the same turn. And the worker has
        # two tasks, or batches, at any time.
        query, most = SLOW, len(SHARDS) + 2
        queue: list[dict[str, Any]] = [{"folder": folder, "n": n, "seconds": 0.3} for n in range(QUEUE)]
        one: dict[str, Any] = {"folder": folder, "n": QUEUE, "seconds": 0.3}
    else:
        query, most = MOODY, 4 * 64
        queue, one = [{"n": n} for n in range(QUEUE)], {"n": QUEUE}
        for first in range(20_000, 20_300, 100):
            # So that the scheduler has measured how short they are.
            warm = await submit(tenants, query, [{"n": n} for n in range(first, first + 100)], acme)
            await tenants.result(warm[-1], token=acme)
    submitting = asyncio.ensure_future(submit(tenants, query, queue[1_000:], acme))
    first_ids = await submit(tenants, query, queue[:1_000], acme)
    ids = first_ids + await submitting
    store = Store(tenants.settings)
    async with asyncio.timeout(60):
        # Each account begins with a task in each shard at once.
        while sum(record.started_at is not None for record in await read(store, ids)) <= len(SHARDS):
            await asyncio.sleep(0.5)
    [only] = await submit(tenants, query, [one], bank)
    assert (await tenants.result(only, token=bank))["state"] == "SUCCEEDED"
    [record] = await read(store, [only])
    assert record.started_at is not None
    between = [
        other
        for other in await read(store, ids)
        if other.started_at is not None and record.submitted_at < other.started_at < record.started_at
    ]
    left = sum(not other.final for other in await read(store, ids[-1_000:]))
    await store.close()
    print(f"{length}: {len(between)} of {len(ids)} started before it, {record.started_at - record.submitted_at} ms")
    assert left, "the other tenant's queue was empty, so this shows nothing"
    assert len(between) <= most


async def test_five_tenants_share_the_workers_by_their_weights(tenants: System, tmp_path: Path) -> None:
    store = Store(tenants.settings)
    weights = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    keys = {}
    for name, weight in weights.items():
        await change_policy(store, name, weight=weight)
        keys[name] = await tenants.make_key(name, scopes=USER)

    async def queue(name: str) -> list[str]:
        inputs = [{"folder": str(tmp_path), "n": n, "seconds": 0.03} for n in range(300)]
        return await submit(tenants, SLOW, inputs, keys[name])

    ids = dict(zip(weights, await asyncio.gather(*map(queue, weights)), strict=True))
    everything = [task_id for those in ids.values() for task_id in those]
    async with asyncio.timeout(120):
        while sum(record.final for record in await read(store, everything)) < 600:
            await asyncio.sleep(0.2)
    records = await read(store, everything)
    begun = max(record.submitted_at for record in records)
    started = sorted(
        (record.started_at, record.account)
        for record in records
        if record.started_at is not None and record.started_at > begun
    )
    # Each account begins with a task in each shard at once, whatever its weight.
    shares = Counter(account for _, account in started[100:400])
    await store.close()
    print(shares)
    for name, weight in weights.items():
        assert shares[name] / 300 == pytest.approx(weight / 15, abs=0.04), shares
