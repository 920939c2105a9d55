"""Many WebSockets at once: what an idle subscription costs, how fast one result reaches everybody, and whether a fresh
result stays quick while thousands wait.

    python -m benchmarks.sockets idle  URL COUNT SECONDS    COUNT sockets, each waiting for a task of its own
    python -m benchmarks.sockets fan   URL COUNT            COUNT sockets that wait for one task

A bare client on asyncio's transports: a library's own would cost more than the server that is measured. It offers
permessage-deflate, as browsers do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

FIELDS = "state result { ... on FibonacciResult { value } }"
RESULT = f"subscription($id: ID!) {{ taskResult(taskId: $id) {{ {FIELDS} }} }}"
PING, PONG = 9, 10
"""Opcodes (RFC 6455, section 5.2)."""


class Waiter(asyncio.Protocol):
    """One socket with one subscription. Counts the frames that come, and looks into none."""

    def __init__(self, host: str, task_id: str, told: Callable[[str], None]) -> None:
        self._host = host
        self._task_id = task_id
        self._told = told
        self._stage = "handshake"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self._stage == "handshake":
            if not data.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(data[:200].decode(errors="replace"))
            self._stage = "init"
            self._send({"type": "connection_init"})
        elif self._stage == "init":
            self._stage = "waiting"
            payload = {"query": RESULT, "variables": {"id": self._task_id}}
            self._send({"id": "1", "type": "subscribe", "payload": payload})
            self._told("waiting")
        else:
            self._frames(data)

    def _frames(self, data: bytes) -> None:
        """Looks at frames; each comes whole, as the ones that are awaited here are short."""
        while data:
            opcode, length, start = data[0] & 15, data[1] & 127, 2
            if length == 126:
                length, start = int.from_bytes(data[2:4], "big"), 4
            body, data = data[start : start + length], data[start + length :]
            if opcode == PING:
                self._transport.write(bytes([0x80 | PONG, 0x80 | length]) + b"\0\0\0\0" + body)
            elif body == b'{"type":"ping"}':
                self._send({"type": "pong"})
            elif b'"next"' in body and self._stage == "waiting":
                self._stage = "done"
                self._told("done")

    def connection_lost(self, exc: Exception | None) -> None:
        self._told("lost")

    def close(self) -> None:
        self._transport.close()

    def _send(self, message: object) -> None:
        body = json.dumps(message).encode()
        # A client's frames are masked (RFC 6455, section 5.3); a mask of zeros leaves them as they are.
        length = bytes([0x80 | len(body)]) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2, "big")
        self._transport.write(b"\x81" + length + b"\0\0\0\0" + body)


class Crowd:
    """Many waiters on one api node.

    Attributes:
        counts: how many are `waiting`, `done` and `lost`.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._address = parts.hostname, parts.port
        self._waiters: list[Waiter] = []
        self._changed = asyncio.Event()
        self.counts = {"waiting": 0, "done": 0, "lost": 0}

    def _tell(self, what: str) -> None:
        self.counts[what] += 1
        self._changed.set()

    async def gather(self, task_ids: list[str]) -> None:
        """Opens a socket for each task id, 64 at a time; returns when all have subscribed."""
        host, port = self._address
        gate = asyncio.Semaphore(64)
        loop = asyncio.get_running_loop()

        async def one(task_id: str) -> None:
            async with gate:
                _, waiter = await loop.create_connection(
                    lambda: Waiter(f"{host}:{port}", task_id, self._tell), host, port
                )
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
