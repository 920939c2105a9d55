"""`python -m benchmarks.families.many`: 1,000 parents of ten children each, on two workers of one thread.

Every parent and every child is a task of its own. The table has the seconds from the first submission to the last
result, the processor seconds of each role meanwhile, and how many runs of parents and children began: a child runs
once, and a parent that found no room to wait (WAITING_TASKS_LIMIT) begins again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import psutil

from dask_graphql import AsyncClient
from tests.system import System

MODULE: Final = "tests.task_modules.families"


def cpu_by_role(system: System) -> Counter[str]:
    """Processor seconds of each role's processes so far; a worker's are those of its two processes."""
    found: Counter[str] = Counter()

    def add(role: str, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            found[role] += sum(process.cpu_times()[:2])  # type: ignore[assignment]

    add("client", psutil.Process())
    if system.redis.process_id is not None:
        add("redis", psutil.Process(system.redis.process_id))
    for name, child in system.children.items():
        process = psutil.Process(child.process.pid)
        add(name.rstrip("0123456789"), process)
        if name == "controller":
            for worker in process.children(recursive=True):
                add("worker", worker)
    return found


async def measure(folder: Path, parents: int, children: int) -> None:
    counts = folder / "counts"
    os.environ["FAMILY_COUNTS"] = str(counts)
    system = System(folder, min_workers=2, max_workers=2, task_modules=(MODULE,))
    async with system, AsyncClient(system.url) as client:
        # Connections, imports and caches.
        await (await client.submit("family_sum", group="warm", first=0, count=children)).result()
        counts.write_text("")
        before, began = cpu_by_role(system), time.perf_counter()
        inputs = [{"group": "many", "first": children * number, "count": children} for number in range(parents)]
        handles = await client.submit_many("family_sum", inputs)
        sums = await asyncio.gather(*(handle.result() for handle in handles))
        seconds = time.perf_counter() - began
        used = cpu_by_role(system)
        assert sums == [sum(n * n for n in range(it["first"], it["first"] + children)) for it in inputs]
    runs = Counter(counts.read_text().splitlines())
    parts = {name: count for name, count in runs.items() if name.startswith("part ")}
    print_table(parents, len(parts), seconds, used - before, runs.total() - sum(parts.values()), sum(parts.values()))


def print_table(
    parents: int, children: int, seconds: float, used: Counter[str], parent_runs: int, child_runs: int
) -> None:
    tasks = parents + children
    rows = {
        "parents, children": f"{parents:,}, {children:,}",
        "runs of parents, of children": f"{parent_runs:,}, {child_runs:,}",
        "seconds": f"{seconds:.1f} ({tasks / seconds:,.0f} tasks/s)",
        "processor seconds": f"{used.total():.1f}: " + ", ".join(f"{role} {s:.1f}" for role, s in used.most_common()),
        "milliseconds of a processor for each task": f"{1000 * used.total() / tasks:.2f}",
    }
    print("\n".join(["| what | seen |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())]))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--parents", type=int, default=1_000)
    arguments.add_argument("--children", type=int, default=10, help="of each parent")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="families-") as folder:
        os.environ["DASK_CONFIG"] = f"{folder}/dask"
        asyncio.run(measure(Path(folder), given.parents, given.children))


if __name__ == "__main__":
    main()
