"""Soak: mixed work for an hour, and what grows during it.

    python -m tests.soak --seconds 3600 --rate 20

A whole system with two workers and two api nodes gets tiny tasks, computation, graphs, tasks that fail, retry or are
cancelled, partial outputs, blobs and event streams, at a steady rate that it can sustain. Memory, open files and
threads of every process, and Redis's memory and keys, are sampled throughout. Then the work ends, and the run is
checked:

- every task ended as its kind should;
- nothing grows: the slopes, by least squares after the warm-up, are within BOUNDS (in runs of JUDGED_SECONDS or more);
- after the records have expired, no key of a task, no list entry and no blob is left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from dask_graphql import AsyncClient, TaskCancelled, TaskFailed
from tests.system import System

TTL_SECONDS = 60
LEFT_SECONDS = 120.0
"""How soon after its expiry everything about a task must be gone."""
SAMPLE_SECONDS = 5.0
WARM_UP = 0.25
"""Share of the run that is not judged, while caches and pools fill."""
JUDGED_SECONDS = 900.0
"""In a shorter run the slopes mean nothing."""
BOUNDS = {
    "scheduler": 10.0, "controller": 6.0, "nanny": 6.0, "worker": 15.0, "api": 20.0, "redis": 20.0,
    "redis data": 10.0, "redis keys": 2_000.0, "files": 12.0, "threads": 4.0,
}  # fmt: skip
"""Maximum growth in an hour: MB of a role's process and of Redis's data, keys, open files and threads of a process."""


KEPT_KEYS = r":claimer$|:ends:\d+$"
"""Keys of a shard that belong to no task: at most a few, each of bounded size (PROTOCOL.md)."""


@dataclass
class Series:
    """A figure over time: seconds and values."""

    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def slope_per_hour(self, since: float) -> float:
        """The growth in an hour by least squares over the samples from `since` on; 0 with fewer than three samples."""
        points = [(t, v) for t, v in zip(self.times, self.values, strict=True) if t >= since]
        if len(points) < 3:
            return 0.0
        mean_t = sum(t for t, _ in points) / len(points)
        mean_v = sum(v for _, v in points) / len(points)
        spread = sum((t - mean_t) ** 2 for t, _ in points)
        return 3600 * sum((t - mean_t) * (v - mean_v) for t, v in points) / spread if spread else 0.0


@dataclass
class Report:
    """The findings of a run. `wrong` is empty if every check passed."""

    seconds: float
    ends: Counter[str] = field(default_factory=Counter)
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    left_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def add(self, who: str, what: str, at: float, value: float) -> None:
        series = self.series.setdefault((who, what), Series())
        series.times.append(at)
        series.values.append(value)

    def judge(self) -> None:
        """Compares the slopes with their bounds."""
        for (who, what), series in self.series.items():
            bound = BOUNDS[who.split()[0] if what == "MB" else what]
            slope = series.slope_per_hour(WARM_UP * self.seconds)
            # A process that started late has no meaningful slope yet.
            if series.times[0] < WARM_UP * self.seconds and slope > bound:
                self.wrong.append(f"{what} of {who} grow by {slope:.1f} an hour, limit {bound:g}")

    def table(self) -> str:
        """The report as a Markdown table."""
        lines = [
            f"{self.seconds:.0f} s; ends: " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.ends.items())),
            "",
            "| process | figure | first | last | max | per hour |",
            "|---|---|---|---|---|---|",
        ]
        for (who, what), series in sorted(self.series.items()):
            values, slope = series.values, series.slope_per_hour(WARM_UP * self.seconds)
            figures = f"{values[0]:.1f} | {values[-1]:.1f} | {max(values):.1f} | {slope:+.1f}"
            lines.append(f"| {who} | {what} | {figures} |")
        return "\n".join(
            [*lines, "", f"left after {TTL_SECONDS} + {LEFT_SECONDS:g} s: {', '.join(self.left) or 'nothing'}"]
        )


class Soak(System):
    """A system under steady mixed work."""

    def __init__(self, folder: Path, seconds: float, ttl_seconds: int) -> None:
        super().__init__(
            folder, api_nodes=2, min_workers=2, max_workers=2, result_ttl_seconds=ttl_seconds,
            file_ttl_seconds=ttl_seconds,
        )  # fmt: skip
        self.report = Report(seconds)
        self.traces = folder / "traces"
        self.traces.mkdir()
        self._numbers = itertools.count()
        self._began = time.monotonic()

    # Work: each submits one task, and returns when the task has ended -------------------------------------------------

    async def tiny(self, client: AsyncClient, n: int) -> None:
        assert await (await client.submit("add", a=n)).result() == n + 5

    async def work(self, client: AsyncClient, n: int) -> None:
        assert await (await client.submit("slow", folder=str(self.traces), n=n, seconds=0.2)).result() == n

    async def graph(self, client: AsyncClient, n: int) -> None:
        size = 20 + n % 40
        assert await (await client.submit("total_of_squares", n=size)).result() == sum(i * i for i in range(size))

    async def failing(self, client: AsyncClient, n: int) -> None:
        with contextlib.suppress(TaskFailed):
            await (await client.submit("failing", message=f"failure {n}")).result()
            raise AssertionError("it did not fail")

    async def retrying(self, client: AsyncClient, n: int) -> None:
        assert await (await client.submit("fails_once", folder=str(self.traces), n=n)).result() == n

    async def cancelled(self, client: AsyncClient, n: int) -> None:
        handle = await client.submit("gated", folder=str(self.traces), n=n)
        await asyncio.sleep(n % 3 * 0.3)
        await handle.cancel()
        with contextlib.suppress(TaskCancelled):
            await handle.result()
            raise AssertionError("it was not cancelled")

    async def partial(self, client: AsyncClient, n: int) -> None:
        folder = self.traces / f"parts-{n}"
        folder.mkdir()
        # Lets its parts run at once.
        (folder / "open").touch()
        assert await (await client.submit("parts_of_a_graph", folder=str(folder), parts=4)).result() == 4
        await asyncio.to_thread(shutil.rmtree, folder)

    async def blob(self, client: AsyncClient, n: int) -> None:
        size = 1_000_000 + n
        made = await (await client.submit("report", size=size)).result()
        assert len(await client.read(made["text"])) == size

    async def events(self, client: AsyncClient, n: int) -> None:
        handle = await client.submit("stepping", steps=2 + n % 2)
        kinds = [event.kind async for event in handle.events()]
        assert kinds[-1] == "SUCCEEDED"

    # The run ----------------------------------------------------------------------------------------------------------

    async def run(self, rate: float) -> Report:
        """Submits `rate` tasks a second for the time of the report, then checks what is left."""
        mix: Sequence[tuple[Callable[[AsyncClient, int], Awaitable[None]], float]] = (
            (self.tiny, 0.7), (self.work, 0.1), (self.graph, 0.03), (self.failing, 0.05), (self.retrying, 0.02),
            (self.cancelled, 0.04), (self.partial, 0.02), (self.blob, 0.02), (self.events, 0.02),
        )  # fmt: skip
        self._began = time.monotonic()
        sampling = asyncio.create_task(self._sample_on())
        async with AsyncClient(self.url_of(0)) as first, AsyncClient(self.url_of(1)) as second:
            clients = itertools.cycle((first, second))
            await asyncio.gather(*(self._keep_up(kind, next(clients), rate * share) for kind, share in mix))
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        if self.report.seconds >= JUDGED_SECONDS:
            self.report.judge()
        await self._check_left()
        return self.report

    async def _keep_up(
        self, kind: Callable[[AsyncClient, int], Awaitable[None]], client: AsyncClient, rate: float
    ) -> None:
        """Submits one task of a kind every 1/rate seconds, however long each takes, at most 200 at once."""
        running: set[asyncio.Task[None]] = set()
        slots = asyncio.Semaphore(200)
        while time.monotonic() - self._began < self.report.seconds:
            await slots.acquire()
            task = asyncio.create_task(self._one(kind, client))
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(lambda _: slots.release())
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*running)

    async def _one(self, kind: Callable[[AsyncClient, int], Awaitable[None]], client: AsyncClient) -> None:
        n, name = next(self._numbers), getattr(kind, "__name__", "task")
        try:
            async with asyncio.timeout(180):
                await kind(client, n)
            self.report.ends[name] += 1
        except Exception as error:  # noqa: BLE001 - reported, and the run continues
            self.report.wrong.append(f"{name} {n}: {error!r}"[:300])

    # Measurement ------------------------------------------------------------------------------------------------------

    async def _sample_on(self) -> None:
        while True:
            await asyncio.to_thread(self._sample, time.monotonic() - self._began)
            await asyncio.sleep(SAMPLE_SECONDS)

    def _sample(self, at: float) -> None:
        """Samples every process."""
        for role, process in self._processes():
            with contextlib.suppress(psutil.Error):
                who = f"{role} {process.pid}"
                self.report.add(who, "MB", at, process.memory_info().rss / 1e6)
                self.report.add(who, "files", at, process.num_fds())
                self.report.add(who, "threads", at, process.num_threads())
        with redis.Redis(port=self.redis.port) as client:
            self.report.add("redis", "redis data", at, client.info("memory")["used_memory"] / 1e6)
            self.report.add("redis", "redis keys", at, client.dbsize())

    def _processes(self) -> list[tuple[str, psutil.Process]]:
        """Every process of the system with its role; a `nanny` has a child `worker`, which runs tasks."""
        found: list[tuple[str, psutil.Process]] = []
        with contextlib.suppress(psutil.Error):
            found.append(("redis", psutil.Process(self.redis.process_id)))
        for child in self.children.values():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(child.process.pid)
                found.append((child.role, process))
                for inner in process.children(recursive=True):
                    words = " ".join(inner.cmdline())
                    if "resource_tracker" not in words:
                        found.append(("worker" if "spawn_main" in words else "nanny", inner))
        return found

    async def _check_left(self) -> None:
        """Checks that everything about a task is gone after its expiry."""
        ended = time.monotonic()
        deadline = ended + self.settings.result_ttl_seconds + LEFT_SECONDS
        prefix = self.settings.key_prefix
        while time.monotonic() < deadline:
            with redis.Redis(port=self.redis.port) as client:
                keys = [key.decode() for key in client.scan_iter(f"{prefix}:{{{prefix}:*", count=1_000)]
            keys = [key for key in keys if not re.search(KEPT_KEYS, key)]
            blobs = [str(path) for path in (self.folder / "blobs").glob("*")]
            self.report.left = [*keys[:5], *blobs[:5]]
            self.report.left_seconds = time.monotonic() - ended
            if not self.report.left:
                return
            await asyncio.sleep(2)
        self.report.wrong.append(f"{len(keys)} keys and {len(blobs)} blobs are left")


async def soak(seconds: float, rate: float, folder: Path, *, ttl_seconds: int = TTL_SECONDS) -> Report:
    """One run in the given folder; records are kept for `ttl_seconds`."""
    async with Soak(folder, seconds, ttl_seconds) as run:
        return await run.run(rate)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=3600)
    arguments.add_argument("--rate", type=float, default=20, help="tasks a second, of all kinds")
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    os.environ["DASK_CONFIG"] = str(folder / "dask")
    print(f"{given.seconds:g} s at {given.rate:g} tasks/s, logs in {folder}", flush=True)
    report = asyncio.run(soak(given.seconds, given.rate, folder))
    print(report.table())
    for wrong in report.wrong[:20]:
        print(wrong)
    if report.wrong:
        sys.exit(f"{len(report.wrong)} violations; the logs are in {folder}")


if __name__ == "__main__":
    main()
