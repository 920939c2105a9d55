"""Many WebSockets at once: what an idle subscription costs, how fast one result reaches everybody, and whether a fresh
result stays quick while thousands wait.

    python -m benchmarks.sockets idle  URL COUNT SECONDS    COUNT sockets, each waiting for a task of its own
    python -m benchmarks.sockets fan   URL COUNT            COUNT sockets that wait for one task

They offer permessage-deflate, as browsers do.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

from benchmarks.wire import Socket

FIELDS = "state result { ... on FibonacciResult { value } }"
RESULT = f"subscription($id: ID!) {{ taskResult(taskId: $id) {{ {FIELDS} }} }}"


class Waiter:
    """One socket with one subscription. Looks into no result that comes."""

    def __init__(self, task_id: str, told: Callable[[str], None]) -> None:
        self._task_id = task_id
        self._told = told
        self._stage = "init"

    async def open(self, url: str) -> None:
        self._socket = await Socket.open(url, self._hear, lambda: self._told("lost"), deflate=True)

    def _hear(self, socket: Socket, body: bytes) -> None:
        if self._stage == "init":
            self._stage = "waiting"
            socket.subscribe("1", RESULT, {"id": self._task_id})
            self._told("waiting")
        elif self._stage == "waiting" and b'"next"' in body:
            self._stage = "done"
            self._told("done")

    def close(self) -> None:
        self._socket.close()


class Crowd:
    """Many waiters on one api node.

    Attributes:
        counts: how many are `waiting`, `done` and `lost`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiters: list[Waiter] = []
        self._changed = asyncio.Event()
        self.counts = {"waiting": 0, "done": 0, "lost": 0}

    def _tell(self, what: str) -> None:
        self.counts[what] += 1
        self._changed.set()

    async def gather(self, task_ids: list[str]) -> None:
        """Opens a socket for each task id, 64 at a time; returns when all have subscribed."""
        gate = asyncio.Semaphore(64)

        async def one(task_id: str) -> None:
            async with gate:
                waiter = Waiter(task_id, self._tell)
                await waiter.open(self._url)
                self._waiters.append(waiter)

        goal = self.counts["waiting"] + len(task_ids)
        await asyncio.gather(*map(one, task_ids))
        await self.until("waiting", goal)

    async def until(self, what: str, count: int) -> None:
        """Returns when so many are in a state."""
        while self.counts[what] < count:
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        for waiter in self._waiters:
            waiter.close()


async def serve(kind: str, url: str, count: int) -> None:
    """Speaks with the one who measures by lines: says `ready`, then what was seen."""
    crowd = Crowd(url)
    if kind == "fan":
        await crowd.gather([sys.argv[4]] * count)
    else:
        await crowd.gather([f"{i:032x}" for i in range(count)])
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    if kind == "fan":
        await crowd.until("done", count)
        print("done", loop.time(), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(json.dumps(crowd.counts), flush=True)
    crowd.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
