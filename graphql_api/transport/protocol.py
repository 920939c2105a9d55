"""The bytes of a WebSocket: uvicorn's protocol, corked, with a compression that costs nothing while it is idle.

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

from graphql_api.transport.corked import Corked

SMALL: Final = 1_400
"""Bytes that fit into one packet."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket's connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, Corked(transport)))

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn.available_extensions = [_DEFLATE]


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
