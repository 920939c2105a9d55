"""The load generator in C measures tasks that had the right answers, and ends at any other."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import limits, load
from benchmarks.ours import OursFromC
from benchmarks.timing import Numbers
from tests.outside import missing
from tests.system import System


@pytest.fixture(autouse=True)
def _compiler() -> None:
    if load.programs() is None:
        missing("no C compiler: install gcc or clang")


async def test_two_requests_make_a_task() -> None:
    async with limits.server(in_c=True) as url:
        spent = await limits.two_requests(url, 1_000, 8)
    assert spent.tasks == 1_000
    assert 0 < spent.p50_ms <= spent.p99_ms <= spent.seconds * 1000


async def test_an_answer_that_is_not_as_expected_ends_the_run_with_the_answer() -> None:
    async with limits.server(in_c=True) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        with pytest.raises(load.LoadFailed, match=r'expected "NEW" 1 times and got it 0 times in: {"data":{"n":1}}'):
            await load.run_tasks(port, 1, request="POST /", body="{}", expect_response='"NEW"')


async def test_one_message_reaches_all_bare_sockets() -> None:
    async with limits.server(in_c=True) as url, asyncio.timeout(20):
        assert await limits.sends_per_second(url, 100) > 0


@pytest.mark.slow
async def test_tasks_of_the_real_system_end_in_each_way(system: System) -> None:
    client = OursFromC(system.url, Numbers(first=19_000))
    assert await client.lone_ms(2) > 0
    assert await client.pairs_per_second(20, 4) > 0
    assert await client.runs_per_second(20) > 0
    assert await client.batches_per_second(100) > 0
