"""`make bench`: our system and its peers on this machine, alternating, in several rounds; medians with their spread.

Everything is real: one api process, the scheduler, two workers with one thread each, Redis with its append-only file;
the peers have two workers on a Redis of their own with the same settings. The load comes from a client in C
(benchmarks/load) or, where there is no compiler, from one in Python that costs next to nothing (wire.py), and for bare
peers from their own clients. Bare sockets and bare Redis are measured beside (limits.py). Compare only figures of the
same run.

A round takes two to three minutes, and idle subscriptions are held open for ten at the end: 20 minutes in all. One
round (ROUNDS=1) is a quick look: nothing is held open and nothing is written.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import psutil

from benchmarks import limits, load, measures, peers, peers_arq, picture, report
from benchmarks.ours import NUMBERS, Ours, delete_records, posts_per_second
from benchmarks.ours import measures as measures_of
from benchmarks.report import Row
from benchmarks.timing import IN_FLIGHT
from dask_graphql.dev_system import free_port
from tests.system import RedisServer, System

SOCKETS = 2_000
HELD_SOCKETS = 10_000
ENDPOINTS = ("taskiq", "celery", "dramatiq")


_Process: TypeAlias = subprocess.Popen[bytes]


class Run:
    """The rows of one run.

    Args:
        tasks: the number of tasks of a measure.
    """

    def __init__(self, tasks: int) -> None:
        self.tasks = tasks
        self.rows: dict[tuple[str, str], Row] = {}

    async def record(self, measure: str, system: str, work: Awaitable[float]) -> None:
        self.add(measure, system, await work)

    def add(self, measure: str, system: str, figure: float) -> None:
        self.rows.setdefault((measure, system), Row(measure, system)).figures.append(figure)
        print(f"  {measure:62} {system:40} {figure:10,.2f}", flush=True)

    async def short_tasks(self, ours: Ours, all_peers: Sequence[peers.Peer], arq: Sequence[_Process]) -> None:
        """What all systems do, one system after the other for each measure."""
        client = measures_of(ours)
        await self.record(report.LONE, report.OURS, client.lone_ms(self.tasks // 10))
        for peer in all_peers:
            with _awake(arq if peer.name.startswith("arq") else ()):
                await self.record(report.LONE, peer.name, peer.lone_ms(self.tasks // 10))
        await self.record(report.IN_FLIGHT, report.OURS, client.pairs_per_second(self.tasks))
        await self.record(report.RUN, report.OURS, client.runs_per_second(self.tasks))
        await self.record(report.BATCHES, report.OURS, client.batches_per_second(self.tasks * 2))
        for peer in all_peers:
            with _awake(arq if peer.name.startswith("arq") else ()):
                await self.record(report.IN_FLIGHT, peer.name, peer.per_second(self.tasks))

    async def ours_alone(self, ours: Ours) -> None:
        """What only our system does."""
        await self.record(report.CACHED, report.OURS, measures_of(ours).cached_per_second(self.tasks * 2))
        await self.record(report.FAN_OUT, report.OURS, measures.fan_out_per_second(ours, SOCKETS))
        await self.record(report.LONG, report.OURS, measures.long_seconds(ours))
        await self.record(report.LONG, report.GMPY2, measures.gmpy2_seconds())
        await self.record(report.ALONE, report.OURS, measures.p99_ms(ours, 2.0))
        await self.record(report.DURING_LONG, report.OURS, measures.p99_during_long_task_ms(ours))

    async def limits(self, redis_port: int, starlette: str) -> None:
        if load.programs():
            route = limits.answers_per_second(starlette, self.tasks * 2)
        else:
            route = posts_per_second(starlette, self.tasks * 2)
        await self.record(report.CACHED, report.ROUTE, route)
        for in_c in (False, True) if load.programs() else (False,):
            name = report.BARE_C if in_c else report.BARE_UVLOOP
            async with limits.server(in_c=in_c) as url:
                await self.record(report.CACHED, name, limits.answers_per_second(url, self.tasks * 5))
                if in_c:
                    lone = await limits.two_requests(url, self.tasks, 1)
                    many = await limits.two_requests(url, self.tasks * 5, IN_FLIGHT)
                    self.add(report.LONE, name, lone.p50_ms)
                    self.add(report.IN_FLIGHT, name, many.per_second)
                    await self.record(report.FAN_OUT, name, limits.sends_per_second(url, SOCKETS))
        for depth in (1, limits.PIPELINED):
            count = self.tasks * depth // (1 if depth == 1 else 4)
            figure = await asyncio.to_thread(limits.redis_per_second, redis_port, count, depth)
            self.add(report.REDIS, report.ONE_BY_ONE if depth == 1 else report.IN_PIPELINES, figure)


@contextmanager
def _awake(paused: Iterable[_Process]) -> Iterator[None]:
    """Lets processes run that are stopped otherwise, because they would cost the other systems processor time."""
    for process in paused:
        process.send_signal(signal.SIGCONT)
    try:
        yield
    finally:
        for process in paused:
            process.send_signal(signal.SIGSTOP)


def _start(command: Sequence[str], redis: str) -> _Process:
    return subprocess.Popen(
        [sys.executable, "-m", *command], env={**os.environ, "BENCH_REDIS": redis}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def _stop(processes: Sequence[_Process]) -> None:
    for process in processes:
        os.killpg(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGCONT)
    for process in processes:
        process.wait(20)


async def measure(rounds: int, tasks: int, held_minutes: float, folder: Path) -> tuple[list[Row], dict[str, str]]:
    """Runs all measures, our system and the peers alternating, `rounds` times; also what each peer lacks."""
    run = Run(tasks)
    await measures.start_seconds(folder / "dev")
    for _ in range(rounds):
        await run.record(report.IMPORT, report.OURS, measures.import_seconds())
        await run.record(report.START, report.OURS, measures.start_seconds(folder / "dev"))
    (folder / "ours").mkdir()
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(
            System(
                folder / "ours",
                min_workers=2,
                max_workers=2,
                sockets_per_client=100_000,
                connections_per_address=100_000,
            )
        )
        redis = RedisServer(folder)
        redis.start()
        stack.callback(redis.stop)
        peers.REDIS = redis.url
        ours = Ours(system.url)
        await ours.start()
        stack.push_async_callback(ours.close)
        await _warm(ours.run)
        api = psutil.Process(system.children["api0"].process.pid)
        await run.record(report.IDLE, report.OURS, measures.idle_kilobytes(ours, api, SOCKETS))

        processes: list[_Process] = []
        stack.callback(lambda: _stop(processes))
        ports = {kind: free_port() for kind in (*ENDPOINTS, "starlette", "arq")}
        processes += [_start(["benchmarks.peers", kind], redis.url) for kind in (*ENDPOINTS, "taskiq-streams")]
        processes += [_start(["benchmarks.endpoints", kind, str(ports[kind])], redis.url) for kind in ENDPOINTS]
        processes.append(_start(["benchmarks.peers", "starlette", str(ports["starlette"])], redis.url))
        all_peers: list[peers.Peer] = [
            peers.Taskiq(), peers.Taskiq(streams=True), peers.Celery(), peers.Dramatiq(),
            peers.Dask(system.settings.scheduler), *(peers.Endpoint(kind, ports[kind]) for kind in ENDPOINTS),
        ]  # fmt: skip
        arq: list[_Process] = []
        if peers_arq.installed():
            arq += [peers_arq.start_process(redis.url, "worker") for _ in range(2)]
            processes += [*arq, peers_arq.start_process(redis.url, "http", str(ports["arq"]))]
            all_peers += [peers_arq.Arq(), peers.Endpoint("arq", ports["arq"])]
        for peer in all_peers:
            await peer.start()
            stack.push_async_callback(peer.close)
            await _warm(peer.run)
        # From here on they run only while arq is measured.
        for process in arq:
            process.send_signal(signal.SIGSTOP)

        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", flush=True)
            await run.short_tasks(ours, all_peers, arq)
            await run.limits(system.redis.port, f"http://127.0.0.1:{ports['starlette']}/")
            await run.ours_alone(ours)
            # The next round's numbers are new again.
            await delete_records(system.redis.url)
        if held_minutes:
            await run.record(report.HELD, report.OURS, measures.held_p99_ms(ours, HELD_SOCKETS, held_minutes))
    return list(run.rows.values()), {peer.name: peer.lacks for peer in all_peers}


async def _warm(run: Callable[[int], Awaitable[object]]) -> None:
    """Returns when the system responds; its processes may still be starting."""
    async with asyncio.timeout(60):
        while True:
            try:
                await run(NUMBERS.one())
                return
            except OSError:
                await asyncio.sleep(0.1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3, help="1: a quick look, which writes nothing")
    arguments.add_argument("--tasks", type=int, default=2_000, help="tasks per measure")
    arguments.add_argument(
        "--held-minutes", type=float, help="how long idle subscriptions are held open; default: 10, or 0 in one round"
    )
    given = arguments.parse_args()
    quick = given.rounds == 1
    held = given.held_minutes if given.held_minutes is not None else 0 if quick else 10
    began = time.monotonic()
    print(f"load: {load.description()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ.setdefault("DASK_CONFIG", f"{folder}/dask")
        rows, lacks = asyncio.run(measure(given.rounds, given.tasks, held, Path(folder)))
    conditions = report.Conditions(given.rounds, load.description(), os.getloadavg()[2], time.monotonic() - began)
    text = report.document(rows, conditions, lacks)
    if not quick:
        (Path(__file__).parent / "RESULTS.md").write_text(text)
        (Path(__file__).parent / "results.svg").write_text(picture.picture(rows))
    print(text)


if __name__ == "__main__":
    main()
