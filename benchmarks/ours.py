"""Clients of our api for the benchmarks, with the same measures: in C where a compiler is found, else in Python."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson
import redis.asyncio

from benchmarks import load, timing
from benchmarks.timing import IN_FLIGHT, Numbers
from benchmarks.wire import HttpPool, Socket

FIELDS: Final = "state result { ... on FibonacciResult { value } }"
SUBMIT: Final = "mutation($n: Int!) { submitFibonacci(n: $n) { taskId outcome } }"
RESULT: Final = f"subscription($id: ID!) {{ taskResult(taskId: $id) {{ {FIELDS} }} }}"
RUN: Final = f"subscription($n: Int!) {{ runFibonacci(n: $n) {{ {FIELDS} }} }}"
MANY: Final = "mutation($i: [FibonacciInput!]!) { submitFibonacciMany(inputs: $i) { taskId outcome } }"
RESULTS: Final = f"subscription($ids: [ID!]!) {{ taskResults(taskIds: $ids) {{ {FIELDS} }} }}"
BATCH: Final = 100
BATCHES_IN_FLIGHT: Final = 4
CACHED_NUMBER: Final = 90
"""The task whose submission `cached` repeats; no other measure uses it."""
NUMBERS: Final = Numbers()
"""Each task is new: `delete_records` before they come again."""


class Measures(Protocol):
    """The measures of our api that a client makes; each takes the number of tasks."""

    async def lone_ms(self, count: int) -> float:
        """One task at a time, a mutation and a subscription each: median, in milliseconds."""

    async def pairs_per_second(self, count: int, in_flight: int = IN_FLIGHT) -> float:
        """Many in flight, a mutation and a subscription each, in tasks per second."""

    async def runs_per_second(self, count: int) -> float:
        """`runFibonacci` over one socket, 64 in flight, in tasks per second."""

    async def batches_per_second(self, count: int) -> float:
        """submitFibonacciMany of 100 and taskResults, four batches in flight, in tasks per second."""

    async def cached_per_second(self, count: int, connections: int = 16) -> float:
        """The same submission over several connections, in responses per second."""


class Ours:
    """A client in Python: HTTP for mutations, one WebSocket for subscriptions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._ids = itertools.count()
        self._acknowledged = asyncio.Event()
        self._queues: dict[str, asyncio.Queue[Any]] = {}

    async def start(self) -> None:
        self._http = HttpPool(self.url, IN_FLIGHT)
        self._socket = await Socket.open(self.url, self._on_message, lambda: None)
        await self._acknowledged.wait()

    def _on_message(self, _: Socket, body: bytes) -> None:
        message = orjson.loads(body)
        if message["type"] == "connection_ack":
            self._acknowledged.set()
        else:
            self._queues[message["id"]].put_nowait(message)

    async def post(self, query: str, variables: dict[str, Any]) -> Any:
        return orjson.loads(await self._http.post(orjson.dumps({"query": query, "variables": variables})))["data"]

    async def subscribe(self, query: str, variables: dict[str, Any]) -> list[Any]:
        operation = str(next(self._ids))
        queue = self._queues[operation] = asyncio.Queue()
        self._socket.subscribe(operation, query, variables)
        items = []
        while (message := await queue.get())["type"] == "next":
            items.append(message["payload"]["data"])
        del self._queues[operation]
        return items

    async def run(self, n: int) -> str:
        """Submits a number, which must be new, and subscribes to its result."""
        submitted = (await self.post(SUBMIT, {"n": n}))["submitFibonacci"]
        assert submitted["outcome"] == "NEW", "a stored result would be measured"
        [item] = await self.subscribe(RESULT, {"id": submitted["taskId"]})
        return str(item["taskResult"]["result"]["value"])

    async def _run_in_one(self, n: int) -> None:
        [item] = await self.subscribe(RUN, {"n": n})
        assert item["runFibonacci"]["state"] == "SUCCEEDED"

    async def _run_many(self, numbers: Sequence[int]) -> None:
        submitted = (await self.post(MANY, {"i": [{"n": n} for n in numbers]}))["submitFibonacciMany"]
        assert {item["outcome"] for item in submitted} == {"NEW"}, "stored results would be measured"
        ids = [item["taskId"] for item in submitted]
        assert len(await self.subscribe(RESULTS, {"ids": ids})) == len(numbers)

    async def close(self) -> None:
        self._socket.close()
        self._http.close()

    async def lone_ms(self, count: int) -> float:
        return await timing.lone_ms(self.run, NUMBERS.take(count))

    async def pairs_per_second(self, count: int, in_flight: int = IN_FLIGHT) -> float:
        return await timing.per_second(self.run, NUMBERS.take(count), in_flight)

    async def runs_per_second(self, count: int) -> float:
        return await timing.per_second(self._run_in_one, NUMBERS.take(count))

    async def batches_per_second(self, count: int) -> float:
        numbers = NUMBERS.take(count)

        async def run(batch: int) -> None:
            await self._run_many(numbers[batch * BATCH : (batch + 1) * BATCH])

        return BATCH * await timing.per_second(run, range(count // BATCH), BATCHES_IN_FLIGHT)

    async def cached_per_second(self, count: int, connections: int = 16) -> float:
        return await posts_per_second(self.url, count, connections)


class OursFromC:
    """The same measures with the client in C (benchmarks/load/tasks.c).

    Args:
        url: the address of the api node, on loopback.
        numbers: those of its tasks.
    """

    def __init__(self, url: str, numbers: Numbers = NUMBERS) -> None:
        self._port = urlsplit(url).port or 80
        self._numbers = numbers

    async def tasks(self, count: int, query: str, variables: str, **options: str | int) -> load.Spent:
        """Runs new tasks; the subscription has these variables, where `@` stands for ids or numbers."""
        numbers = self._numbers.take(count)
        payload = f'{{"query":{_quoted(query)},"variables":{variables}}}'
        return await load.run_tasks(
            self._port, count, first=numbers.start, subscribe=payload, expect_result='"SUCCEEDED"', **options
        )

    async def _submitted(self, count: int, in_flight: int) -> load.Spent:
        return await self.tasks(
            count, RESULT, '{"id":@}', in_flight=in_flight, request="POST /graphql", body=_body(SUBMIT, '{"n":@}'),
            id_after='"taskId":"', expect_response='"NEW"',
        )  # fmt: skip

    async def lone_ms(self, count: int) -> float:
        return (await self._submitted(count, 1)).p50_ms

    async def pairs_per_second(self, count: int, in_flight: int = IN_FLIGHT) -> float:
        return (await self._submitted(count, in_flight)).per_second

    async def runs_per_second(self, count: int) -> float:
        return (await self.tasks(count, RUN, '{"n":@}', in_flight=IN_FLIGHT)).per_second

    async def batches_per_second(self, count: int) -> float:
        spent = await self.tasks(
            count, RESULTS, '{"ids":[@]}', in_flight=BATCHES_IN_FLIGHT, batch=BATCH, request="POST /graphql",
            body=_body(MANY, '{"i":[@]}'), item='{"n":@}', id_after='"taskId":"', expect_response='"NEW"',
        )  # fmt: skip
        return spent.per_second

    async def cached_per_second(self, count: int, connections: int = 16) -> float:
        spent = await load.run_tasks(
            self._port, count, in_flight=connections, request="POST /graphql",
            body=_body(SUBMIT, f'{{"n":{CACHED_NUMBER}}}'), expect_response='"taskId"',
        )  # fmt: skip
        return spent.per_second


def measures(ours: Ours) -> Measures:
    """The client in C, or the one that is given where no C compiler is found."""
    return OursFromC(ours.url) if load.programs() else ours


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _body(query: str, variables: str) -> str:
    return f'{{"query":{_quoted(query)},"variables":{variables}}}'


async def posts_per_second(url: str, count: int, connections: int = 16) -> float:
    """The same submission over several connections from Python, in responses per second."""
    body = orjson.dumps({"query": SUBMIT, "variables": {"n": CACHED_NUMBER}})
    http = HttpPool(url, connections)
    figure = await timing.per_second(lambda _: http.post(body), range(count), connections)
    http.close()
    return figure


async def delete_records(redis_url: str) -> None:
    """Deletes all records, so that the same numbers are new tasks again; call it while nothing is in flight."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.flushall()
