"""`make bench-updates`: for how long an update or a replaced node is felt, with real processes on one machine.

While it happens, clients submit tiny tasks through whichever api node answers, as behind a load balancer; some wait for
their results. Printed are two gaps: the longest time in which no submission was accepted, and
the longest in which no task ended, each beginning within the time that is watched. What a platform adds is not in them:
Fargate takes about a minute to start a container, which counts only where nothing runs meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import httpx

from cluster.system.child_processes import start_node
from dask_graphql.dev_system import free_port
from tests.redis_faults import client
from tests.system import System

CLIENTS: Final = 2
BEFORE_SECONDS: Final = 3.0
AFTER_SECONDS: Final = 30.0
READ_ONLY_SECONDS: Final = 5.0
SUBMIT_SECONDS: Final = 0.2
RETRY_SECONDS: Final = 0.05
SUBMIT: Final = "mutation($n: Int!) { submitFibonacci(n: $n) { taskId } }"
RESULT: Final = "query($id: ID!) { task(taskId: $id, waitSeconds: 1) { state } }"


@dataclass
class Traffic:
    """What the clients have seen: when submissions were accepted, and when tasks had ended."""

    system: System
    accepted: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    _number: int = 0

    async def waiting_client(self, http: httpx.AsyncClient) -> None:
        """Submits a task, waits for its end, and goes on."""
        while True:
            task_id = (await self._ask(http, SUBMIT, {"n": self._next()}))["submitFibonacci"]["taskId"]
            while (await self._ask(http, RESULT, {"id": task_id}))["task"]["state"] not in ("SUCCEEDED", "FAILED"):
                pass
            self.ended.append(time.monotonic())

    async def submitting_client(self, http: httpx.AsyncClient) -> None:
        """Submits tasks and does not wait for them."""
        while True:
            await self._ask(http, SUBMIT, {"n": self._next()})
            self.accepted.append(time.monotonic())
            await asyncio.sleep(SUBMIT_SECONDS)

    def _next(self) -> int:
        self._number += 1
        return 10 + self._number % 20_000

    async def _ask(
        self, http: httpx.AsyncClient, query: str, variables: dict[str, object]
    ) -> dict[str, dict[str, str]]:
        """The data of the first node that gives any, as the load balancer chooses the next one."""
        while True:
            for node in range(len(self.system.ports)):
                with suppress(httpx.HTTPError):
                    answer = await http.post(self.system.url_of(node), json={"query": query, "variables": variables})
                    data: dict[str, dict[str, str] | None] = answer.json().get("data") or {"": None}
                    if found := {name: value for name, value in data.items() if value is not None}:
                        return found
            await asyncio.sleep(RETRY_SECONDS)


def longest_gap(times: list[float], began: float, ended: float) -> float:
    """The longest time without an event, from the last one before `began` on."""
    before = max((at for at in times if at <= began), default=began)
    marks = [before, *(at for at in sorted(times) if began < at < ended), ended]
    return max(later - earlier for earlier, later in itertools.pairwise(marks))


async def replace_api_nodes(system: System) -> None:
    """One by one: the new node serves before an old one gets SIGTERM, as ECS does it with 100 % and 200 %."""
    system.ports.append(free_port())
    last = len(system.ports) - 1
    await system.start("api", last)
    while not await serves(system, last):
        await asyncio.sleep(0.1)
    for name in ("api0", "api1"):
        system.children[name].process.terminate()
        await system.children[name].process.wait()


async def serves(system: System, node: int) -> bool:
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://127.0.0.1:{system.ports[node]}/readyz")).status_code == 200
    return False


async def hand_over_scheduler(system: System) -> None:
    """As in an update: the next scheduler waits for its turn before the old one gets SIGTERM."""
    old = system.children["scheduler"]
    system.settings = replace(system.settings, scheduler=f"tcp://127.0.0.1:{free_port()}")
    await system.start("scheduler")
    while "waits for its turn" not in (system.folder / "scheduler.log").read_text():
        await asyncio.sleep(0.05)
    old.process.terminate()
    await old.process.wait()


async def crash_scheduler(system: System) -> None:
    """It is killed and started again on its machine at once."""
    await system.kill("scheduler")
    await system.start("scheduler")


async def lose_scheduler(system: System) -> None:
    """It is killed with its machine, and another one waits elsewhere, as a standby."""
    old = system.children["scheduler"]
    system.settings = replace(system.settings, scheduler=f"tcp://127.0.0.1:{free_port()}")
    await system.start("scheduler")
    while "waits for its turn" not in (system.folder / "scheduler.log").read_text():
        await asyncio.sleep(0.05)
    # The host name is part of the lease's holder, and the port is another one: it waits until the lease ends.
    old.process.kill()
    await old.process.wait()


async def fail_over_redis(system: System) -> None:
    """Redis refuses writes for READ_ONLY_SECONDS, as a demoted primary does until its name leads to the new one."""
    with client(system.redis) as server:
        server.execute_command("REPLICAOF", "127.0.0.1", free_port())
        await asyncio.sleep(READ_ONLY_SECONDS)
        server.execute_command("REPLICAOF", "NO", "ONE")


async def roll_back(system: System) -> None:
    """A revision that does not start, of the api and of the scheduler, beside the ones that serve: ECS starts it three
    times and gives up."""
    broken = replace(system.settings, task_modules=("there_is_no_such_module",), port=free_port())
    broken = replace(broken, scheduler=f"tcp://127.0.0.1:{free_port()}")
    for _ in range(3):
        for role in ("api", "scheduler"):
            with (system.folder / "broken.log").open("ab") as log:
                child = await start_node(broken, role, output=log)
            assert await child.process.wait() != 0


CASES: Final[dict[str, Callable[[System], Awaitable[None]]]] = {
    "api nodes updated": replace_api_nodes,
    "scheduler updated": hand_over_scheduler,
    "scheduler crashed, started again": crash_scheduler,
    "scheduler lost, a standby took over": lose_scheduler,
    f"Redis refused writes for {READ_ONLY_SECONDS:g} s": fail_over_redis,
    "an update that did not start": roll_back,
}


async def measure(happens: Callable[[System], Awaitable[None]]) -> tuple[float, float]:
    """The longest gaps of submissions and of ends, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        async with System(Path(folder), api_nodes=2, min_workers=2, max_workers=2, drain_seconds=10.0) as system:
            traffic = Traffic(system)
            async with httpx.AsyncClient(timeout=5) as http:
                clients = [asyncio.create_task(traffic.waiting_client(http)) for _ in range(CLIENTS)]
                clients.append(asyncio.create_task(traffic.submitting_client(http)))
                await asyncio.sleep(BEFORE_SECONDS)
                began = time.monotonic()
                await happens(system)
                await asyncio.sleep(AFTER_SECONDS)
                ended = time.monotonic()
                for each in clients:
                    each.cancel()
                await asyncio.gather(*clients, return_exceptions=True)
            return longest_gap(traffic.accepted, began, ended), longest_gap(traffic.ended, began, ended)


def main() -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("| what happens | s without an accepted submission | s without an ended task |\n|---|---|---|", flush=True)
    for name, happens in CASES.items():
        accepted, ended = asyncio.run(measure(happens))
        print(f"| {name} | {accepted:.1f} | {ended:.1f} |", flush=True)


if __name__ == "__main__":
    main()
