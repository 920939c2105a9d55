"""`make bench-changes`: what subscriptions to `tasksChanged` cost an api node and Redis, by their number and filters.

Each row has the same load: tasks that scripts submit, start and end, without workers. The processor time of the api
node is per task, less what the node uses without load. The load of the machine is printed too: compare only figures of
the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from cluster.settings import load_settings
from cluster.store.async_store import Store
from dask_graphql.dev_system import free_port
from tests.system import RedisServer

Filter: TypeAlias = dict[str, Any]
Load: TypeAlias = Callable[[], Awaitable[int]]

CHANGES: Final = """subscription($where: TaskFilter!) { tasksChanged(where: $where) {
  reset cursor kind taskId at task { taskId state progress } } }"""
PER_SOCKET: Final = 100
"""Subscriptions that share a socket."""
TAGS: Final = 1_000
"""The tasks have these tags in turn."""
FILTERS: Final[dict[str, list[Filter]]] = {
    "none": [],
    "1, of a tag": [{"tag": "t5"}],
    "1, of all tasks": [{}],
    "1,000, each of another tag": [{"tag": f"t{n}"} for n in range(TAGS)],
    "1,000 that match nothing": [{"submittedBy": f"key:{n}", "states": ["FAILED"]} for n in range(1_000)],
}
HEAD: Final = """| subscriptions | tasks/s | api µs/task | Redis µs/task | delivered | resets |
|---|---|---|---|---|---|"""


@dataclass
class Received:
    """What the subscribers of one row got."""

    changes: int = 0
    resets: int = 0


@asynccontextmanager
async def api_process(redis_url: str, folder: Path) -> AsyncIterator[tuple[str, psutil.Process]]:
    """An api node in a process of its own, whose scheduler is away, and its WebSocket's URL."""
    port = free_port()
    settings = {
        "REDIS_URL": redis_url, "PORT": str(port), "DATA_DIR": str(folder), "METRICS_PORT": "0", "LOG_LEVEL": "ERROR",
        "SCHEDULER": "tcp://127.0.0.1:1", "WAITERS_PER_CLIENT": "5000",
    }  # fmt: skip
    environment = {**os.environ, **{f"DASK_GRAPHQL_{name}": value for name, value in settings.items()}}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "dask_graphql", "api", env=environment)
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(60):
            while True:
                try:
                    if (await client.get(f"http://127.0.0.1:{port}/healthz")).is_success:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        yield f"ws://127.0.0.1:{port}/graphql", psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def subscribed(url: str, filters: Sequence[Filter], received: Received) -> AsyncIterator[None]:
    """A socket with a subscription for each filter."""
    async with connect(
        url, subprotocols=[Subprotocol("graphql-transport-ws")], ping_interval=None, compression=None
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        for number, where in enumerate(filters):
            payload = {"query": CHANGES, "variables": {"where": where}}
            await socket.send(json.dumps({"type": "subscribe", "id": str(number), "payload": payload}))
        reading = asyncio.create_task(count(socket, received))
        try:
            yield
        finally:
            reading.cancel()


async def count(socket: ClientConnection, received: Received) -> None:
    async for text in socket:
        message = json.loads(text)
        if message["type"] == "ping":
            await socket.send('{"type":"pong"}')
        elif message["type"] == "next" and message["payload"]["data"]["tasksChanged"]["reset"]:
            received.resets += 1
        else:
            assert message["type"] == "next", message
            received.changes += 1


async def end_tasks(store: Store, numbers: Iterator[int], seconds: float, rate: int) -> int:
    """Submits, starts and ends about `rate` tasks a second; returns how many it did."""

    async def end(number: int) -> None:
        task_id = f"{number % 16:x}{number:031x}"
        tags = (f"t{number % TAGS}",)
        await store.run(store.calls.submit(task_id, "fibonacci", "1", b'{"n":90}', tags=tags))
        await store.run(store.calls.start(task_id, 1, "w"))
        await store.run(store.calls.finish(task_id, 1, b"1"))

    begun, done = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        due = min(int(passed * rate) - done, 100)
        await asyncio.gather(*(end(next(numbers)) for _ in range(due)))
        done += max(due, 0)
        await asyncio.sleep(0.005)
    return done


async def row(name: str, url: str, api: psutil.Process, redis: psutil.Process, load: Load, seconds: float) -> str:
    """Measures one row: `load` ends tasks for a time and returns their number."""
    received, filters = Received(), FILTERS[name]
    async with AsyncExitStack() as sockets:
        for at in range(0, len(filters), PER_SOCKET):
            await sockets.enter_async_context(subscribed(url, filters[at : at + PER_SOCKET], received))
        async with asyncio.timeout(60):
            while received.resets < len(filters):
                await asyncio.sleep(0.1)
        before, begun = spent(api), time.monotonic()
        await asyncio.sleep(seconds)
        idle = (spent(api) - before) / (time.monotonic() - begun)
        first_resets, of_api, of_redis, begun = received.resets, spent(api), spent(redis), time.monotonic()
        done = await load()
        took, last = time.monotonic() - begun, -1
        while last != received.changes:
            last = received.changes
            await asyncio.sleep(1)
        of_api = spent(api) - of_api - idle * (time.monotonic() - begun)
        of_redis = spent(redis) - of_redis
        return (
            f"| {name} | {done / took:.0f} | {of_api / done * 1e6:.0f} | {of_redis / done * 1e6:.0f} | "
            f"{received.changes} | {received.resets - first_resets} |"
        )


def spent(process: psutil.Process) -> float:
    """The processor time of a process so far, in seconds."""
    return float(sum(process.cpu_times()[:2]))


async def measure(folder: Path, seconds: float, rate: int) -> None:
    (folder / "redis").mkdir()
    server = RedisServer(folder / "redis")
    server.start(sync="no")
    store = Store(load_settings({}, redis_url=server.url))
    numbers = itertools.count()
    try:
        async with api_process(server.url, folder / "data") as (url, api):
            redis, rows = psutil.Process(server.process_id), []
            for name in FILTERS:
                load = partial(end_tasks, store, numbers, seconds, rate)
                rows.append(await row(name, url, api, redis, load, seconds))
                print(f"  {name}, load {os.getloadavg()[0]:.1f}", flush=True)
    finally:
        await store.close()
        server.stop()
    print(HEAD, *rows, sep="\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), options.seconds, options.rate))


if __name__ == "__main__":
    main()
