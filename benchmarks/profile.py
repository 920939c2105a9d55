"""`make bench-profile`: the processor time of each process of the system per task, in milliseconds.

With `--flame FOLDER`, py-spy (not part of any extra) also records where each process spends it, in a file of stacks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from benchmarks import model
from benchmarks.measures import idle_kilobytes
from benchmarks.model import ALONE, PARTS, Cost, Profile
from benchmarks.ours import Measures, Ours, delete_records, measures
from benchmarks.processor import processor_seconds
from tests.system import System

IDLE_SOCKETS = 2_000
LOADS: dict[str, Callable[[Measures, int], Awaitable[float]]] = {
    ALONE: lambda client, count: client.pairs_per_second(count, 1),
    "64 in flight": lambda client, count: client.pairs_per_second(count),
    "run over one socket": lambda client, count: client.runs_per_second(count),
    "batches of 100": lambda client, count: client.batches_per_second(count),
}


def _processes() -> dict[str, list[psutil.Process]]:
    """The processes below this one, by role."""
    parts: dict[str, list[psutil.Process]] = {"client": [psutil.Process()]}
    for process in psutil.Process().children(recursive=True):
        words = process.cmdline()
        # A server writes its address behind its name.
        if words and Path(words[0].split()[0]).name in ("redis-server", "valkey-server"):
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


def _cost(spent: dict[str, float], rate: float) -> Cost:
    """What the model reads: the parts that grow by name, what is left together, and the client for itself."""
    parts = {part: spent.get(part, 0.0) for part in PARTS}
    rest = sum(figure for part, figure in spent.items() if part not in parts and part != "client")
    return Cost({**parts, "rest": rest}, spent["client"], rate)


async def profile(folder: Path, tasks: int, flames: Path | None) -> Profile:
    """Measures each load, and prints it."""
    costs: dict[str, Cost] = {}
    async with System(
        folder, min_workers=2, max_workers=2, sockets_per_client=100_000, connections_per_address=100_000
    ) as system:
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
            costs[load] = _cost(spent, rate)
            if flames:
                seconds = max(3, round(tasks / rate))
                spies = _flames(parts, flames, load, seconds)
                while any(spy.poll() is None for spy in spies):
                    await delete_records(system.redis.url)
                    await run(client, 1_000)
            await delete_records(system.redis.url)
        parts = _processes()
        megabytes = {
            part: statistics.median(process.memory_info().rss for process in parts[part]) / 1e6 for part in PARTS
        }
        kilobytes = await idle_kilobytes(ours, parts["api"][0], IDLE_SOCKETS)
        print(f"memory of a process, MB: {megabytes}; of an idle subscription, KB: {kilobytes:.1f}")
        await ours.close()
        limit = system.settings.subscription_limit
    return Profile(os.cpu_count() or 1, costs, megabytes, kilobytes, limit)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tasks", type=int, default=4_000)
    arguments.add_argument("--flame", type=Path, help="folder for py-spy's stacks")
    arguments.add_argument("--write", action="store_true", help="writes profile.json and docs/performance.md")
    given = arguments.parse_args()
    if given.flame:
        given.flame.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        os.environ["DASK_CONFIG"] = f"{folder}/dask"
        made = asyncio.run(profile(Path(folder), given.tasks, given.flame))
    if given.write:
        model.write(made)


if __name__ == "__main__":
    main()
