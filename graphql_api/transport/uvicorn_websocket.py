"""The bytes of a WebSocket: uvicorn's protocol, corked, with a compression and parts that cost little while it is idle.

permessage-deflate (RFC 7692) keeps a window for each direction between messages: 40 KB for a socket that waits. Here a
message is packed by itself, and one that is small goes as it is: most are, and packing them saves no packet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.typing import ExtensionParameter

from graphql_api.backlog import SOCKET_BUFFER_FACTOR, SlowReader, end
from graphql_api.transport.write_coalescing import WriteCoalescer

SMALL: Final = 1_400
"""Bytes that fit into one packet."""


class SlimEvent:
    """An asyncio.Event without the queue that each of those keeps, half a kilobyte."""

    __slots__ = ("_open", "_waiting")

    def __init__(self) -> None:
        self._open = False
        self._waiting: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        return self._open

    def set(self) -> None:
        self._open = True
        waiting, self._waiting = self._waiting, None
        for future in waiting or ():
            if not future.done():
                future.set_result(None)

    def clear(self) -> None:
        self._open = False

    async def wait(self) -> bool:
        while not self._open:
            future = asyncio.get_running_loop().create_future()
            self._waiting = [*(self._waiting or ()), future]
            await future
        return True


class SlimQueue:
    """An asyncio.Queue for one reader, without the three queues inside that. It is short: uvicorn reads no more from a
    client while a message waits."""

    __slots__ = ("_come", "_items")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._come = SlimEvent()

    def empty(self) -> bool:
        return not self._items

    def put_nowait(self, item: Any) -> None:
        self._items.append(item)
        self._come.set()

    async def get(self) -> Any:
        while not self._items:
            self._come.clear()
            await self._come.wait()
        return self._items.pop(0)


class SocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket's connection."""

    waiting_bytes = 0
    """Of messages that wait for the transport to take them."""
    slow: SlowReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, WriteCoalescer(transport)))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.slow:
            self.slow.resume()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.slow = self.slow or SlowReader(self.transport, "a WebSocket")
        self.slow.pause()

    def resume_writing(self) -> None:
        if self.slow:
            self.slow.resume()
        super().resume_writing()

    def end(self, why: str) -> None:
        """Ends the connection at once, whatever its client has not read."""
        end(self.transport, f"a WebSocket {why}")

    async def run_asgi(self) -> None:
        self.scope["dask_graphql.end"] = self.end  # type: ignore[typeddict-unknown-key]
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        if not self.writable.is_set():
            await self._wait(len(message.get("text") or message.get("bytes") or ""))
        await super().send(message)

    async def _wait(self, size: int) -> None:
        """Waits for the transport, as one of those that wait for it."""
        self.waiting_bytes += size
        try:
            settings = cast(dict[str, Any], self.scope)["app"].state.node.settings
            limit = SOCKET_BUFFER_FACTOR * settings.socket_unsent_bytes
            if self.waiting_bytes > limit and self.waiting_bytes > size:
                self.end(f"for which messages of more than {limit} bytes wait")
            await self.writable.wait()
        finally:
            self.waiting_bytes -= size

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queue = cast(Any, SlimQueue())
        self.writable = cast(Any, SlimEvent())
        self.writable.set()
        self.conn.available_extensions = [_DEFLATE]

    def start_keepalive(self) -> None:
        super().start_keepalive()
        # The handshake is done: nobody reads what it said any more, in two copies of ten headers each.
        self.request.headers.clear()
        self.response.headers.clear()


class _Deflate(PerMessageDeflate):
    def encode(self, frame: Frame) -> Frame:
        # Whether a message is packed is told by its first frame, so one that comes in parts is packed as a whole.
        if frame.fin and frame.opcode is not Opcode.CONT and len(frame.data) < SMALL:
            return frame
        return super().encode(frame)


class _DeflateFactory(ServerPerMessageDeflateFactory):
    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        answer, agreed = super().process_request_params(params, accepted_extensions)
        return answer, _Deflate(
            agreed.remote_no_context_takeover,
            agreed.local_no_context_takeover,
            agreed.remote_max_window_bits,
            agreed.local_max_window_bits,
            agreed.compress_settings,
        )


_DEFLATE: Final = _DeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)
