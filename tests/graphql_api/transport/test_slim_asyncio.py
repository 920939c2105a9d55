"""The slim parts of a WebSocket's connection do what asyncio's would, and the counts of open sockets come out even."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import TooManySubscriptions
from graphql_api.auth.callers import Caller, Scope
from graphql_api.auth.connections import ConnectionRegistry
from graphql_api.transport.slim_asyncio import SlimEvent, SlimQueue

STEPS = st.lists(st.sampled_from(["put", "get", "turn"]), max_size=40)


@settings(deadline=None)
@given(STEPS)
def test_an_inbox_hands_out_everything_once_and_in_order(steps: list[str]) -> None:
    async def run() -> None:
        inbox, got, put = SlimQueue(), [], 0
        readers: list[asyncio.Task[Any]] = []

        async def read() -> None:
            got.append(await inbox.get())

        for step in steps:
            if step == "put":
                inbox.put_nowait(put)
                put += 1
            elif step == "get" and all(reader.done() for reader in readers):
                readers.append(asyncio.create_task(read()))
            else:
                await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert got == list(range(min(put, len(readers))))
        assert inbox.empty() == (put <= len(readers))
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    asyncio.run(run())


async def test_a_reader_that_is_cancelled_takes_nothing_with_it() -> None:
    inbox = SlimQueue()
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    reader.cancel()
    inbox.put_nowait("message")
    await asyncio.gather(reader, return_exceptions=True)
    assert await inbox.get() == "message"


async def test_a_gate_lets_all_through_that_wait_and_nobody_once_it_is_closed() -> None:
    gate = SlimEvent()
    waiting = [asyncio.create_task(gate.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    gate.set()
    await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting] == [False, True, False]
    assert gate.is_set()
    await gate.wait()
    gate.clear()
    late = asyncio.create_task(gate.wait())
    await asyncio.sleep(0)
    assert not late.done()
    late.cancel()


async def test_places_are_given_back_whatever_happens_in_them() -> None:
    sockets, closed = ConnectionRegistry(2), []
    caller = Caller("somebody", frozenset(Scope))

    async def close() -> None:
        closed.append(caller.name)

    def crowd() -> None:
        with sockets.slot() as slot, sockets.slot() as other:
            slot.count("address:1")
            other.count("address:1")
            slot.count(caller.name)
            slot.register(caller, close)
            assert sockets.is_full("address:1")
            assert not sockets.is_full(caller.name)
            assert sockets.open == 1
            sockets.require_room("address:1")

    with pytest.raises(TooManySubscriptions):
        crowd()
    with sockets.slot() as slot:
        slot.register(caller, close)
        await sockets.end(lambda one: one is caller)
    assert closed == [caller.name]
    assert sockets.open == 0
    assert not sockets.is_full("address:1")
    assert not sockets._count
