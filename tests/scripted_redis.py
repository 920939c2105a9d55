"""A server that speaks enough of Redis's protocol to answer each command when a test says so, which Redis cannot."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Self

READ_AHEAD_BYTES = 16_384
"""What the server reads beyond the command that it executes, about as Redis does: the rest stays with the client."""


class ScriptedRedis:
    """Executes the commands of each connection in their order: replies `:1` to each once `execute` returns.

    Args:
        execute: called with each command's parts. The commands that open a connection are answered without it.
    """

    def __init__(self, execute: Callable[[list[bytes]], Awaitable[object]]) -> None:
        self._execute = execute
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0?protocol=2"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=READ_AHEAD_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                command = [await _bulk(reader) for _ in await _items(reader)]
                if command[0] in (b"CLIENT", b"SELECT"):
                    writer.write(b"+OK\r\n")
                elif command[0] == b"HELLO":
                    writer.write(b"*0\r\n")
                else:
                    await self._execute(command)
                    writer.write(b":1\r\n")
        writer.close()


async def _items(reader: asyncio.StreamReader) -> Iterable[int]:
    return range(int((await reader.readuntil(b"\r\n"))[1:]))


async def _bulk(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readuntil(b"\r\n"))[1:])
    return (await reader.readexactly(size + 2))[:-2]
