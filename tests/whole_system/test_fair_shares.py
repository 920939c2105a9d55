"""Tenants share the workers: one tenant's long queue hardly delays another's task."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.api_node.dispatcher import MAX_BATCH
from cluster.store.async_store import Store
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
    for first in range(0, len(inputs), 500):
        answer = await system.ask(query, {"i": inputs[first : first + 500]}, token=token)
        [submitted] = answer.values()
        ids += [item["taskId"] for item in submitted]
    return ids


async def read(store: Store, ids: list[str]) -> list[Record]:
    records: list[Record] = []
    for first in range(0, len(ids), 1_000):
        records += [record for record in await store.read_many(ids[first : first + 1_000], results=False) if record]
    return records


@pytest.mark.parametrize("length", ["long tasks", "short ones in batches"])
async def test_thousands_of_tasks_of_one_tenant_delay_another_ones_only_task_by_what_the_workers_already_have(
    tenants: System, tmp_path: Path, length: str
) -> None:
    acme, *others = [await tenants.make_key(name, scopes=USER) for name in ("acme", "bank", "carl", "dora")]
    folder = str(tmp_path)
    if length == "long tasks":
        # The worker runs one and holds another. While the submission is on its way, it may begin with that one.
        query, most = SLOW, 2
        queue: list[dict[str, Any]] = [{"folder": folder, "n": n, "seconds": 0.3} for n in range(QUEUE + len(others))]
    else:
        # Likewise, of batches.
        query, most = MOODY, 3 * MAX_BATCH
        queue = [{"n": n, "mood": "short"} for n in range(QUEUE + len(others))]
        for first in range(20_000, 20_300, 100):
            # So that the scheduler has measured how short they are.
            warm = await submit(tenants, query, [{"n": n, "mood": "short"} for n in range(first, first + 100)], acme)
            await tenants.result(warm[-1], token=acme)
    # Two clients of acme's, whose requests overtake each other.
    halves = [submit(tenants, query, queue[n : n + QUEUE // 2], acme) for n in (0, QUEUE // 2)]
    ids = [task_id for half in await asyncio.gather(*halves) for task_id in half]
    store = Store(tenants.settings)
    started = -1
    for token, one in zip(others, queue[QUEUE:], strict=True):
        async with asyncio.timeout(60):
            while sum(record.started_at is not None for record in await read(store, ids)) <= started + 3:
                await asyncio.sleep(0.1)
        [only] = await submit(tenants, query, [one], token)
        assert (await tenants.result(only, token=token))["state"] == "SUCCEEDED"
        [record] = await read(store, [only])
        assert record.started_at is not None
        all_starts = [other.started_at for other in await read(store, ids) if other.started_at is not None]
        started = len(all_starts)
        assert started < len(ids), "the other tenant's queue was empty, so this shows nothing"
        between = sum(record.submitted_at < at < record.started_at for at in all_starts)
        print(f"{length}: {between} started before it, {record.started_at - record.submitted_at} ms; {started} in all")
        assert between <= most
    await store.close()


async def test_five_tenants_share_the_workers_by_their_weights(tenants: System, tmp_path: Path) -> None:
    store = Store(tenants.settings)
    weights = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    keys = {}
    for name, weight in weights.items():
        await change_policy(store, name, weight=weight)
        keys[name] = await tenants.make_key(name, scopes=USER)

    # So that the scheduler has measured how long they take.
    inputs = [{"folder": str(tmp_path), "n": n, "seconds": 0.03} for n in range(1_000, 1_020)]
    for task_id in await submit(tenants, SLOW, inputs, keys["a"]):
        await tenants.result(task_id, token=keys["a"])

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
    shares = Counter(account for _, account in started[:300])
    await store.close()
    print(shares)
    for name, weight in weights.items():
        assert shares[name] / 300 == pytest.approx(weight / 15, abs=0.04), shares
