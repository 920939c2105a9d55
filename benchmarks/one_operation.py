"""`make bench-run`: three ways to a result, alternating: `run<Name>`, submit and subscribe, and `waitSeconds`.

For each, in alternating rounds: the latency of one task at a time; and per task, with several in flight, the processor
time of the api node, and the scripts that Redis runs for all processes with the bytes that they send to it. The load of
the machine is printed too: compare only figures of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import psutil
import redis.asyncio

from benchmarks.ours import FIELDS, RUN, Ours
from tests.system import System

WAIT = f"mutation($n: Int!) {{ submitFibonacci(n: $n, waitSeconds: 30) {{ task {{ {FIELDS} }} }} }}"
IN_FLIGHT = 16

Way: TypeAlias = Callable[[Ours, int], Awaitable[object]]


async def run(ours: Ours, n: int) -> None:
    [item] = await ours.subscribe(RUN, {"n": n})
    assert item["runFibonacci"]["state"] == "SUCCEEDED"


async def submit_and_subscribe(ours: Ours, n: int) -> None:
    await ours.run(n)


async def wait_in_the_request(ours: Ours, n: int) -> None:
    answer = await ours.post(WAIT, {"n": n})
    assert answer["submitFibonacci"]["task"]["state"] == "SUCCEEDED"


WAYS: dict[str, Way] = {
    "run": run,
    "submit, then taskResult": submit_and_subscribe,
    "submit with waitSeconds": wait_in_the_request,
}


@dataclass
class Figures:
    """What was measured of one way; milliseconds, and numbers per task."""

    spans: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    api: list[float] = field(default_factory=list)
    scripts: list[float] = field(default_factory=list)
    sent_bytes: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        ordered = sorted(self.spans)
        p95 = ordered[int(len(ordered) * 0.95)]
        low, high = min(self.medians), max(self.medians)
        return (
            f"| {name} | {statistics.median(self.spans):.2f} ({low:.2f} to {high:.2f}) | {p95:.2f} | "
            f"{statistics.median(self.api):.3f} | {statistics.median(self.scripts):.2f} | "
            f"{statistics.median(self.sent_bytes):.0f} |"
        )


HEAD = """| way | median ms (medians of rounds) | p95 ms | api ms/task | scripts/task | bytes to Redis/task |
|---|---|---|---|---|---|"""


async def one_round(ours: Ours, way: Way, numbers: Iterator[int], tasks: int, api: psutil.Process, url: str) -> Figures:
    """One way for `tasks` tasks one at a time, and again with several in flight."""
    made = Figures()
    for _ in range(tasks):
        begun = time.perf_counter()
        await way(ours, next(numbers))
        made.spans.append((time.perf_counter() - begun) * 1000)
    made.medians.append(statistics.median(made.spans))
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> None:
        async with gate:
            await way(ours, next(numbers))

    async with redis.asyncio.Redis.from_url(url) as client:
        scripts, sent, spent = await _scripts(client), await _bytes(client), sum(api.cpu_times()[:2])
        await asyncio.gather(*(one() for _ in range(tasks)))
        made.api.append((sum(api.cpu_times()[:2]) - spent) / tasks * 1000)
        made.scripts.append((await _scripts(client) - scripts) / tasks)
        made.sent_bytes.append((await _bytes(client) - sent) / tasks)
    return made


async def _scripts(client: redis.asyncio.Redis) -> int:
    """The number of scripts that Redis has run, for whichever process."""
    found = await client.info("commandstats")
    return sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


async def _bytes(client: redis.asyncio.Redis) -> int:
    return int((await client.info("stats"))["total_net_input_bytes"])


async def measure(folder: Path, rounds: int, tasks: int) -> None:
    numbers = itertools.count(100)
    async with System(folder, min_workers=2, max_workers=2) as system:
        ours = Ours(system.url)
        await ours.start()
        api = psutil.Process(system.children["api0"].process.pid)
        for way in WAYS.values():
            await one_round(ours, way, numbers, 50, api, system.redis.url)
        figures = {name: Figures() for name in WAYS}
        for number in range(rounds):
            for name, way in WAYS.items():
                made = await one_round(ours, way, numbers, tasks, api, system.redis.url)
                for kept in ("spans", "medians", "api", "scripts", "sent_bytes"):
                    getattr(figures[name], kept).extend(getattr(made, kept))
            print(f"  round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
        await ours.close()
    print(HEAD, *(kept.row(name) for name, kept in figures.items()), sep="\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), options.rounds, options.tasks))


if __name__ == "__main__":
    main()
