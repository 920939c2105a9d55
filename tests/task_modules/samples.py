"""Task types as a user would write them, for the tests of the whole system."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from dask_graphql import (
    BigInt,
    Blob,
    Graph,
    Limit,
    Stream,
    TaskError,
    as_completed,
    cancelled,
    gather,
    report_partial,
    report_progress,
    save_blob,
    submit,
    task,
)


@dataclass
class Estimate:
    pi: float
    samples: int


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    y: int = 3


@dataclass
class Report:
    text: Blob
    colour: Colour
    points: list[Point]


@task(version="1", timeout_seconds=60, retries=2)
def estimate_pi(samples: int, seed: int = 0) -> Estimate:
    """Estimates pi by throwing `samples` points."""
    import random

    source = random.Random(seed)
    inside = sum(source.random() ** 2 + source.random() ** 2 < 1 for _ in range(samples))
    return Estimate(pi=4 * inside / samples, samples=samples)


@task
async def add(a: BigInt, b: BigInt = 5) -> BigInt:
    """Adds two whole numbers, asynchronously."""
    await asyncio.sleep(0)
    return a + b


@task
def sum_of_sums(n: int, b: int) -> int:
    """A parent of n children."""
    return sum(gather(*(submit(add, a=a, b=b) for a in range(n))))


@task
def total_of_squares(n: int) -> Graph[int]:
    """A graph task: the squares are computed all over the fleet."""
    import dask

    squares = [dask.delayed(_square)(i) for i in range(n)]
    return dask.delayed(sum)(squares)  # type: ignore[no-any-return]


def _square(i: int) -> int:
    return i * i


def _trace(folder: str, n: int) -> None:
    with (Path(folder) / f"runs-{n}").open("ab", buffering=0) as file:
        file.write(b"x")


@task
def counted(folder: str, n: int) -> int:
    """Leaves a trace of every run, so that a test can count them."""
    _trace(folder, n)
    return n


@task(retries=3)
def slow(folder: str, n: int, seconds: float) -> int:
    """Leaves a trace of every run, then works for a while."""
    _trace(folder, n)
    time.sleep(seconds)
    return n


@task(concurrency=Limit(1, key="folder"))
def one_at_a_time(folder: str, n: int, dies: bool = False) -> int:
    """Writes when it begins and ends. Ends its worker process in its first run, if it should."""
    log = Path(folder) / "turns"
    first = f"begin {n}\n" not in (log.read_text() if log.exists() else "")
    with log.open("a") as file:
        print("begin", n, file=file, flush=True)
        if dies and first:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        print("end", n, file=file, flush=True)
    return n


@task
def gated(folder: str, n: int) -> int:
    """Runs until the test opens the gate, or it is cancelled."""
    _trace(folder, n)
    (Path(folder) / f"begun-{n}").touch()
    while not (Path(folder) / f"gate-{n}").exists():
        if cancelled():
            (Path(folder) / f"stopped-{n}").touch()
            return -1
        time.sleep(0.01)
    return n


@task(retries=1)
def fails_once(folder: str, n: int) -> int:
    """Fails the first time."""
    failed = Path(folder) / f"failed-{n}"
    if not failed.exists():
        failed.touch()
        raise ValueError("the first time")
    return n


@task
def stepping(steps: int) -> int:
    """Reports its progress in steps."""
    for step in range(steps):
        report_progress((step + 1) / steps)
        time.sleep(0.3)
    return steps


@task
def talking(folder: str, n: int) -> int:
    """Prints and logs a line, and another one when the file exists that it waits for."""
    print("prints", n)
    logging.getLogger(__name__).warning("logs %d", n)
    while not cancelled() and not (Path(folder) / "go").exists():
        time.sleep(0.05)
    print("the end", end="")
    return n


@task
def failing(message: str) -> int:
    """Always raises."""
    raise ValueError(message)


@task
def refusing(code: str) -> int:
    """Fails with a code of its own."""
    raise TaskError(code, "as it was told")


@task
def deadly(n: int) -> int:
    """Takes its worker process with it."""
    os._exit(17)


@task
def moody(n: int, mood: str = "quick") -> int:
    """Mostly quick; else `short`, for 2 ms, `slow`, for 3 s, or `deadly`, with its worker process."""
    if mood == "short":
        time.sleep(0.002)
    if mood == "deadly":
        os._exit(17)
    if mood == "slow":
        # As a computation in C does: no other thread of this process runs meanwhile.
        stop = time.monotonic() + 3.0
        while time.monotonic() < stop:
            pass
    return n


@task
def hungry(megabytes: int) -> int:
    """Takes memory and keeps it for a while."""
    kept = [b"x" * (1 << 20) for _ in range(megabytes)]
    time.sleep(20)
    return len(kept)


@task
def spinning(folder: str, n: int) -> int:
    """Never yields, and has no time limit."""
    (Path(folder) / f"begun-{n}").touch()
    while True:
        pass


@task
def lying(n: int) -> int:
    """Returns what it does not declare."""
    return "no number"  # type: ignore[return-value]


@task
def report(size: int, colour: Colour = Colour.RED, points: list[Point] | None = None) -> Report:
    """Returns a blob, an enum and nested models."""
    return Report(save_blob("report.txt", b"r" * size, media_type="text/plain"), colour, points or [])


@task(timeout_seconds=1)
def endless(n: int) -> int:
    """Never yields."""
    while True:
        pass


@task
def growing(folder: str, steps: int) -> list[int]:
    """Shows its list after each step, and waits for a file `step-<n>` to go on."""
    done: list[int] = []
    for step in range(steps):
        done.append(step)
        while not (Path(folder) / f"step-{step}").exists() and not cancelled():
            report_partial(lambda: done)
            time.sleep(0.02)
    return done


@task
def showing(kind: str) -> list[int]:
    """Shows what is no output of it."""
    report_partial(lambda: ["no number"] if kind == "wrong" else list(range(500_000)))
    return []


@task(timeout_seconds=60)
def parts_of_a_graph(folder: str, parts: int) -> int:
    """Counts parts as they are done; all but the first three to begin wait until `folder` has a file `open`."""
    import dask

    count = 0
    for place, value in as_completed(dask.delayed(_part)(folder, part) for part in range(parts)):
        assert place == value
        count += 1
        report_partial(partial(int, count))
    return count


def _part(folder: str, part: int) -> int:
    for turn in range(100):
        try:
            (Path(folder) / f"begun-{turn}").touch(exist_ok=False)
            break
        except FileExistsError:
            pass
    while turn >= 3 and not (Path(folder) / "open").exists():
        time.sleep(0.02)
    return part


@task(retries=1)
def dripping(folder: str, items: int, fails: bool = False) -> Stream[Point]:
    """Yields each item once its file is there; the first attempt fails after the second one if asked to."""
    begun = Path(folder) / "begun"
    first = not begun.exists()
    begun.touch()
    for x in range(items):
        while not (Path(folder) / f"item-{x}").exists():
            time.sleep(0.01)
        if fails and first and x == 2:
            raise ConnectionError("lost on the way")
        yield Point(x=x)


@task
def counting(upto: int) -> Stream[int]:
    yield from range(upto)


@task
async def pieces(upto: int) -> Stream[Blob]:
    for n in range(upto):
        yield save_blob(f"{n}.txt", str(n).encode())
        await asyncio.sleep(0)
