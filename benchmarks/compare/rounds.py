"""Measures two trees in turn: A B, B A, A B ..., both systems running side by side all the time."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import psutil

from benchmarks.compare.trees import Tree
from benchmarks.compare.verdict import Name
from benchmarks.load import LoadFailed
from benchmarks.measures import crowd
from benchmarks.ours import SUBMIT, Measures, Ours, delete_records, measures
from benchmarks.processor import processor_seconds
from cluster.task_types.registry import load_registry

HOLD: Final = Path(__file__).with_name("hold.py")
START_SECONDS: Final = 90.0
FAN_SOCKETS: Final = 500
FAN_NUMBERS: Final = itertools.count(10)
OPENED: Final = "a subscription on a socket of its own"
FAN_OUT: Final = "one result to many sockets"
Measure: TypeAlias = Callable[[Measures, int], Awaitable[float]]


class TreeFailed(RuntimeError):
    """A tree's system did not start, or did not do what was asked of it.

    Attributes:
        tree: the tree.
    """

    def __init__(self, tree: Tree, reason: str) -> None:
        super().__init__(f"the system of {tree.name} {reason}")
        self.tree = tree


@dataclass(frozen=True)
class Load:
    """One kind of work.

    Attributes:
        text: its name in the table.
        unit: of the figure that `run` returns.
        tasks: how many tasks, or requests, of a round at size 1.
        run: makes the load with a number of tasks and returns the figure.
    """

    text: str
    unit: str
    tasks: int
    run: Measure
    less_is_better: bool = False


LOADS: Final = (
    Load("one task at a time", "ms, p50", 100, lambda client, count: client.lone_ms(count), less_is_better=True),
    Load("64 in flight", "tasks/s", 600, lambda client, count: client.pairs_per_second(count)),
    Load("run over one socket", "tasks/s", 600, lambda client, count: client.runs_per_second(count)),
    Load("batches of 100", "tasks/s", 1_200, lambda client, count: client.batches_per_second(count)),
    Load("cached submissions", "responses/s", 1_500, lambda client, count: client.cached_per_second(count)),
)


@dataclass
class Held:
    """A running system of one tree, and what was measured of it.

    Attributes:
        figures: one of each measure for each round.
    """

    tree: Tree
    process: psutil.Process
    ours: Ours
    redis: str
    figures: dict[Name, list[float]] = field(default_factory=dict)

    def add(self, name: Name, figure: float) -> None:
        self.figures.setdefault(name, []).append(figure)

    def processor_seconds(self) -> float:
        """User and system time of all processes of the system so far: Redis, scheduler, controller, api, workers."""
        return processor_seconds(self.process.children(recursive=True))

    async def round(self, size: float, only: Collection[str]) -> None:
        """Measures everything once, or only these measures, with `size` times the usual number of tasks."""
        client = measures(self.ours)
        for load in LOADS:
            if only and load.text not in only:
                continue
            count = max(100, round(load.tasks * size / 100) * 100)
            before = self.processor_seconds()
            try:
                figure = await load.run(client, count)
            except LoadFailed as error:
                raise TreeFailed(self.tree, f"failed at {load.text}: {error}") from error
            spent = self.processor_seconds() - before
            self.add(Name(load.text, load.unit, load.less_is_better, judged=False), figure)
            self.add(_processor(load.text), spent / count * 1000)
        if not only or {OPENED, FAN_OUT} & set(only):
            await self._fan_out(round(FAN_SOCKETS * size))
        await delete_records(self.redis)

    async def _fan_out(self, sockets: int) -> None:
        n = next(FAN_NUMBERS)
        loop = asyncio.get_running_loop()
        before = self.processor_seconds()
        task_id = load_registry()["fibonacci"].bind({"n": n}).task_id
        async with crowd("fan", self.ours.url, sockets, task_id) as output:
            opened, began = self.processor_seconds(), loop.time()
            await self.ours.post(SUBMIT, {"n": n})
            await output.readline()
            seconds, spent = loop.time() - began, self.processor_seconds() - opened
        self.add(_processor(OPENED), (opened - before) / sockets * 1000)
        self.add(Name(FAN_OUT, "deliveries/s", False, judged=False), sockets / seconds)
        self.add(_processor(FAN_OUT), spent / sockets * 1000)


def _processor(text: str) -> Name:
    return Name(text, "ms of processor time each", less_is_better=True, judged=True)


@asynccontextmanager
async def held(tree: Tree, folder: Path) -> AsyncIterator[Held]:
    """A running system of a tree.

    Raises:
        TreeFailed: it did not start.
    """
    folder.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(tree.folder), "DASK_CONFIG": str(folder / "dask")}
    log = folder / "hold.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            tree.python, "-P", HOLD, folder, cwd=tree.folder, env=environment, stdin=PIPE, stdout=PIPE, stderr=output
        )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        if not line:
            raise TreeFailed(tree, f"did not start: {log.read_text()[-800:]}")
        ready: dict[str, Any] = json.loads(line)
        ours = Ours(ready["url"])
        await ours.start()
        yield Held(tree, psutil.Process(process.pid), ours, ready["redis"])
        await ours.close()
    finally:
        process.stdin.close()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def compare(
    old: Tree, new: Tree, rounds: int, folder: Path, *, size: float = 1.0, only: Collection[str] = ()
) -> tuple[Held, Held]:
    """Measures both trees `rounds` times after a round of warming up.

    Args:
        size: the number of tasks of a round, as a multiple of the usual.
        only: the texts of the measures; default: all.
    """
    async with held(old, folder / "old") as first, held(new, folder / "new") as second:
        for number in range(rounds + 1):
            both = (first, second) if number % 2 else (second, first)
            for one in both:
                await one.round(size if number else 0.5, only)
            if not number:
                first.figures.clear()
                second.figures.clear()
            else:
                print(f"  round {number} of {rounds}, load average {os.getloadavg()[0]:.1f}", flush=True)
    return first, second
