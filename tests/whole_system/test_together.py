"""One call of a function serves many tasks: what that gains on a real system."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dask_graphql import AsyncClient
from dask_graphql.testing import running_system

pytestmark = pytest.mark.slow

COUNT = 300


async def throughput(url: str, name: str, first: int) -> tuple[float, list[Any]]:
    """Tasks per second, and the results."""
    async with AsyncClient(url) as client:
        started = time.monotonic()
        results = [value async for value in client.map(name, [{"n": first + i} for i in range(COUNT)])]
        return COUNT / (time.monotonic() - started), results


async def test_tasks_that_wait_share_calls_and_each_gets_its_own_result() -> None:
    with running_system("tests.task_modules.batched", max_workers=2) as client:
        client.submit("together", n=-1).result(timeout=60)
        client.submit("alone", n=-1).result(timeout=60)
        batched, results = await throughput(client.url, "together", 0)
        single, _ = await throughput(client.url, "alone", 0)
    assert sorted(int(value[0]) for value in results) == list(range(COUNT))
    sizes = [int(value[1]) for value in results]
    print(f"{batched:.0f} tasks/s in calls of {sum(sizes) / COUNT:.0f} on average, {single:.0f} tasks/s alone")
    assert max(sizes) <= 32
    assert sum(sizes) / COUNT > 8
    assert batched > single
