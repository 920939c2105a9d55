"""`make bench-schedulers`: what a Dask scheduler of ours takes, with 10 to 400 workers, and what several take.

Real schedulers with our plugin, and the sender of an api node. The workers are simulated (`simulated_workers`): they do
nothing but answer. Every Dask task carries one attempt, the dearest way: with short tasks one carries up to 64. Compare
the processor time: of the schedulers, the senders and the workers on one machine, each has only its share of the cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.processor import processor_seconds
from benchmarks.simulated_workers import Counter
from cluster.scheduling.attempt_messages import AttemptBatch
from cluster.scheduling.fair_order import Share
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.settings import Settings, load_settings
from cluster.store.async_store import Store
from cluster.system.child_processes import Child, start_child, start_node, stop_children
from dask_graphql.dev_system import free_port
from tests.system import RedisServer

BACKLOG_OF_A_THREAD: Final = 4
"""Dask tasks that a scheduler has at most for each thread: it is never out of work, and its queue is not long."""
MESSAGE: Final = 100
"""Attempts in one message at most."""
LOOK_SECONDS: Final = 0.002
"""Pause of the sender while a scheduler has all that it may have."""
LOAD_SECONDS: Final = 0.5
"""How often the load is asked for, as a controller does."""
CASES: Final = ((1, 10), (1, 100), (1, 400), (2, 100), (4, 100))
"""Numbers of schedulers, and of workers of each."""


@dataclass(frozen=True)
class Figures:
    """What was measured of one case.

    Attributes:
        ended: Dask tasks a second, all schedulers together.
        scheduler: processor time of the schedulers for a Dask task, microseconds, beyond what they use when idle.
        sender: the same of the sending node, which is this process.
        workers: the same of all simulated workers.
        idle: cores that one scheduler uses while nothing is sent.
    """

    ended: float
    scheduler: float
    sender: float
    workers: float
    idle: float


@dataclass
class Running:
    """Schedulers with their workers, and the connections of a sender."""

    clients: list[SchedulerClient]
    ended: list[Counter]
    schedulers: list[psutil.Process]
    workers: list[psutil.Process]


@contextlib.asynccontextmanager
async def system(settings: Settings, workers: int, folder: Path) -> AsyncIterator[Running]:
    """Starts the schedulers in the settings, each with so many workers."""
    store, children = Store(settings), list[Child]()
    numbers = range(len(settings.scheduler_addresses))
    clients = [SchedulerClient(settings, store, subscribe_to_load=True, number=number) for number in numbers]
    try:
        with (folder / "log").open("ab") as log:
            schedulers = [await start_node(settings.of_scheduler(n), "scheduler", output=log) for n in numbers]
        children += schedulers
        for client in clients:
            client.start()
        async with asyncio.timeout(60):
            while not all(client.connected and client.takes_messages for client in clients):
                await asyncio.sleep(0.05)
        fleets, counters = [], []
        for number, address in enumerate(settings.scheduler_addresses):
            file = folder / f"ended{number}"
            command = [sys.executable, "-m", "benchmarks.simulated_workers", address, str(workers), str(file)]
            with (folder / "log").open("ab") as log:
                fleets.append(await start_child("workers", command, output=log))
            children.append(fleets[-1])
            async with asyncio.timeout(60):
                while not file.exists() or not file.stat().st_size:
                    await asyncio.sleep(0.05)
                counters.append(Counter(file))
                while counters[-1].value < 0:
                    await asyncio.sleep(0.05)
        processes = [[psutil.Process(child.process.pid) for child in each] for each in (schedulers, fleets)]
        yield Running(clients, counters, *processes)
    finally:
        for client in clients:
            await client.close()
        await store.close()
        await stop_children(children[::-1], 5)


async def send(client: SchedulerClient, ended: Counter, workers: int, until: float) -> int:
    """Keeps one scheduler in work, and waits for the end of all. Returns how many Dask tasks that were."""
    most, sent, before = BACKLOG_OF_A_THREAD * workers, 0, ended.value
    while time.monotonic() < until:
        count = min(MESSAGE, most - (sent - (ended.value - before)))
        if count < min(MESSAGE, most) // 4:
            await asyncio.sleep(LOOK_SECONDS)
            continue
        batches = [
            AttemptBatch("simulated", 0, Share("address:127.0.0.1"), [(uuid.uuid4().hex, 1, b'{"n":90}')])
            for _ in range(count)
        ]
        client.send_attempts("", batches)
        sent += count
        await asyncio.sleep(0)
    while ended.value - before < sent:
        await asyncio.sleep(LOOK_SECONDS)
    return sent


async def ask_for_load(clients: Sequence[SchedulerClient]) -> None:
    """Does what controllers do."""
    while True:
        await asyncio.gather(*(client.call("dask_graphql_load") for client in clients))
        await asyncio.sleep(LOAD_SECONDS)


async def measure(redis_url: str, schedulers: int, workers: int, seconds: float) -> Figures:
    """Measures one case, after a warm-up of a fifth of the time."""
    addresses = tuple(f"tcp://127.0.0.1:{free_port()}" for _ in range(schedulers))
    with tempfile.TemporaryDirectory() as name:
        settings = load_settings(
            {}, redis_url=redis_url, scheduler=addresses[0], schedulers=addresses, data_dir=Path(name),
            key_prefix=uuid.uuid4().hex[:8], log_level="WARNING",
        )  # fmt: skip
        async with system(settings, workers, Path(name)) as running:
            asking = asyncio.create_task(ask_for_load(running.clients))
            groups = running.schedulers, running.workers, [psutil.Process()]
            await _send_to_all(running, workers, seconds / 5)
            before, began = processor_seconds(running.schedulers), time.monotonic()
            await asyncio.sleep(seconds / 2)
            idle = (processor_seconds(running.schedulers) - before) / (time.monotonic() - began) / schedulers
            spent, began = [processor_seconds(group) for group in groups], time.monotonic()
            ended = await _send_to_all(running, workers, seconds)
            took = time.monotonic() - began
            spent = [processor_seconds(group) - first for group, first in zip(groups, spent, strict=True)]
            asking.cancel()
            await asyncio.wait([asking])
    spent[0] -= idle * took * schedulers
    of_schedulers, of_workers, of_sender = (each / ended * 1e6 for each in spent)
    return Figures(ended / took, of_schedulers, of_sender, of_workers, idle)


async def _send_to_all(running: Running, workers: int, seconds: float) -> int:
    until, pairs = time.monotonic() + seconds, zip(running.clients, running.ended, strict=True)
    return sum(await asyncio.gather(*(send(client, ended, workers, until) for client, ended in pairs)))


async def main(rounds: int, seconds: float, cases: Sequence[tuple[int, int]]) -> None:
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores. Of a Dask task, in µs of processor time:\n")
    print(
        "| schedulers | workers of each | scheduler | sender | workers | idle scheduler, % of a core | Dask tasks/s |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start(sync="no")
        try:
            for _ in range(rounds):
                for schedulers, workers in cases:
                    seen = await measure(server.url, schedulers, workers, seconds)
                    print(
                        f"| {schedulers} | {workers} | {seen.scheduler:.0f} | {seen.sender:.0f} | {seen.workers:.0f} "
                        f"| {100 * seen.idle:.1f} | {seen.ended:,.0f} |",
                        flush=True,
                    )
        finally:
            server.stop()


def _case(text: str) -> tuple[int, int]:
    schedulers, _, workers = text.partition("x")
    return int(schedulers), int(workers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each case")
    parser.add_argument("--case", type=_case, action="append", metavar="SCHEDULERSxWORKERS", help="such as 2x100")
    options = parser.parse_args()
    asyncio.run(main(options.rounds, options.seconds, options.case or CASES))
