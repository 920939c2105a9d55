"""`make bench-held`: idle subscriptions on one api node of several processes, held open while new tasks are submitted.

Each socket offers deflate, as browsers do, and waits for a task of its own, which is never submitted; the last ones are
a sample that waits for one task, which is submitted at the end and must reach all of them. None may be lost. The
sockets are held by crowd.c, in a process and from an address of loopback for each 18,000.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from benchmarks import load
from benchmarks.measures import FAN_NUMBERS, crowd
from benchmarks.ours import NUMBERS, SUBMIT, Ours
from tests.system import System

SAMPLE: Final = 1_000
PAUSE_SECONDS: Final = 0.05
"""Between a new result and the next task."""
SPARE_FILES: Final = 1_000
"""Files that a process needs beside its connections."""
PER_CROWD: Final = 18_000
"""Sockets of one process of the load, each of which has an address of its own: an address has 28,000 ports."""
MEMORY_PER_SOCKET: Final = 40_000
"""Bytes in all processes, at most; the kernel's own buffers come on top."""


class CannotHold(RuntimeError):
    """This machine cannot hold so many subscriptions; the message says what to change."""


@dataclass(frozen=True)
class Usage:
    """Processor time, in seconds, and resident memory, in bytes, of some processes together."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Held:
    """What was measured.

    Attributes:
        spans: seconds from the submission of each new task to its result.
        before, during, after: each process by its name: without subscriptions, when all wait, and at the end.
        opened_seconds: how long it took to open them.
        seconds: how long they were held.
        sample_seconds: how long the end of one task took to reach the sample.
    """

    spans: Sequence[float]
    before: dict[str, Usage]
    during: dict[str, Usage]
    after: dict[str, Usage]
    opened_seconds: float
    seconds: float
    sample_seconds: float


def check_machine(held: int, processes: int) -> None:
    """Raises the limit of open files as far as it is needed, for the processes that are started from here.

    Raises:
        CannotHold: a limit of this machine is too low.
    """
    if load.programs() is None and held > PER_CROWD:
        raise CannotHold(f"more than {PER_CROWD:,} subscriptions need crowd.c: install a C compiler (cc)")
    needed = max(min(held, PER_CROWD), held // processes) + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
        except (ValueError, OSError) as error:
            raise CannotHold(
                f"{held:,} subscriptions on {processes} processes need {needed:,} open files in one of them, and the "
                f"limit is {hard:,} ({error}): use {held // (hard - SPARE_FILES) + 1} processes, or raise the limit "
                "(ulimit -Hn, LimitNOFILE)"
            ) from error
    available = psutil.virtual_memory().available
    if available < held * MEMORY_PER_SOCKET:
        raise CannotHold(
            f"{held:,} subscriptions take up to {held * MEMORY_PER_SOCKET / 1e9:.1f} GB, and {available / 1e9:.1f} GB "
            "are available"
        )


def usage_of(system: System) -> dict[str, Usage]:
    """The processor time and memory of each api process, of their parent, and of Redis."""
    parent = psutil.Process(system.children["api0"].process.pid)
    named = {"parent": parent} | {f"api {number}": child for number, child in enumerate(parent.children())}
    if not parent.children():
        named = {"api 0": parent}
    assert system.redis.process_id is not None
    named["Redis"] = psutil.Process(system.redis.process_id)
    usages = {}
    for name, process in named.items():
        times = process.cpu_times()
        usages[name] = Usage(times.user + times.system, process.memory_info().rss)
    return usages


async def all_serve(system: System) -> None:
    """Returns when every api process serves."""
    async with httpx.AsyncClient(timeout=60) as client, asyncio.timeout(120):
        while True:
            state = (await client.get(system.url.replace("/graphql", "/readyz"))).json()
            if all(process["state"] == "serving" for process in state.get("processes", ())):
                return
            await asyncio.sleep(0.2)


async def subscriptions_of(system: System) -> int:
    """How many subscriptions all processes have, by their metrics."""
    async with httpx.AsyncClient(timeout=60) as client:
        text = (await client.get(system.url.replace("/graphql", "/metrics"))).text
    [line] = [line for line in text.splitlines() if line.startswith("dask_graphql_subscriptions_open ")]
    return int(float(line.split()[1]))


async def all_subscribed(system: System, held: int) -> None:
    """Returns when the node has all subscriptions: a socket waits before the api has handled what it sent."""
    async with asyncio.timeout(60):
        while (found := await subscriptions_of(system)) < held:
            await asyncio.sleep(1)
    assert found == held, f"{found} subscriptions are open, and {held} were opened"


def crowds(sockets: int) -> list[int]:
    """The sockets of each process of the load."""
    return [min(PER_CROWD, sockets - begun) for begun in range(0, sockets, PER_CROWD)]


async def measure(held: int, processes: int, minutes: float, folder: Path) -> Held:
    """Holds the subscriptions open, and ends those of the sample."""
    from cluster.task_types.registry import load_registry

    limits = dict.fromkeys(("subscription_limit", "sockets_per_client", "connections_per_address"), 2 * held)
    sample = min(SAMPLE, held // 2)
    number = next(FAN_NUMBERS)
    task_id = load_registry()["fibonacci"].bind({"n": number}).task_id
    async with System(
        folder, api_processes=processes, min_workers=2, max_workers=2, waiters_per_client=2 * held, **limits
    ) as system:
        await all_serve(system)
        ours = Ours(system.url)
        await ours.start()
        for _ in range(20):
            await ours.run(NUMBERS.one())
        before, began = usage_of(system), time.perf_counter()
        async with AsyncExitStack() as stack:
            for number_of_crowd, count in enumerate(crowds(held - sample), 1):
                await stack.enter_async_context(crowd("idle", system.url, count, first_address=number_of_crowd))
            output = await stack.enter_async_context(crowd("fan", system.url, sample, task_id))
            await all_subscribed(system, held)
            opened_seconds = time.perf_counter() - began
            print(f"  {held:,} subscriptions were opened in {opened_seconds:.0f} s", flush=True)
            during, spans = usage_of(system), list[float]()
            began = time.perf_counter()
            while time.perf_counter() - began < minutes * 60:
                submitted = time.perf_counter()
                await ours.run(NUMBERS.one())
                spans.append(time.perf_counter() - submitted)
                await asyncio.sleep(PAUSE_SECONDS)
            seconds, after = time.perf_counter() - began, usage_of(system)
            await all_subscribed(system, held)
            submitted = time.perf_counter()
            await ours.post(SUBMIT, {"n": number})
            async with asyncio.timeout(60):
                assert await output.readline() == b"done\n"
            sample_seconds = time.perf_counter() - submitted
        # Leaving the blocks has asserted that no socket was lost.
        await ours.close()
    return Held(spans, before, during, after, opened_seconds, seconds, sample_seconds)


def lines(found: Held, held: int) -> list[str]:
    """The result as Markdown."""
    ordered = sorted(found.spans)
    grown = sum(found.during[name].memory - found.before[name].memory for name in found.before if "api" in name)
    return [
        f"{held:,} subscriptions, opened in {found.opened_seconds:.0f} s, held for {found.seconds / 60:.1f} minutes; "
        f"none was lost, and a sample got its result in {found.sample_seconds * 1000:.0f} ms.",
        f"{len(ordered):,} new results: p50 {statistics.median(ordered) * 1000:.1f} ms, "
        f"p99 {ordered[int(len(ordered) * 0.99)] * 1000:.0f} ms, longest {ordered[-1] * 1000:.0f} ms.",
        f"{grown / held / 1000:.1f} KB of the api processes for each subscription.",
        "",
        "| process | MB before, when all wait, at the end | processor while held |",
        "|---|---|---|",
        *(_row(found, name) for name in found.before),
    ]


def _row(found: Held, name: str) -> str:
    sizes = ", ".join(f"{usages[name].memory / 1e6:.0f}" for usages in (found.before, found.during, found.after))
    return f"| {name} | {sizes} | {(found.after[name].seconds - found.during[name].seconds) / found.seconds:.1%} |"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--held", type=int, default=100_000, help="subscriptions")
    arguments.add_argument("--processes", type=int, default=6, help="api processes")
    arguments.add_argument("--minutes", type=float, default=10)
    given = arguments.parse_args()
    try:
        check_machine(given.held, given.processes)
    except CannotHold as error:
        raise SystemExit(f"bench-held: {error}") from None
    with tempfile.TemporaryDirectory(prefix="bench-held-") as folder:
        os.environ.setdefault("DASK_CONFIG", f"{folder}/dask")
        found = asyncio.run(measure(given.held, given.processes, given.minutes, Path(folder)))
    print("\n".join(lines(found, given.held)))


if __name__ == "__main__":
    main()
