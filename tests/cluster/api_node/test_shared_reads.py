"""All who ask for the same within a moment share one read."""

from __future__ import annotations

import asyncio

import pytest

from cluster.api_node.shared_reads import SharedReads
from cluster.errors import StoreUnavailable


class Reader:
    def __init__(self) -> None:
        self.reads = 0
        self.fails = False

    async def read(self) -> int:
        self.reads += 1
        await asyncio.sleep(0)
        if self.fails:
            raise StoreUnavailable("not now")
        return self.reads


async def test_one_read_serves_all_until_it_is_too_old() -> None:
    now, reader = [0.0], Reader()
    shared: SharedReads[str, int] = SharedReads(2.0, 10, lambda: now[0])
    assert await asyncio.gather(*(shared.get("a", reader.read) for _ in range(3))) == [1, 1, 1]
    now[0] = 2.0
    assert await shared.get("a", reader.read) == 1
    now[0] = 2.1
    assert await shared.get("a", reader.read) == 2


async def test_a_failure_reaches_all_who_wait_and_is_tried_again_at_once() -> None:
    reader = Reader()
    shared: SharedReads[str, int] = SharedReads(60.0, 10)
    reader.fails = True
    both = await asyncio.gather(*(shared.get("a", reader.read) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in both] == [StoreUnavailable] * 2
    reader.fails = False
    assert await shared.get("a", reader.read) == 2


async def test_a_caller_that_is_cancelled_does_not_cancel_the_others() -> None:
    reader = Reader()
    shared: SharedReads[str, int] = SharedReads(60.0, 10)
    first, second = (asyncio.ensure_future(shared.get("a", reader.read)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_number_of_answers_is_bounded() -> None:
    reader = Reader()
    shared: SharedReads[int, int] = SharedReads(60.0, 2)
    for key in (1, 2, 3):
        await shared.get(key, reader.read)
    assert await shared.get(3, reader.read) == 3
    assert await shared.get(1, reader.read) == 4
