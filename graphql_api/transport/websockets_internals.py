"""Every private or undocumented interface of websockets that we use, each with why, and how it would break.
`tests/graphql_api/transport/test_websockets_internals.py` shows that each still has its effect.

permessage-deflate (RFC 7692) normally keeps a window for each direction between messages: 40 KB for an idle socket. Here
each message is compressed by itself, and a small one is not compressed: most are small, and compressing them saves no
packet.

Written against websockets 17.4.

| interface | use | what happens if it changes |
|---|---|---|
| `ServerProtocol.available_extensions` | offers this extension in place of uvicorn's | uvicorn's is used: 40 KB more for each socket |
| `ServerPerMessageDeflateFactory.process_request_params` | makes our extension from what was negotiated | `PerMessageDeflate` is used: small messages are compressed too |
| `PerMessageDeflate.encode` and its five attributes | leaves small messages as they are | small messages are compressed too, or `AttributeError` at the handshake |
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.typing import ExtensionParameter

SMALL_BYTES: Final = 1_400
"""Messages that are shorter fit into one packet."""


def compress_large_messages(protocol: ServerProtocol) -> None:
    """Offers permessage-deflate of this kind, and no other extension, to the client of a connection."""
    protocol.available_extensions = [_DEFLATE]


class _Deflate(PerMessageDeflate):
    def encode(self, frame: Frame) -> Frame:
        # The first frame says whether its message is compressed, so a message in several frames is compressed whole.
        if frame.fin and frame.opcode is not Opcode.CONT and len(frame.data) < SMALL_BYTES:
            return frame
        return super().encode(frame)


class _DeflateFactory(ServerPerMessageDeflateFactory):
    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        response, agreed = super().process_request_params(params, accepted_extensions)
        return response, _Deflate(
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
