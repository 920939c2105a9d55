"""`make bench-profile`: the processor time of each process of the system per task, in milliseconds.

With `--flame FOLDER`, py-spy (not part of any extra) also records where each process spends it, in a file of stacks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from benchmarks.ours import Measures, Ours, delete_records, measures
from benchmarks.processor import processor_seconds
from tests.system import System

LOADS: dict[str, Callable[[Measures, int], Awaitable[float]]] = {
    "one at a time": lambda client, count: client.pairs_per_second(count, 1),
    "64 in flight": lambda client, count: client.pairs_per_second(count),
    "run over one socket": lambda client, count: client.runs_per_second(count),
    "batches of 100": lambda client, count: client.batches_per_second(count),
}


def _processes() -> dict[str, list[psutil.Process]]:
    """The processes below this one, by role."""
    parts: dict[str, list[psutil.Process]] = {"client": [psutil.Process()]}
    for process in psutil.Process().children(recursive=True):
        words = process.cmdline()
        if any("redis-server" in word for word in words[:1]):
            parts.setdefault("redis", []).append(process)
        elif "spawn_main" in " ".join(words):
            parts.setdefault("worker", []).append(process)
        elif words[-1:] and words[-1] in ("api", "scheduler", "controller"):
            parts.setdefault(words[-1], []).append(process)
        else:
            parts.setdefault("nanny and others", []).append(process)
    return parts


def _seconds(processes: list[psutil.Process]) -> float:
    # Of this process too what its children used that have ended: the load generators.
    own = os.times()
    ended = own.children_user + own.children_system
    return processor_seconds(processes) + (ended if psutil.Process() in processes else 0.0)


def _flames(
    parts: dict[str, list[psutil.Process]], folder: Path, load: str, seconds: int
) -> list[subprocess.Popen[bytes]]:
    spy = shutil.which("py-spy")
    if spy is None:
        raise SystemExit("--flame needs py-spy on the PATH: pip install py-spy")
    return [
        subprocess.Popen(
            [spy, "record", "-p", str(processes[0].pid), "-d", str(seconds), "-r", "200", "-f", "raw",
             "-o", str(folder / f"{load.split()[0]}-{part}.txt")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for part, processes in parts.items()
        if part in ("api", "worker", "scheduler", "client")
    ]  # fmt: skip


async def profile(folder: Path, tasks: int, flames: Path | None) -> None:
    async with System(folder, min_workers=2, max_workers=2) as system:
        ours = Ours(system.url)
        await ours.start()
        client = measures(ours)
        for load, run in LOADS.items():
            await run(client, 1_000)
            parts = _processes()
            before = {part: _seconds(processes) for part, processes in parts.items()}
            rate = await run(client, tasks)
            print(f"{load}: {rate:,.0f} tasks/s, processor time per task, ms:")
            spent = {part: (_seconds(processes) - before[part]) / tasks * 1000 for part, processes in parts.items()}
            for part, figure in spent.items():
                print(f"  {part} ({len(parts[part])}): {figure:.3f}")
            print(f"  total: {sum(spent.values()):.3f}", flush=True)
            if flames:
                seconds = max(3, round(tasks / rate))
                spies = _flames(parts, flames, load, seconds)
                while any(spy.poll() is None for spy in spies):
                    await delete_records(system.redis.url)
                    await run(client, 1_000)
            await delete_records(system.redis.url)
        await ours.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tasks", type=int, default=4_000)
    arguments.add_argument("--flame", type=Path, help="folder for py-spy's stacks")
    given = arguments.parse_args()
    if given.flame:
        given.flame.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        os.environ["DASK_CONFIG"] = f"{folder}/dask"
        asyncio.run(profile(Path(folder), given.tasks, given.flame))


if __name__ == "__main__":
    main()
