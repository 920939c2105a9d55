"""Tasks that submit tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from dask_graphql import TaskError, gather, submit, task

CHILD_STEP = 10_000_000
"""Between the numbers of the children of `family_counted`."""


def count_run(name: str) -> None:
    """Counts a run in the file that COUNT_FILE names; appending a short line is atomic."""
    if path := os.environ.get("FAMILY_COUNTS"):
        with Path(path).open("a") as file:
            file.write(f"{name}\n")


@task
def family_part(group: str, n: int, seconds: float = 0.0) -> int:
    """A child; number 0 takes some time."""
    count_run(f"part {group} {n}")
    if n == 0:
        time.sleep(seconds)
    if n < 0:
        raise ValueError(f"no part {n}")
    return n * n


@task
def family_sum(group: str, first: int, count: int, seconds: float = 0.0) -> int:
    """A parent of `count` children."""
    count_run(f"sum {group} {first}")
    parts = [submit(family_part, group=group, n=n, seconds=seconds) for n in range(first, first + count)]
    return sum(gather(*parts))


@task
async def family_async_sum(group: str, count: int) -> int:
    """A parent that waits for some of its children at once, and for others one after the other."""
    one, *others = [submit(family_part, group=group, n=n) for n in range(count)]
    first = await one
    return first + sum(await asyncio.gather(*others)) + sum(await gather(one, *others))


@task
def family_careful(group: str, n: int) -> str:
    """Reports which child failed."""
    child = submit(family_part, group=group, n=n)
    try:
        return str(child.result())
    except TaskError as error:
        return f"{error.code} {error.task_id}"


@task
def family_nested(group: str, depth: int) -> int:
    """A parent of a parent of a parent."""
    return 0 if depth == 0 else 1 + submit(family_nested, group=group, depth=depth - 1).result()


@task(concurrency=1)
def family_limited(group: str, depth: int) -> int:
    """As `family_nested`, one at a time."""
    return 0 if depth == 0 else 1 + submit("family_limited", group=group, depth=depth - 1).result()


@task
def family_cycle(group: str, turn: bool) -> int:
    """A child that is its own grandparent."""
    return int(submit("family_cycle", group=group, turn=not turn).result())


@task
def family_killed(group: str, count: int) -> int:
    """Kills its worker process in the midst of its children, in its first attempt."""
    count_run(f"killed {group} {count}")
    first = gather(*(submit(family_part, group=group, n=n) for n in range(count)))
    others = [submit(family_part, group=group, n=n) for n in range(count, 2 * count)]
    marker = Path(os.environ["FAMILY_COUNTS"]).with_suffix(f".{group}")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return sum(first) + sum(gather(*others))


@task
def family_leaves(group: str, n: int) -> str:
    """A parent that does not wait for its child."""
    return submit(family_part, group=group, n=n).task_id


@task(timeout_seconds=20)
def family_hurried(group: str, n: int) -> list[str]:
    """A parent with a time limit, whose children have none, a longer one and a shorter one to begin in."""
    children = ["family_part", "family_patient", "family_prompt"]
    return [submit(name, group=group, n=n).task_id for name in children]


@task(start_before=3600)
def family_patient(group: str, n: int) -> int:
    """A child that would wait for an hour."""
    return n


@task(start_before=5)
def family_prompt(group: str, n: int) -> int:
    """A child that is of no use after five seconds."""
    return n


@task
def family_gated(folder: str, numbers: list[int]) -> int:
    """A parent of children that a test holds up, and of one whose own child it is."""
    held = [submit("gated", folder=folder, n=n) for n in numbers]
    return sum(gather(*held, submit(family_nested, group=folder, depth=2)))


@task
def family_counted(folder: str, n: int) -> int:
    """Leaves a trace of its run, as its children do, for the chaos rig: all take a while."""
    with (Path(folder) / f"runs-{n}").open("ab", buffering=0) as file:
        file.write(b"x")
    numbers = [n + number * CHILD_STEP for number in (1, 2, 3)]
    assert list(gather(*(submit("slow", folder=folder, n=it, seconds=0.2) for it in numbers))) == numbers
    return n
