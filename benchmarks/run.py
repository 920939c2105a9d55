"""`make bench`: our system and its peers on this machine, alternating, in several rounds; medians with their spread.

Everything is real: one api process, the scheduler, two workers with one thread each, Redis with its append-only file;
the peers have two workers on the same Redis. This process generates the load: over HTTP and WebSocket with a client
that costs next to nothing (wire.py), and with the peers' own clients. Compare only figures of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import redis.asyncio

from benchmarks import peers, report
from benchmarks.report import Row
from benchmarks.wire import HttpPool, Socket
from dask_graphql.dev_system import free_port
from tests.system import RedisServer, System

IN_FLIGHT = 64
FIELDS = "state result { ... on FibonacciResult { value } }"
SUBMIT = "mutation($n: Int!) { submitFibonacci(n: $n) { taskId outcome } }"
RESULT = f"subscription($id: ID!) {{ taskResult(taskId: $id) {{ {FIELDS} }} }}"
MANY = "mutation($i: [FibonacciInput!]!) { submitFibonacciMany(inputs: $i) { taskId outcome } }"
RESULTS = f"subscription($ids: [ID!]!) {{ taskResults(taskIds: $ids) {{ {FIELDS} }} }}"
NUMBERS = itertools.cycle(range(100, 20_100))
"""Each of our tasks is new (`delete_records` makes the numbers new again); they are so small that the work itself
costs nothing."""
FAN_NUMBERS = itertools.count(10)
"""Numbers with few digits that no other measure uses: the waiting sockets cannot read compressed messages."""
PEERS_NUMBERS = itertools.cycle(range(100, 20_100))
"""The peers run a repeated number again."""


class Ours:
    """A client of our api: HTTP for mutations, one WebSocket for subscriptions."""

    name = report.OURS

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
        submitted = (await self.post(SUBMIT, {"n": n}))["submitFibonacci"]
        assert submitted["outcome"] == "NEW", "a stored result would be measured"
        [item] = await self.subscribe(RESULT, {"id": submitted["taskId"]})
        return str(item["taskResult"]["result"]["value"])

    async def run_many(self, numbers: Sequence[int]) -> None:
        submitted = (await self.post(MANY, {"i": [{"n": n} for n in numbers]}))["submitFibonacciMany"]
        assert {item["outcome"] for item in submitted} == {"NEW"}, "stored results would be measured"
        ids = [item["taskId"] for item in submitted]
        assert len(await self.subscribe(RESULTS, {"ids": ids})) == len(numbers)

    async def close(self) -> None:
        self._socket.close()
        self._http.close()


def numbers_of(peer: Any) -> Iterator[int]:
    """The numbers of a system's next tasks."""
    return NUMBERS if isinstance(peer, Ours) else PEERS_NUMBERS


async def delete_records(system: System) -> None:
    """Deletes all records, so that the same numbers are new tasks again; call it while nothing is in flight."""
    async with redis.asyncio.Redis.from_url(system.redis.url) as client:
        await client.flushall()


# Measures: each returns one figure -----------------------------------------------------------------------------------


async def lone_ms(peer: Any, count: int) -> float:
    """One task at a time: median time from submission to result, in milliseconds."""
    spans = []
    for _ in range(count):
        begun = time.perf_counter()
        await peer.run(next(numbers_of(peer)))
        spans.append(time.perf_counter() - begun)
    return statistics.median(spans) * 1000


async def in_flight_per_second(peer: Any, count: int, at_once: int = IN_FLIGHT) -> float:
    """Distinct short tasks with `at_once` in flight, in tasks per second."""
    gate = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with gate:
            await peer.run(next(numbers_of(peer)))

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    return count / (time.perf_counter() - begun)


async def batches_per_second(peer: Ours, count: int) -> float:
    """submitFibonacciMany of 100 and taskResults, four batches in flight, in tasks per second."""
    gate = asyncio.Semaphore(4)

    async def one() -> None:
        async with gate:
            await peer.run_many([next(NUMBERS) for _ in range(100)])

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count // 100)))
    return count / (time.perf_counter() - begun)


async def posts_per_second(url: str, count: int, connections: int = 16) -> float:
    """The same submission over several connections, in responses per second."""
    body = orjson.dumps({"query": SUBMIT, "variables": {"n": 90}})
    http = HttpPool(url, connections)
    left = iter(range(count))

    async def one() -> None:
        for _ in left:
            await http.post(body)

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    seconds = time.perf_counter() - begun
    http.close()
    return count / seconds


async def fan_out_per_second(ours: Ours, sockets: int) -> float:
    """One result to many waiting sockets, in deliveries per second from the submission of the task."""
    from cluster.task_types.registry import load_registry

    n = next(FAN_NUMBERS)
    async with _crowd("fan", ours.url, sockets, load_registry()["fibonacci"].bind({"n": n}).task_id) as crowd:
        begun = time.perf_counter()
        await ours.post(SUBMIT, {"n": n})
        await crowd.readline()
        return sockets / (time.perf_counter() - begun)


async def idle_kilobytes(ours: Ours, api: psutil.Process, sockets: int) -> float:
    """Memory growth of the api process per socket that offers deflate and waits for a task, in KB."""
    before = api.memory_info().rss
    async with _crowd("idle", ours.url, sockets, ""):
        return (api.memory_info().rss - before) / sockets / 1024


GMPY2 = """
import gmpy2, hashlib, time
began = time.perf_counter()
hashlib.sha256(gmpy2.fib({n}).digits().encode()).hexdigest()
print(time.perf_counter() - began)
"""
LONG_N = 10**8


async def long_seconds(ours: Ours) -> float:
    """A number of 20 million digits, from submission to final record, in seconds; it is recomputed each time."""
    begun = time.perf_counter()
    submitted = await ours.post(
        "mutation($n: Int!) { submitFibonacci(n: $n, options: {recompute: true}) { taskId } }", {"n": LONG_N}
    )
    [item] = await ours.subscribe(RESULT, {"id": submitted["submitFibonacci"]["taskId"]})
    assert item["taskResult"]["state"] == "SUCCEEDED"
    return time.perf_counter() - begun


async def gmpy2_seconds() -> float:
    """The same number and its digits in a process that does nothing else, in seconds."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", GMPY2.format(n=LONG_N), stdout=PIPE)
    return float((await process.communicate())[0])


async def p99_ms(ours: Ours, seconds: float, *, every: float = 0.01) -> float:
    """The 99th percentile of short tasks in milliseconds, one after the other with a pause of `every` seconds."""
    spans = []
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        await ours.run(next(NUMBERS))
        spans.append(time.perf_counter() - begun)
        await asyncio.sleep(every)
    return sorted(spans)[int(len(spans) * 0.99)] * 1000


async def p99_during_long_task_ms(ours: Ours) -> float:
    long = asyncio.ensure_future(long_seconds(ours))
    # Shorter than the long task, so that all of it overlaps.
    figure = await p99_ms(ours, 2.0)
    await long
    return figure


async def import_seconds() -> float:
    """`import graphql_api.app` in a new process, in seconds."""
    program = "import time; began = time.perf_counter(); import graphql_api.app; print(time.perf_counter() - began)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE)
    return float((await process.communicate())[0])


async def start_seconds(folder: Path) -> float:
    """`make run` after the first set-up, until it prints that it is ready, in seconds."""
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dask_graphql", "dev", "--port", str(free_port()), "--data-dir", str(folder),
        stdout=PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    try:
        async with asyncio.timeout(60):
            while not (await process.stdout.readline()).startswith(b"ready"):
                assert process.returncode is None
        return time.perf_counter() - begun
    finally:
        process.terminate()
        await process.wait()


async def held_p99_ms(ours: Ours, sockets: int, minutes: float) -> float:
    """The p99 of new results while idle subscriptions are held open, in milliseconds; none of them may be lost."""
    async with _crowd("idle", ours.url, sockets, ""):
        print(f"  {sockets:,} idle subscriptions are held open for {minutes:g} minutes", flush=True)
        return await p99_ms(ours, minutes * 60, every=0.05)


@asynccontextmanager
async def _crowd(kind: str, url: str, sockets: int, task_id: str) -> AsyncIterator[asyncio.StreamReader]:
    """Waiting sockets in a process of their own (sockets.py); yields its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.sockets", kind, url, str(sockets), task_id, stdin=PIPE, stdout=PIPE
    )
    assert process.stdin
    assert process.stdout
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield process.stdout
    finally:
        process.stdin.write(b"\n")
        output = await process.stdout.read()
        await process.wait()
    assert json.loads(output.splitlines()[-1])["lost"] == 0, f"subscriptions were lost: {output.decode()}"


# The run --------------------------------------------------------------------------------------------------------------


def _start(command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


async def measure(rounds: int, tasks: int, held_minutes: float, folder: Path) -> list[Row]:
    """Runs all measures, our system and the peers alternating, `rounds` times."""
    peer_redis = RedisServer(folder)
    (folder / "ours").mkdir()
    rows: dict[tuple[str, str], Row] = {}

    async def record(name: str, system: str, work: Awaitable[float]) -> None:
        figure = await work
        rows.setdefault((name, system), Row(name, system)).figures.append(figure)
        print(f"  {name:62} {system:32} {figure:10,.2f}", flush=True)

    await start_seconds(folder / "dev")
    for _ in range(rounds):
        await record(report.IMPORT, report.OURS, import_seconds())
        await record(report.START, report.OURS, start_seconds(folder / "dev"))
    async with System(
        folder / "ours", min_workers=2, max_workers=2, sockets_per_client=100_000, connections_per_address=100_000
    ) as system:
        peer_redis.start()
        peers.REDIS, peers.SCHEDULER = peer_redis.url, system.settings.scheduler
        starlette, endpoints = free_port(), {kind: free_port() for kind in ("taskiq", "celery", "dramatiq")}
        commands = [["benchmarks.peers", kind] for kind in endpoints]
        commands += [["benchmarks.endpoints", kind, str(port)] for kind, port in endpoints.items()]
        commands.append(["benchmarks.peers", "starlette", str(starlette)])
        environment = {"BENCH_REDIS": peer_redis.url}
        processes = [_start([sys.executable, "-m", *command], environment) for command in commands]
        bare = f"http://127.0.0.1:{starlette}/"
        ours = Ours(system.url)
        api = next(child for child in psutil.Process().children(True) if child.cmdline()[-1:] == ["api"])
        all_peers: list[Any] = [ours, peers.Taskiq(), peers.Celery(), peers.Dramatiq(), peers.Dask()]
        all_peers += [peers.Endpoint(kind, port) for kind, port in endpoints.items()]
        started = []
        try:
            for peer in all_peers:
                await peer.start()
                started.append(peer)
                await _warm(peer)
            await record(report.IDLE, ours.name, idle_kilobytes(ours, api, 2_000))
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", flush=True)
                for peer in all_peers:
                    await record(report.LONE, peer.name, lone_ms(peer, tasks // 10))
                for peer in all_peers:
                    await record(report.IN_FLIGHT, peer.name, in_flight_per_second(peer, tasks))
                await record(report.BATCHES, ours.name, batches_per_second(ours, tasks * 2))
                await record(report.CACHED, ours.name, posts_per_second(system.url, tasks))
                await record(report.CACHED, report.ROUTE, posts_per_second(bare, tasks))
                await record(report.FAN_OUT, ours.name, fan_out_per_second(ours, 2_000))
                await record(report.LONG, ours.name, long_seconds(ours))
                await record(report.LONG, report.GMPY2, gmpy2_seconds())
                await record(report.ALONE, ours.name, p99_ms(ours, 2.0))
                await record(report.DURING_LONG, ours.name, p99_during_long_task_ms(ours))
                await delete_records(system)
            if held_minutes:
                await record(report.HELD, ours.name, held_p99_ms(ours, 10_000, held_minutes))
        finally:
            for peer in started:
                await peer.close()
            for process in processes:
                os.killpg(process.pid, signal.SIGTERM)
            for process in processes:
                process.wait(20)
            peer_redis.stop()
    return list(rows.values())


async def _warm(peer: Any) -> None:
    """Returns when the peer responds; its processes may still be starting."""
    async with asyncio.timeout(60):
        while True:
            try:
                await peer.run(next(NUMBERS))
                return
            except OSError:
                await asyncio.sleep(0.1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tasks", type=int, default=2_000, help="tasks per measure")
    arguments.add_argument(
        "--held-minutes", type=float, default=10, help="how long idle subscriptions are held open; 0 skips this measure"
    )
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ.setdefault("DASK_CONFIG", f"{folder}/dask")
        rows = asyncio.run(measure(given.rounds, given.tasks, given.held_minutes, Path(folder)))
    text = report.document(rows, given.rounds)
    (Path(__file__).parent / "RESULTS.md").write_text(text)
    (Path(__file__).parent / "results.svg").write_text(report.picture(rows))
    print(text)


if __name__ == "__main__":
    main()
