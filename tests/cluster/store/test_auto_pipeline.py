"""Calls that share round trips, and the connections that carry them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import ResponseError

from cluster.settings import Settings
from cluster.store.auto_pipeline import MAX_BATCH, MAX_IN_FLIGHT, AutoPipeline
from cluster.store.lua_scripts import Call
from cluster.store.raw_pipeline import ThreadPipeline, send_pipeline
from cluster.store.script_calls import Calls
from tests.system import RedisServer

CALLS = Calls(Settings())


def call(number: int) -> Call[Any]:
    return CALLS.start(f"{number:032x}", 1, "w")


class Wire:
    """Stands for Redis: holds every round trip until it is released, and replies to each call with its first key."""

    def __init__(self) -> None:
        self.trips: list[Sequence[Call[Any]]] = []
        self.go = asyncio.Event()
        self.left = asyncio.Event()

    async def send(self, calls: Sequence[Call[Any]]) -> list[Any]:
        self.trips.append(calls)
        self.left.set()
        await self.go.wait()
        return [item.keys[0] for item in calls]


async def test_calls_that_arrive_while_others_are_in_flight_share_the_next_round_trip() -> None:
    wire = Wire()
    pipeline = AutoPipeline(wire.send, 10)
    waiting = [asyncio.create_task(pipeline.run(call(i))) for i in range(MAX_IN_FLIGHT)]
    await wire.left.wait()
    waiting += [asyncio.create_task(pipeline.run(call(i))) for i in range(MAX_IN_FLIGHT, 100)]
    await asyncio.sleep(0)
    wire.go.set()
    assert await asyncio.gather(*waiting) == [call(i).keys[0] for i in range(100)]
    assert sum(map(len, wire.trips)) == 100
    assert len(wire.trips) <= 2 * MAX_IN_FLIGHT


async def test_a_call_that_arrives_just_as_the_last_round_trip_ends_is_sent() -> None:
    wire = Wire()
    wire.go.set()

    async def late(pipeline: AutoPipeline, steps: int) -> str:
        for _ in range(steps):
            await asyncio.sleep(0)
        return str(await pipeline.run(call(9)))

    for steps in range(12):
        pipeline = AutoPipeline(wire.send, 1)
        calls = [pipeline.run(call(i)) for i in range(MAX_IN_FLIGHT)]
        *_, answer = await asyncio.gather(*calls, late(pipeline, steps))
        assert answer == call(9).keys[0]


async def test_a_round_trip_is_bounded() -> None:
    wire = Wire()
    wire.go.set()
    pipeline = AutoPipeline(wire.send, 10)
    await asyncio.gather(*(pipeline.run(call(i)) for i in range(5 * MAX_BATCH)))
    assert max(map(len, wire.trips)) <= MAX_BATCH


async def test_a_cancelled_caller_does_not_affect_the_others_in_its_round_trip() -> None:
    wire = Wire()
    pipeline = AutoPipeline(wire.send, 10)
    first, second = (asyncio.create_task(pipeline.run(call(i))) for i in range(2))
    await wire.left.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    wire.go.set()
    assert await second == call(1).keys[0]


async def test_a_call_times_out_and_later_ones_are_served() -> None:
    wire = Wire()
    pipeline = AutoPipeline(wire.send, 0.05)
    with pytest.raises(TimeoutError):
        await pipeline.run(call(1))
    wire.go.set()
    assert await pipeline.run(call(2)) == call(2).keys[0]


async def test_time_in_which_the_process_stood_still_does_not_count(
    redis_server: RedisServer,
) -> None:
    reply = asyncio.Event()

    async def send(calls: Sequence[Call[Any]]) -> list[Any]:
        await reply.wait()
        return ["yes"] * len(calls)

    pipeline = AutoPipeline(send, 0.2)
    waiting = asyncio.create_task(pipeline.run(call(1)))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.1, reply.set)
    time.sleep(0.5)
    assert await waiting == "yes"

    pool = redis.asyncio.BlockingConnectionPool.from_url(redis_server.url)
    await send_pipeline(pool, [("PING",)], 1)
    redis_server.pause()
    try:
        trip = asyncio.create_task(send_pipeline(pool, [("PING",)], 0.2))
        await asyncio.sleep(0.1)
        redis_server.resume()
        time.sleep(0.5)
        assert await trip == [b"PONG"]
    finally:
        redis_server.resume()
        await pool.aclose()


async def test_a_refused_call_fails_alone_and_a_lost_round_trip_fails_all_its_calls() -> None:
    async def refuses(calls: Sequence[Call[Any]]) -> list[Any]:
        return [ResponseError("no") if item.keys == call(1).keys else "yes" for item in calls]

    pipeline = AutoPipeline(refuses, 10)
    answers = await asyncio.gather(*(pipeline.run(call(i)) for i in range(3)), return_exceptions=True)
    assert [answers[0], answers[2]] == ["yes", "yes"]
    assert isinstance(answers[1], ResponseError)

    async def loses(calls: Sequence[Call[Any]]) -> list[Any]:
        raise redis.ConnectionError("gone")

    pipeline = AutoPipeline(loses, 10)
    answers = await asyncio.gather(*(pipeline.run(call(i)) for i in range(3)), return_exceptions=True)
    assert all(isinstance(answer, redis.ConnectionError) for answer in answers)


@pytest.mark.one_server("its commands have the keys of one connection")
async def test_an_error_of_one_command_does_not_shift_the_replies_of_the_others(
    redis_server: RedisServer,
) -> None:
    pool = redis.asyncio.ConnectionPool.from_url(redis_server.url)
    commands: list[tuple[Any, ...]] = [("SET", "channel", "1"), ("LPUSH", "channel", 1), ("GET", "channel")]
    answers = await send_pipeline(pool, commands, 5)
    assert answers[0] in (True, b"OK")
    assert isinstance(answers[1], ResponseError)
    assert answers[2] == b"1"
    await pool.aclose()


async def test_unread_replies_are_never_taken_for_those_of_the_next_caller(redis_server: RedisServer) -> None:
    pool = redis.asyncio.ConnectionPool.from_url(redis_server.url, max_connections=1)
    with pytest.raises(TimeoutError):
        await send_pipeline(pool, [("BLPOP", "channel:nothing", 1), ("ECHO", "old")], 0.1)
    assert await send_pipeline(pool, [("ECHO", "new")], 5) == [b"new"]
    await pool.aclose()


def test_each_thread_has_its_own_connection_and_reopens_it(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url)
    channel = ThreadPipeline(client.connection_pool)
    ids: list[int] = []

    def ask() -> None:
        ids.extend(channel.send_pipeline([("CLIENT", "ID")]))

    ask()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert len(set(ids)) == 2
    client.execute_command("CLIENT", "KILL", "ID", ids[0])  # type: ignore[no-untyped-call]
    with pytest.raises(redis.ConnectionError):
        ask()
    ask()
    assert len(set(ids)) == 3
    client.close()
