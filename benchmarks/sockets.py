"""Many WebSockets at once: the cost of an idle subscription, how fast one result reaches all of them, and whether new
results stay fast while thousands wait.

    python -m benchmarks.sockets idle  URL COUNT            COUNT sockets, each waiting for a task of its own
    python -m benchmarks.sockets fan   URL COUNT TASK_ID    COUNT sockets that wait for one task

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
    """One socket with one subscription. It does not parse results."""

    def __init__(self, task_id: str, on_state: Callable[[str], None]) -> None:
        self._task_id = task_id
        self._on_state = on_state
        self._state = "init"

    async def open(self, url: str) -> None:
        self._socket = await Socket.open(url, self._on_message, lambda: self._on_state("lost"), deflate=True)

    def _on_message(self, socket: Socket, body: bytes) -> None:
        if self._state == "init":
            self._state = "waiting"
            socket.subscribe("1", RESULT, {"id": self._task_id})
            self._on_state("waiting")
        elif self._state == "waiting" and b'"next"' in body:
            self._state = "done"
            self._on_state("done")

    def close(self) -> None:
        self._socket.close()


class Crowd:
    """Many waiters on one api node.

    Attributes:
        counts: how many sockets have been `waiting`, `done` and `lost`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiters: list[Waiter] = []
        self._changed = asyncio.Event()
        self.counts = {"waiting": 0, "done": 0, "lost": 0}

    def _count(self, state: str) -> None:
        self.counts[state] += 1
        self._changed.set()

    async def gather(self, task_ids: list[str]) -> None:
        """Opens a socket for each task id, 64 at a time; returns when all have subscribed."""
        gate = asyncio.Semaphore(64)

        async def one(task_id: str) -> None:
            async with gate:
                waiter = Waiter(task_id, self._count)
                await waiter.open(self._url)
                self._waiters.append(waiter)

        goal = self.counts["waiting"] + len(task_ids)
        await asyncio.gather(*map(one, task_ids))
        await self.until("waiting", goal)

    async def until(self, state: str, count: int) -> None:
        """Returns when `count` sockets have reached a state."""
        while self.counts[state] < count:
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        for waiter in self._waiters:
            waiter.close()


async def serve(kind: str, url: str, count: int) -> None:
    """Talks to the benchmark by lines: prints `ready`, then, after a line of input, the counts."""
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
