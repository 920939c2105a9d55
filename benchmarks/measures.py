"""The measures that only our system has: sockets that wait, the long task, starting. Each returns one figure."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import psutil

from benchmarks import load
from benchmarks.ours import NUMBERS, RESULT, SUBMIT, Ours
from dask_graphql.dev_system import free_port

FAN_NUMBERS = itertools.count(10)
"""Numbers with few digits that no other measure uses: the waiting sockets cannot read compressed messages."""


async def fan_out_per_second(ours: Ours, sockets: int) -> float:
    """One result to many waiting sockets, in deliveries per second from the submission of the task."""
    from cluster.task_types.registry import load_registry

    n = next(FAN_NUMBERS)
    async with crowd("fan", ours.url, sockets, load_registry()["fibonacci"].bind({"n": n}).task_id) as output:
        begun = time.perf_counter()
        await ours.post(SUBMIT, {"n": n})
        await output.readline()
        return sockets / (time.perf_counter() - begun)


async def idle_kilobytes(ours: Ours, api: psutil.Process, sockets: int) -> float:
    """Memory growth of the api process per socket that offers deflate and waits for a task, in KB."""
    before = api.memory_info().rss
    async with crowd("idle", ours.url, sockets):
        return (api.memory_info().rss - before) / sockets / 1024


GMPY2 = """
import gmpy2, hashlib, time
began = time.perf_counter()
hashlib.sha256(gmpy2.fib({n}).digits().encode()).hexdigest()
print(time.perf_counter() - began)
"""
LONG_N = 10**8


async def long_seconds(ours: Ours) -> float:
    """A number of 20 million digits, from submission to final record, in seconds; it is recomputed each time."""
    begun = time.perf_counter()
    submitted = await ours.post(
        "mutation($n: Int!) { submitFibonacci(n: $n, options: {recompute: true}) { taskId } }", {"n": LONG_N}
    )
    [item] = await ours.subscribe(RESULT, {"id": submitted["submitFibonacci"]["taskId"]})
    assert item["taskResult"]["state"] == "SUCCEEDED"
    return time.perf_counter() - begun


async def gmpy2_seconds() -> float:
    """The same number and its digits in a process that does nothing else, in seconds."""
    return await _seconds_of(GMPY2.format(n=LONG_N))


async def p99_ms(ours: Ours, seconds: float, *, every: float = 0.01) -> float:
    """The 99th percentile of short tasks in milliseconds, one after the other with a pause of `every` seconds."""
    spans = []
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        await ours.run(NUMBERS.one())
        spans.append(time.perf_counter() - begun)
        await asyncio.sleep(every)
    return sorted(spans)[int(len(spans) * 0.99)] * 1000


async def p99_during_long_task_ms(ours: Ours) -> float:
    long = asyncio.ensure_future(long_seconds(ours))
    # Shorter than the long task, so that all of it overlaps.
    figure = await p99_ms(ours, 2.0)
    await long
    return figure


async def import_seconds() -> float:
    """`import graphql_api.app` in a new process, in seconds."""
    return await _seconds_of(
        "import time; began = time.perf_counter(); import graphql_api.app; print(time.perf_counter() - began)"
    )


async def _seconds_of(program: str) -> float:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE)
    return float((await process.communicate())[0])


async def start_seconds(folder: Path) -> float:
    """`make run` after the first set-up, until it prints that it is ready, in seconds."""
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dask_graphql", "dev", "--port", str(free_port()), "--data-dir", str(folder),
        stdout=PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    try:
        async with asyncio.timeout(60):
            while not (await process.stdout.readline()).startswith(b"ready"):
                assert process.returncode is None
        return time.perf_counter() - begun
    finally:
        process.terminate()
        await process.wait()


async def held_p99_ms(ours: Ours, sockets: int, minutes: float) -> float:
    """The p99 of new results while idle subscriptions are held open, in milliseconds; none of them may be lost."""
    async with crowd("idle", ours.url, sockets):
        print(f"  {sockets:,} idle subscriptions are held open for {minutes:g} minutes", flush=True)
        return await p99_ms(ours, minutes * 60, every=0.05)


@asynccontextmanager
async def crowd(
    kind: str, url: str, sockets: int, task_id: str = "", first_address: int = 1
) -> AsyncIterator[asyncio.StreamReader]:
    """Waiting sockets in a process of their own: crowd.c, or sockets.py where no C compiler is found.

    Args:
        kind: `fan`, all wait for `task_id`; `idle`, each waits for a task of its own; `bare`, connections to bare.c.
        url: the address of the server, on loopback.
        first_address: the last number of the first address on loopback that crowd.c connects from.

    Yields:
        the output after all wait: a line `done` when all have a result.
    """
    command = [sys.executable, "-m", "benchmarks.sockets", kind, url, str(sockets), task_id]
    if folder := load.programs():
        payload = orjson.dumps({"query": RESULT, "variables": {"id": task_id or "@"}}).decode()
        port = str(urlsplit(url).port)
        command = [str(folder / "crowd"), port, str(sockets), "-" if kind == "bare" else payload, str(first_address)]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdin
    assert process.stdout
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield process.stdout
    finally:
        process.stdin.write(b"\n")
        output = await process.stdout.read()
        await process.wait()
    assert json.loads(output.splitlines()[-1])["lost"] == 0, f"subscriptions were lost: {output.decode()}"
