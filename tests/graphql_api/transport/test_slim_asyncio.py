"""The slim event and queue behave like those of asyncio."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_api.transport.slim_asyncio import SlimEvent, SlimQueue

STEPS = st.lists(st.sampled_from(["put", "get", "turn"]), max_size=40)


@settings(deadline=None)
@given(STEPS)
def test_a_queue_delivers_every_item_once_and_in_order(steps: list[str]) -> None:
    async def run() -> None:
        queue, got, put = SlimQueue(), [], 0
        readers: list[asyncio.Task[Any]] = []

        async def read() -> None:
            got.append(await queue.get())

        for step in steps:
            if step == "put":
                queue.put_nowait(put)
                put += 1
            elif step == "get" and all(reader.done() for reader in readers):
                readers.append(asyncio.create_task(read()))
            else:
                await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert got == list(range(min(put, len(readers))))
        assert queue.empty() == (put <= len(readers))
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    asyncio.run(run())


async def test_a_reader_that_is_cancelled_loses_no_item() -> None:
    queue = SlimQueue()
    reader = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    reader.cancel()
    queue.put_nowait("message")
    await asyncio.gather(reader, return_exceptions=True)
    assert await queue.get() == "message"


async def test_an_event_wakes_all_that_wait_and_none_once_it_is_cleared() -> None:
    event = SlimEvent()
    waiting = [asyncio.create_task(event.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    event.set()
    await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting] == [False, True, False]
    assert event.is_set()
    await event.wait()
    event.clear()
    late = asyncio.create_task(event.wait())
    await asyncio.sleep(0)
    assert not late.done()
    late.cancel()
