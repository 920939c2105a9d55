"""Chaos: a supervised cluster under random faults, with clients that submit and subscribe throughout.

    python -m tests.chaos --seconds 600 --seed 1 --engine valkey-8

The cluster has Redis (append-only, every write synced) with a replica behind one name, a scheduler, two workers and two
api nodes (which also recover lost tasks). A supervisor restarts dead processes, as ECS or systemd would. A seeded
random generator kills processes (SIGKILL), pauses them (SIGSTOP, SIGCONT), cuts connections to Redis, makes Redis
refuse for a while (read-only, full, without replicas, busy, not permitted, paused), flushes its scripts, and promotes
the replica. A quarter of the tasks are parents, which wait for three children each. Then the faults end, and the run is
checked:

- every task whose id a client holds has exactly one final record, with the right value;
- no client saw two different ends of one task;
- nothing ran again that was done: a task, or a child of one, has as many runs as attempts at most, and the last one is
  its only success;
- the memory of each process stayed bounded;
- all tasks ended soon after the last fault.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from cluster.task_types.registry import load_registry
from tests.engines import CLUSTER, ENGINES, default_binary, find_engine
from tests.forwarder import Forwarder
from tests.redis_cluster import ClusterServer, RedisCluster
from tests.redis_faults import FAULTS, Fault, command, flush_scripts, hand_over
from tests.system import TASKS, RedisServer, System
from tests.task_modules.families import CHILD_STEP

SETTLE_SECONDS = 90.0
"""How long after the last fault all tasks must have ended."""
MODULES = (TASKS, "tests.task_modules.families")
REPLACED_SECONDS = 15.0
"""How long a dead primary of a cluster may stay away for its replica to take over."""
CLIENTS = 8
LATE_SHARE = 0.2
"""Share of the tasks that another client asks for again some time later."""
RESULT = (
    "subscription($id: ID!) { taskResult(taskId: $id) { state attempt error { code } "
    "result { ... on CountedResult { a: value } ... on SlowResult { b: value } "
    "... on FamilyCountedResult { c: value } } } }"
)
SOCKET: dict[str, Any] = {
    "subprotocols": ["graphql-transport-ws"], "open_timeout": 5, "ping_interval": 2, "ping_timeout": 5,
}  # fmt: skip
"""Options of a client that notices within seconds that its api node is frozen."""
SUBMIT = {
    "family_counted": "mutation($folder: String!, $n: Int!) "
    "{ it: submitFamilyCounted(folder: $folder, n: $n) { taskId } }",
    "counted": "mutation($folder: String!, $n: Int!) { it: submitCounted(folder: $folder, n: $n) { taskId } }",
    "slow": "mutation($folder: String!, $n: Int!, $seconds: Float!) "
    "{ it: submitSlow(folder: $folder, n: $n, seconds: $seconds) { taskId } }",
}


@dataclass
class Accepted:
    """A task whose id a client holds, and the ends that clients saw."""

    task_id: str
    n: int
    seen: list[tuple[str, int | None]] = field(default_factory=list)


@dataclass
class Report:
    """The findings of a run. `wrong` is empty if all invariants held."""

    seed: int
    seconds: float
    faults: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    deliveries: int = 0
    reconnects: int = 0
    children: int = 0
    runs: int = 0
    most_runs: int = 0
    settle_seconds: float = 0.0
    memory_mb: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """The report as a Markdown table."""
        rows = {
            "seed, seconds of faults": f"{self.seed}, {self.seconds:.0f}",
            "faults": f"{sum(self.faults.values())}: " + ", ".join(f"{k} {v}" for k, v in sorted(self.faults.items())),
            "accepted tasks, children of theirs": f"{self.accepted}, {self.children}",
            "answers that clients repeated": ", ".join(f"{k} {v}" for k, v in sorted(self.refused.items())) or "none",
            "ends": ", ".join(f"{k} {v}" for k, v in sorted(self.ends.items())),
            "ends delivered, sockets opened again": f"{self.deliveries}, {self.reconnects}",
            "runs for all tasks, most for one": f"{self.runs}, {self.most_runs}",
            "last fault to all ended": f"{self.settle_seconds:.1f} s",
            "most memory, MB": ", ".join(f"{k} {v}" for k, v in sorted(self.memory_mb.items())),
            "violations": "; ".join(self.wrong[:5]) or "none",
        }
        return "\n".join(["| what | seen |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())])


class Chaos(System):
    """A system whose parts are killed and restarted."""

    parts: tuple[str, ...] = ("redis", "scheduler", "worker0", "worker1", "task process", "api0", "api1")
    longest_redis_stop = 5.0
    """Seconds."""
    impossible = frozenset({"loading"})
    """Faults of Redis that are not injected."""

    def __init__(self, folder: Path, seed: int, engine: Path | None = None, schedulers: int = 1) -> None:
        super().__init__(
            folder, redis_binary=engine, api_nodes=2, schedulers=schedulers, min_workers=0, lost_worker_limit=100,
            task_modules=MODULES,
        )  # fmt: skip
        self.schedulers = ("scheduler", "scheduler1")[:schedulers]
        self.parts += self.schedulers[1:]
        replica = folder / "replica"
        replica.mkdir()
        self.replica = RedisServer(replica, binary=engine)
        self.address = Forwarder(self.redis.port)
        self.traces = folder / "traces"
        self.traces.mkdir()
        self.dice = random.Random(seed)
        self.report = Report(seed, 0)
        self.tasks: dict[str, Accepted] = {}
        self.quiet = asyncio.Event()
        self.stopped: set[int] = set()
        self._kinds = load_registry(MODULES)

    async def __aenter__(self) -> Chaos:
        await self.start_redis()
        for node in range(len(self.schedulers)):
            await self.start("scheduler", node)
        for node in (0, 1):
            await self.start("worker", node)
            await self.start("api", node)
        await self.ready()
        return self

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        await self.stop_redis()

    # Redis: a primary and its replica ---------------------------------------------------------------------------------

    async def start_redis(self) -> None:
        self.redis.start(sync="always")
        self.replica.start(sync="always")
        command("REPLICAOF", "127.0.0.1", self.redis.port)(self.replica)
        await self.address.__aenter__()
        self.settings = replace(self.settings, redis_url=self.address.url)

    async def stop_redis(self) -> None:
        await self.address.__aexit__()
        self.replica.kill()

    def primary(self) -> RedisServer | None:
        """A primary to break; None if there is none that runs."""
        return self.redis if self.redis.alive else None

    async def revive_redis(self) -> None:
        """Restarts what was killed."""
        if not self.redis.alive:
            # One that is killed again while it starts is restarted in the next round.
            with contextlib.suppress(redis.RedisError):
                await asyncio.to_thread(self.redis.start, sync="always")

    async def fail_over(self) -> bool:
        """Promotes the replica without losing a write, as in a planned failover. The old primary becomes its replica
        and keeps its connections. Returns False if the replica is not in sync yet, or the primary is just starting."""
        try:
            if not await asyncio.to_thread(hand_over, self.redis, self.replica):
                return False
        except redis.RedisError:
            return False
        self.redis, self.replica = self.replica, self.redis
        self.address.target = self.redis.port
        return True

    # Faults -----------------------------------------------------------------------------------------------------------

    async def supervise(self) -> None:
        """Restarts dead processes after a moment."""
        while True:
            await asyncio.sleep(0.2)
            for name, child in list(self.children.items()):
                if child.process.returncode is not None:
                    await asyncio.sleep(0.3)
                    role, node = (name[:-1], int(name[-1])) if name[-1].isdigit() else (name, 0)
                    await self.start(role, node)
            await self.revive_redis()

    async def break_things(self, seconds: float) -> None:
        """Injects faults for this time, then stops."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(self.dice.uniform(0.3, 2.5))
            kind = self.dice.choices(["kill", "stop", "cut", "refuse", "forget", "fail_over"], [6, 2, 1, 3, 1, 2])[0]
            name = self.dice.choice(self.parts)
            await getattr(self, f"_{kind}")(name)
        for process_id in list(self.stopped):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGCONT)

    async def roll(self, seconds: float) -> None:
        """Restarts every node in turn, gracefully, as an update does, but not Redis."""
        end = time.monotonic() + seconds
        while True:
            for name in ("api0", "worker0", "api1", "worker1", *self.schedulers):
                child = self.children[name]
                child.process.terminate()
                await child.process.wait()
                self.report.faults[f"restart {name.rstrip('01')}"] += 1
                await asyncio.sleep(1)  # the supervisor restarts it
                await self.ready()
            if time.monotonic() > end:
                return

    def _process_of(self, name: str) -> int | None:
        if name == "redis":
            primary = self.primary()
            return primary.process_id if primary else None
        if name == "task process":
            # The process under a worker's nanny, in which tasks run.
            children = [
                inner.pid
                for child in self.children.values()
                if child.role == "worker" and child.process.returncode is None
                for inner in psutil.Process(child.process.pid).children()
                if "spawn_main" in " ".join(inner.cmdline())
            ]
            return self.dice.choice(children) if children else None
        child = self.children[name]
        return child.process.pid if child.process.returncode is None else None

    async def _kill(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError, psutil.Error):
            if process_id := self._process_of(name):
                self.report.faults[f"kill {name.rstrip('01')}"] += 1
                os.kill(process_id, signal.SIGKILL)

    async def _stop(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError, psutil.Error):
            if process_id := self._process_of(name):
                self.report.faults[f"stop {name.rstrip('01')}"] += 1
                os.kill(process_id, signal.SIGSTOP)
                self.stopped.add(process_id)
                await asyncio.sleep(self.dice.uniform(0.3, self.longest_redis_stop if name == "redis" else 5.0))
                self.stopped.discard(process_id)
                os.kill(process_id, signal.SIGCONT)

    async def _cut(self, _: str) -> None:
        def cut() -> None:
            if (primary := self.primary()) is None:
                return
            with contextlib.suppress(redis.RedisError), redis.Redis(port=primary.port, socket_timeout=2) as client:
                for kind in ("normal", "pubsub"):
                    client.client_kill_filter(_type=kind, skipme=True)

        self.report.faults["cut connections"] += 1
        await asyncio.to_thread(cut)

    async def _refuse(self, _: str) -> None:
        """Redis is up, but refuses for a while."""
        chosen = FAULTS[self.dice.choice([name for name in FAULTS if name not in self.impossible])]
        seconds = self.dice.uniform(0.3, 4.0)
        if (primary := self.primary()) is None:
            return
        try:
            await asyncio.to_thread(chosen.begin, primary)
        except (redis.RedisError, TimeoutError):
            # It is just starting, or this machine is too busy. The fault may have begun all the same.
            pass
        else:
            self.report.faults[chosen.name] += 1
            await asyncio.sleep(seconds)
        await self._end(chosen, primary)

    async def _end(self, chosen: Fault, server: RedisServer) -> None:
        """Ends a fault of Redis. One that was restarted has none any more, and it refuses to end what has not begun."""
        while server.alive:
            try:
                await asyncio.to_thread(chosen.end, server)
                return
            except (redis.ConnectionError, redis.TimeoutError):
                await asyncio.sleep(0.2)
            except redis.ResponseError:
                return

    async def _forget(self, _: str) -> None:
        if primary := self.primary():
            with contextlib.suppress(redis.RedisError):
                await asyncio.to_thread(flush_scripts, primary)
                self.report.faults["scripts forgotten"] += 1

    async def _fail_over(self, _: str) -> None:
        if await self.fail_over():
            self.report.faults["failover"] += 1

    async def watch_memory(self) -> None:
        """Records the peak memory of each role."""
        while True:
            await asyncio.sleep(1)
            for name, child in list(self.children.items()):
                with contextlib.suppress(psutil.Error):
                    megabytes = psutil.Process(child.process.pid).memory_info().rss // 2**20
                    role = name.rstrip("01")
                    self.report.memory_mb[role] = max(megabytes, self.report.memory_mb.get(role, 0))

    # Clients ----------------------------------------------------------------------------------------------------------

    async def client(self, numbers: Any) -> None:
        """Submits a task, waits for its end, and repeats; some tasks are requested again later."""
        async with httpx.AsyncClient(timeout=10) as http:
            while not self.quiet.is_set():
                n = next(numbers)
                task = await self._submit(http, n)
                receivers = [asyncio.ensure_future(self._receive(task))]
                if self.dice.random() < LATE_SHARE:
                    receivers.append(asyncio.ensure_future(self._receive_late(task)))
                await asyncio.gather(*receivers)

    async def _submit(self, http: httpx.AsyncClient, n: int) -> Accepted:
        name = _kind_of(n)
        arguments: dict[str, Any] = {"folder": str(self.traces), "n": n}
        if name == "slow":
            arguments["seconds"] = round(0.2 + (n % 7) * 0.3, 1)
        known = self._kinds[name].bind(arguments).task_id
        while True:
            try:
                answer = await http.post(
                    self.url_of(self.dice.randrange(2)), json={"query": SUBMIT[name], "variables": arguments}
                )
                body = answer.json()
                if "errors" not in body:
                    task_id = body["data"]["it"]["taskId"]
                    assert task_id == known
                    return self.tasks.setdefault(task_id, Accepted(task_id, n))
                self.report.refused[body["errors"][0]["extensions"]["code"]] += 1
                if body["errors"][0]["extensions"]["code"] not in ("SERVICE_UNAVAILABLE", "STORE_FULL"):
                    self.report.wrong.append(f"submit was refused: {body['errors'][0]}")
            except (httpx.HTTPError, json.JSONDecodeError) as error:
                self.report.refused[type(error).__name__] += 1
            await asyncio.sleep(0.2)

    async def _receive_late(self, task: Accepted) -> None:
        await asyncio.sleep(self.dice.uniform(0, 10))
        await self._receive(task)

    async def _receive(self, task: Accepted) -> None:
        """Waits for the end of a task, over as many sockets as needed."""
        while True:
            try:
                url = self.url_of(self.dice.randrange(2)).replace("http", "ws", 1)
                async with connect(url, **SOCKET) as socket:
                    await socket.send('{"type": "connection_init"}')
                    payload = {"query": RESULT, "variables": {"id": task.task_id}}
                    async for text in socket:
                        message = json.loads(text)
                        if message["type"] == "connection_ack":
                            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                        elif message["type"] == "next" and "errors" not in message["payload"]:
                            result = message["payload"]["data"]["taskResult"]
                            value = next(iter((result["result"] or {}).values()), None)
                            task.seen.append((result["state"], value))
                            self.report.deliveries += 1
                            return
                        elif message["type"] in ("next", "error", "complete"):
                            break
            except (OSError, WebSocketException, TimeoutError):
                pass
            self.report.reconnects += 1
            await asyncio.sleep(0.2)

    # The run ----------------------------------------------------------------------------------------------------------

    async def run(self, seconds: float, *, rolling: bool = False) -> Report:
        """Faults, or a rolling restart, and clients for a while, quiet, and the checks."""
        numbers = iter(range(10**9))
        background = [asyncio.ensure_future(self.supervise()), asyncio.ensure_future(self.watch_memory())]
        clients = [asyncio.ensure_future(self.client(numbers)) for _ in range(CLIENTS)]
        begun = time.monotonic()
        await (self.roll(seconds) if rolling else self.break_things(seconds))
        self.report.seconds = time.monotonic() - begun
        self.quiet.set()
        last_fault = time.monotonic()
        _, unfinished = await asyncio.wait(clients, timeout=SETTLE_SECONDS)
        self.report.settle_seconds = time.monotonic() - last_fault
        for client in (*unfinished, *background):
            client.cancel()
        for outcome in await asyncio.gather(*clients, *background, return_exceptions=True):
            if isinstance(outcome, Exception):
                self.report.wrong.append(f"a client or the supervisor broke: {outcome!r}")
        await self._check(len(unfinished))
        return self.report

    def _children_of(self, task: Accepted) -> list[int]:
        """The numbers of its children."""
        return [task.n + number * CHILD_STEP for number in (1, 2, 3)] if _kind_of(task.n) == "family_counted" else []

    async def _check_runs(self, n: int, task_id: str) -> None:
        """Checks that a task has succeeded once, and ran no more after that."""
        report, wrong = self.report, self.report.wrong
        query = "query($id: ID!) { task(taskId: $id) { state error { code message } attempts { number end } } }"
        record = (await self.ask(query, {"id": task_id}))["task"]
        state = record["state"] if record else "no record"
        report.ends[state] += 1
        if state != "SUCCEEDED":
            wrong.append(f"task {n} {task_id} is {state}: {record and record['error']}")
            return
        trace = self.traces / f"runs-{n}"
        runs = trace.stat().st_size if trace.exists() else 0
        report.runs += runs
        report.most_runs = max(report.most_runs, runs)
        if runs == 0:
            wrong.append(f"task {n} has an end and never ran")
        ends = [attempt["end"] for attempt in record["attempts"]]
        if runs > record["attempts"][-1]["number"] or ends.count("SUCCEEDED") != 1 or ends[-1] != "SUCCEEDED":
            wrong.append(f"task {n} {task_id} was done and ran again: {runs} runs, {record['attempts']}")

    async def _check(self, unfinished: int) -> None:
        report, wrong = self.report, self.report.wrong
        report.accepted = len(self.tasks)
        if unfinished:
            waiting = [task.task_id for task in self.tasks.values() if not task.seen][:3]
            wrong.append(f"{unfinished} clients still wait {SETTLE_SECONDS:g} s after the last fault, for {waiting}")
        for task in self.tasks.values():
            await self._check_runs(task.n, task.task_id)
            if any(end != ("SUCCEEDED", task.n) for end in task.seen):
                wrong.append(f"task {task.n}: clients saw {task.seen}")
            for n in self._children_of(task):
                report.children += 1
                await self._check_runs(
                    n, self._kinds["slow"].bind({"folder": str(self.traces), "n": n, "seconds": 0.2}).task_id
                )
        if report.most_runs > 8:
            wrong.append(f"one task ran {report.most_runs} times")
        for role, megabytes in report.memory_mb.items():
            if megabytes > 600:
                wrong.append(f"{role} took {megabytes} MB")


class ClusterChaos(Chaos):
    """The same with a cluster of three primaries, each with a replica. A primary that was killed is started again at
    once, or when its replica has taken over."""

    # A primary that is silent for longer than `node_timeout_seconds`, and comes back after its replica took over, may
    # confirm writes that it then loses, unless it is of a service that forbids that. A busy machine delays it, too.
    node_timeout_seconds = 3.0
    longest_redis_stop = 1.0
    impossible = frozenset({"loading", "read-only"})
    # As likely as all others together: it has most processes.
    parts = ("redis",) * 6 + Chaos.parts

    def __init__(self, folder: Path, seed: int, engine: Path | None = None, schedulers: int = 1) -> None:
        super().__init__(folder, seed, engine, schedulers)
        (folder / "cluster").mkdir()
        self.revived_at: dict[ClusterServer, float] = {}
        self.cluster = RedisCluster(
            folder / "cluster", binary=engine, replicas=True, node_timeout_seconds=self.node_timeout_seconds
        )

    async def start_redis(self) -> None:
        await asyncio.to_thread(self.cluster.start, sync="always")
        self.settings = replace(self.settings, redis_url=self.cluster.url)

    async def stop_redis(self) -> None:
        self.cluster.stop()

    def primary(self) -> ClusterServer | None:
        """One whose replica is in sync: another replica would take over without what it lacks, unless the cluster is of
        a service that forbids that."""
        found = self.cluster.replicated_primaries()
        return self.dice.choice(found) if found else None

    async def revive_redis(self) -> None:
        """Never waits for one server: while two of three primaries are dead, no replica can be elected."""
        for server in self.cluster.servers:
            if server.alive:
                continue
            if server not in self.revived_at:
                patience = REPLACED_SECONDS if self.dice.random() < 0.5 else 0.0
                self.revived_at[server] = time.monotonic() + patience
            replaced = await asyncio.to_thread(self.cluster.is_replaced, server)
            if not replaced and time.monotonic() < self.revived_at[server]:
                continue
            # What does not answer in time is tried again in the next round.
            with contextlib.suppress(redis.RedisError):
                await asyncio.to_thread(server.start, sync="always")
                del self.revived_at[server]
                if replaced:
                    self.report.faults["replica took over"] += 1

    async def fail_over(self) -> bool:
        primary = self.primary()
        if primary is None or not self.cluster.alive or not await asyncio.to_thread(self.cluster.serves):
            return False
        try:
            await asyncio.to_thread(self.cluster.fail_over, primary)
        except (redis.RedisError, TimeoutError):
            return False
        return True


def _kind_of(n: int) -> str:
    """The task type of a task that a client submits."""
    return "slow" if n % 4 == 0 else "family_counted" if n % 4 == 2 else "counted"


async def chaos(
    seconds: float,
    seed: int,
    folder: Path,
    *,
    engine: Path | None = None,
    cluster: bool = False,
    rolling: bool = False,
    schedulers: int = 1,
) -> Report:
    """One run in the given folder; `engine` is the server program to run, as a cluster if `cluster` is true."""
    async with (ClusterChaos if cluster else Chaos)(folder, seed, engine, schedulers) as run:
        return await run.run(seconds, rolling=rolling)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=600)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--engine", choices=[*ENGINES, CLUSTER, *(f"{CLUSTER}-{name}" for name in ENGINES)],
                           help="the server to run, or a cluster of it; default: the one that dev starts")  # fmt: skip
    arguments.add_argument("--rolling", action="store_true", help="restart every node in turn instead")
    arguments.add_argument("--schedulers", type=int, choices=(1, 2), default=1, help="each has one of the workers")
    given = arguments.parse_args()
    logging.basicConfig(level=logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ["DASK_CONFIG"] = str(folder / "dask")
    print(f"{given.seconds:g} s of faults, seed {given.seed}, logs in {folder}", flush=True)
    name = (given.engine or "").removeprefix(CLUSTER).removeprefix("-")
    cluster = (given.engine or "").startswith(CLUSTER)
    engine = find_engine(name) if name else default_binary()
    if engine is None:
        sys.exit(f"{given.engine} is not installed: run scripts/install-engines.sh, or install the extra `test`")
    report = asyncio.run(
        chaos(
            given.seconds, given.seed, folder, engine=engine, cluster=cluster, rolling=given.rolling,
            schedulers=given.schedulers,
        )
    )  # fmt: skip
    print(report.table())
    if report.wrong:
        sys.exit(f"{len(report.wrong)} violations; the logs are in {folder}")


if __name__ == "__main__":
    main()
