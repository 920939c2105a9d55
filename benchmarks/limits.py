"""What this machine can do at most, beside our figures: bare sockets and bare Redis, in the same run.

    python -m benchmarks.limits PORT        the leanest server of HTTP in Python, on uvloop

No server in one process answers more requests, or sends one message to more sockets, than one that does nothing else.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

from benchmarks import load
from benchmarks.measures import crowd
from benchmarks.timing import per_second
from benchmarks.wire import HttpPool
from dask_graphql.dev_system import free_port

BODY: Final = b'{"query":"mutation($n: Int!) { submitFibonacci(n: $n) { taskId outcome } }","variables":{"n":90}}'
ANSWER: Final = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"data":{"n":1}}'
SET: Final = b"*3\r\n$3\r\nSET\r\n$11\r\nbench:limit\r\n$100\r\n" + b"x" * 100 + b"\r\n"
PIPELINED: Final = 64
"""Commands of one pipeline."""


def redis_per_second(port: int, count: int, depth: int) -> float:
    """Writes of 100 bytes over one connection, `depth` of them in a round trip, in writes per second."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.perf_counter()
        for _ in range(count // depth):
            connection.sendall(SET * depth)
            left = len(b"+OK\r\n") * depth
            while left:
                left -= len(connection.recv(left))
        return count / (time.perf_counter() - begun)


class _Answering(asyncio.Protocol):
    """Answers each request with the same bytes; requests come one at a time and whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)


@asynccontextmanager
async def server(*, in_c: bool) -> AsyncIterator[str]:
    """The bare server; yields its address."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.limits", str(port)]
    if in_c:
        folder = load.programs()
        assert folder
        command = [str(folder / "bare"), str(port)]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdin
    assert process.stdout
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.stdin.close()
        await process.wait()


async def answers_per_second(url: str, count: int, connections: int = 16) -> float:
    """The same HTTP request over several connections, in answers per second."""
    if load.programs():
        port = int(url.rstrip("/").rpartition(":")[2])
        spent = await load.run_tasks(port, count, in_flight=connections, request="POST /", body=BODY.decode())
        return spent.per_second
    http = HttpPool(url, connections)
    figure = await per_second(lambda _: http.post(BODY), range(count), connections)
    http.close()
    return figure


async def two_requests(url: str, count: int, in_flight: int) -> load.Spent:
    """Two HTTP requests for each task from the C client: what a task costs whose system costs nothing."""
    port = int(url.rstrip("/").rpartition(":")[2])
    return await load.run_tasks(
        port, count, in_flight=in_flight, request="POST /", body=BODY.decode(), id_after='{"', follow="GET /@"
    )


async def sends_per_second(url: str, sockets: int) -> float:
    """One prebuilt frame to each of many sockets, from the request for it to the last arrival, in frames per second."""
    http = HttpPool(url, 1)
    async with crowd("bare", url, sockets) as output:
        begun = time.perf_counter()
        await http.ask(b"GET", b"/fan")
        await output.readline()
        figure = sockets / (time.perf_counter() - begun)
    http.close()
    return figure


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
