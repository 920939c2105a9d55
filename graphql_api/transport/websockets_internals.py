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
| `PerMessageDeflate.decode` | bounds what a message unpacks to | only `max_size` bounds it: 4 kB may become 4 MB |
| `Protocol.reader.buffer` | how much of an unfinished frame has arrived | `AttributeError` at the first message |
| `PerMessageDeflate.encode` and its five attributes | leaves small messages as they are | small messages are compressed too, or `AttributeError` at the handshake |
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import CTRL_OPCODES, Frame, Opcode
from websockets.server import ServerProtocol
from websockets.typing import ExtensionParameter

from graphql_api.transport.unpacking import unpacked_limit

FIRST_MESSAGE_BYTES: Final = 16 * 1024
"""Size of a message before the connection is acknowledged."""
SMALL_BYTES: Final = 1_400
"""Messages that are shorter fit into one packet."""


def compress_large_messages(protocol: ServerProtocol) -> None:
    """Offers permessage-deflate of this kind, and no other extension, to the client of a connection."""
    protocol.available_extensions = [_DEFLATE]


def allow_large_messages(protocol: ServerProtocol) -> None:
    """Lets messages unpack to more than FIRST_MESSAGE_BYTES."""
    for extension in protocol.extensions:
        if isinstance(extension, _Deflate):
            extension.first = False


def unread_bytes(protocol: ServerProtocol) -> int:
    """Size of the frame that has begun to arrive."""
    return len(protocol.reader.buffer)


def text_frame(protocol: ServerProtocol, text: bytes) -> bytes:
    """The frame of a text message (RFC 6455, section 5.2), on an open connection that is not closing.

    That of a short message, which is not compressed, is made here in a fraction of the time that the library takes.
    """
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    if size < SMALL_BYTES:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), text)
    protocol.send_text(text)
    return b"".join(protocol.data_to_send())


class _Deflate(PerMessageDeflate):
    first = True
    """Whether the client may be anybody: its connection is not acknowledged yet."""
    _packed = 0
    _unpacked = 0

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if frame.opcode in CTRL_OPCODES:
            return frame
        if frame.opcode is not Opcode.CONT:
            self._packed = self._unpacked = 0
        self._packed += len(frame.data)
        limit = FIRST_MESSAGE_BYTES if self.first else unpacked_limit(self._packed)
        # At least 1, as zlib takes 0 for no limit.
        left = max(1, min(limit - self._unpacked, limit if max_size is None else max_size))
        decoded = super().decode(frame, max_size=left)
        self._unpacked += len(decoded.data)
        return decoded

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
