"""`make bench-growth`: the same load on more api nodes, schedulers and workers.

All parts and the load share the cores of this machine, so the rates show which part is the bottleneck, and the
processor time of a task, summed over all processes, whether an additional one costs the others anything.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.ours import Measures, Ours, delete_records, measures
from benchmarks.processor import processor_seconds
from benchmarks.timing import IN_FLIGHT
from tests.system import System


@dataclass(frozen=True)
class Size:
    """How many of each part; the workers are shared evenly by the schedulers."""

    api_nodes: int
    schedulers: int
    workers: int


SIZES = tuple(
    Size(*numbers)
    for numbers in ((1, 1, 1), (1, 1, 2), (1, 1, 4), (2, 1, 2), (4, 1, 2), (4, 1, 4), (1, 2, 2), (2, 2, 4))
)


async def measure(size: Size, folder: Path, tasks: int) -> list[tuple[float, float]]:
    """64 in flight, batches of 100 and cached submissions of all api nodes together: per second, and milliseconds of
    processor time each."""
    workers = size.workers // size.schedulers
    async with System(
        folder, api_nodes=size.api_nodes, schedulers=size.schedulers, min_workers=workers, max_workers=workers
    ) as system:
        ours = [Ours(system.url_of(number)) for number in range(size.api_nodes)]
        for client in ours:
            await client.start()
        share = tasks // size.api_nodes
        loads: list[Callable[[Measures], Awaitable[float]]] = [
            lambda one: one.pairs_per_second(share, IN_FLIGHT // size.api_nodes),
            lambda one: one.batches_per_second(share),
            lambda one: one.cached_per_second(share, 16 // size.api_nodes),
        ]
        figures: list[tuple[float, float]] = []
        for _ in range(2):  # the first round warms up
            figures = []
            for load in loads:
                before = _spent()
                rates = await asyncio.gather(*(load(measures(one)) for one in ours))
                figures.append((sum(rates), (_spent() - before) / tasks * 1000))
            await delete_records(system.redis.url)
        for client in ours:
            await client.close()
        return figures


def _spent() -> float:
    return processor_seconds(psutil.Process().children(recursive=True))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tasks", type=int, default=4_000, help="tasks per measure")
    tasks = arguments.parse_args().tasks
    print(
        "| api nodes | schedulers | workers | 64 in flight, tasks/s | ms each | batches of 100, tasks/s | ms each | "
        "cached submissions/s | ms each |"
    )
    print("|---" * 9 + "|")
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="growth-") as folder:
            os.environ["DASK_CONFIG"] = f"{folder}/dask"
            figures = asyncio.run(measure(size, Path(folder), tasks))
        cells = " | ".join(f"{rate:,.0f} | {spent:.2f}" for rate, spent in figures)
        print(f"| {size.api_nodes} | {size.schedulers} | {size.workers} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
