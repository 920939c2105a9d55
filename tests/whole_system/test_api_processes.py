"""One api node of two processes on one port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.polling import until
from tests.system import START_SECONDS, Socket, System, kill_trees

SUBMIT = "mutation($n: Int!) { submitFibonacci(n: $n) { taskId } }"


async def get(system: System, path: str) -> httpx.Response:
    """The response on a connection of its own."""
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.get(system.url.replace("/graphql", path))


async def processes(system: System) -> list[dict[str, Any]]:
    response = await get(system, "/readyz")
    assert response.status_code == 200
    return list(response.json()["processes"])


async def metric(system: System, name: str) -> float:
    """A metric's value, summed over its labels."""
    text = (await get(system, "/metrics")).text
    return sum(float(value) for value in re.findall(rf"^dask_graphql_{name}(?:{{.*}})? (.*)$", text, re.MULTILINE))


async def serving(system: System) -> list[int]:
    """The ids of the processes, when both serve."""
    async with asyncio.timeout(START_SECONDS):
        while {item["state"] for item in await processes(system)} != {"serving"}:
            await asyncio.sleep(0.1)
    return [item["processId"] for item in await processes(system)]


@pytest.mark.slow
async def test_two_processes_are_one_node_and_one_of_them_may_die(tmp_path: Path) -> None:
    async with System(tmp_path, api_processes=2, min_workers=0, max_workers=1, subscription_limit=3) as system:
        # Without workers: nothing here runs a task.
        await kill_trees([system.children.pop(name) for name in ("controller", "scheduler")])
        first = await serving(system)
        sockets = [Socket.open(system.url) for _ in range(4)]
        opened = [await socket.__aenter__() for socket in sockets]
        ids = [(await system.ask(SUBMIT, {"n": n}))["submitFibonacci"]["taskId"] for n in range(100, 110)]

        async def follow(socket: Socket, task_id: str) -> None:
            query = "subscription($id: ID!) { taskResult(taskId: $id) { state } }"
            async for _ in socket.subscribe(query, {"id": task_id}):
                pass

        following = [asyncio.create_task(follow(socket, ids[0])) for socket in opened]

        async def counted() -> tuple[float, float, float]:
            names = ("submissions_total", "subscriptions_open", "sockets_open")
            return (await metric(system, names[0]), await metric(system, names[1]), await metric(system, names[2]))

        async with asyncio.timeout(90):
            # The limit is that of both processes together: the fourth is refused.
            while await counted() != (10, 3, 4):
                await asyncio.sleep(0.1)
            assert (await metric(system, "processes")) == 4  # two wanted, two serving

            os.kill(first[0], signal.SIGKILL)
            # Until its last thread has ended, its connections are open.
            await until(lambda: not psutil.pid_exists(first[0]))
            assert (await system.ask("{ taskTypes { name } }"))["taskTypes"]
            second = await serving(system)
            assert (second[0] != first[0], second[1]) == (True, first[1])
            assert sum(item["restarts"] for item in await processes(system)) == 1
            # What the dead one has counted is kept, except what it held open.
            while (now := await counted())[2] >= 4:
                await asyncio.sleep(0.1)
            assert now[0] == 10
            parent = system.children["api0"]
            parent.process.terminate()
            assert await parent.process.wait() == 0
        await until(lambda: not any(psutil.pid_exists(number) for number in second))
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        for socket in sockets:
            await socket.__aexit__(None, None, None)
