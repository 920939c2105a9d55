"""A connection, as Dask's servers and clients use it."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from distributed.comm import tcp
from distributed.comm.core import Comm, CommClosedError
from distributed.comm.utils import from_frames, to_frames
from distributed.protocol import dumps
from distributed.utils import ensure_memoryview

from cluster.scheduling.transport.protocol import MessageProtocol

logger = logging.getLogger(__name__)


class AsyncioComm(Comm):  # type: ignore[misc]
    """Sends and receives messages.

    Args:
        local: the address of this end, with its scheme.
        peer: the address of the other end, with its scheme.
        deserialize: whether values inside of messages are deserialised; the scheduler passes them on as they are.
    """

    def __init__(self, protocol: MessageProtocol, local: str, peer: str, *, deserialize: bool) -> None:
        super().__init__(deserialize=deserialize)
        self._protocol = protocol
        # Dask reads these names.
        self._local_addr, self._peer_addr = local, peer
        # The event loop would keep a connection that nobody closes.
        self._finalizer = weakref.finalize(self, _close_dangling, protocol, f"{local} to {peer}")
        self._finalizer.atexit = False
        transport = protocol.transport
        self._extra: dict[str, Any] = {}
        if certificate := transport.get_extra_info("peercert"):
            self._extra = {"peercert": certificate, "cipher": transport.get_extra_info("cipher")}
        tcp.set_tcp_timeout(SimpleNamespace(closed=lambda: False, socket=transport.get_extra_info("socket")))

    @property
    def local_address(self) -> str:
        return self._local_addr

    @property
    def peer_address(self) -> str:
        return self._peer_addr

    @property
    def extra_info(self) -> dict[str, Any]:
        return self._extra

    def closed(self) -> bool:
        return self._protocol.closed

    async def read(self, deserializers: Any = None) -> Any:
        try:
            frames = await self._protocol.read()
        except asyncio.CancelledError:
            # As with Dask's own: after a read that was given up nobody reads again.
            self.abort()
            raise
        try:
            return await from_frames(
                frames, deserialize=self.deserialize, deserializers=deserializers, allow_offload=self.allow_offload
            )
        except EOFError:
            self.abort()
            raise CommClosedError("the connection is closed after a message that cannot be read") from None

    async def write(self, msg: Any, serializers: Any = None, on_error: str = "message") -> int:
        self._check_open()
        frames = await to_frames(
            msg,
            allow_offload=self.allow_offload,
            serializers=serializers,
            on_error=on_error,
            context=self._context(),
            frame_split_size=tcp.TCP.max_shard_size,
        )
        return self._write(frames)

    def write_now(self, messages: Sequence[Any], serializers: Any = None) -> None:
        """Writes a sequence of messages as one, in this turn of the event loop.

        Raises:
            CommClosedError: the connection is closed.
            Exception: they cannot be serialised.
        """
        self._check_open()
        self._write(
            dumps(
                messages, serializers=serializers, on_error="raise", context=self._context(),
                frame_split_size=tcp.TCP.max_shard_size,
            )
        )  # fmt: skip

    def _context(self) -> dict[str, Any]:
        return {"sender": self.local_info, "recipient": self.remote_info, **self.handshake_options}

    def _check_open(self) -> None:
        if self._protocol.closed:
            raise CommClosedError(f"the connection from {self._local_addr} to {self._peer_addr} is closed")

    def _write(self, frames: list[Any]) -> int:
        # As with Dask's own, nobody waits until the peer has read it.
        self._check_open()
        frames, _, length = tcp._add_frames_header(frames)
        for frame in frames:
            # `writelines` would join them.
            if len(frame):
                self._protocol.transport.write(frame if type(frame) is bytes else ensure_memoryview(frame))
        return int(length)

    async def close(self) -> None:
        self._finalizer.detach()
        if not self._protocol.closed:
            unsent = self._protocol.transport.get_write_buffer_size()
            self._protocol.close(flush=True)
            if unsent:
                await asyncio.shield(self._protocol.lost)

    def abort(self) -> None:
        self._finalizer.detach()
        self._protocol.close(flush=False)


def _close_dangling(protocol: MessageProtocol, name: str) -> None:
    """Runs in whatever thread collects garbage."""
    if not protocol.closed:
        logger.warning("closing a connection that nobody has closed: %s", name)
        with suppress(RuntimeError):  # the event loop is closed
            protocol.loop.call_soon_threadsafe(lambda: protocol.close(flush=False))
