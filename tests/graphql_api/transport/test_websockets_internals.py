"""Large messages are compressed one by one, small ones are not; nothing is kept between them."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from websockets.protocol import State
from websockets.server import ServerProtocol

from cluster.settings import Settings
from graphql_api.transport.websockets_internals import SMALL_BYTES, text_frame
from tests.api_node import api_node

INTROSPECTION = "{ __schema { types { name description } } }"


@dataclass
class Raw:
    """A WebSocket client that sees frames as they are (RFC 6455, section 5.2)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, message: object) -> None:
        data = json.dumps(message).encode()
        assert len(data) < 65_536
        self.writer.write(b"\x81\xfe" + struct.pack("!H", len(data)) + bytes(4) + data)
        await self.writer.drain()

    async def receive(self) -> tuple[bool, bytes]:
        """Whether the frame is compressed (its bit RSV1), and its payload."""
        first, length = await self.reader.readexactly(2)
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return bool(first & 0x40), await self.reader.readexactly(length)


async def test_each_large_message_is_compressed_by_itself_and_a_small_one_is_not(settings: Settings) -> None:
    async with api_node(settings) as url, asyncio.timeout(20):
        place = urlsplit(url)
        client = Raw(*await asyncio.open_connection(place.hostname, place.port))
        client.writer.write(
            f"GET /graphql HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )
        response = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
        # Neither side keeps a window between messages.
        for parameter in ("server_no_context_takeover", "client_no_context_takeover"):
            assert parameter in response
        await client.send({"type": "connection_init"})
        assert await client.receive() == (False, b'{"type":"connection_ack"}')
        for operation_id in ("1", "2"):
            await client.send({"type": "subscribe", "id": operation_id, "payload": {"query": INTROSPECTION}})
            compressed, data = await client.receive()
            assert compressed
            # A new decoder for each: the message does not refer to those before it.
            text = zlib.decompressobj(wbits=-12).decompress(data + b"\0\0\xff\xff")
            assert len(text) > SMALL_BYTES
            assert json.loads(text)["payload"]["data"]["__schema"]["types"]
            assert (await client.receive())[0] is False
        client.writer.close()


@pytest.mark.parametrize("size", [0, 1, 125, 126, SMALL_BYTES - 1, SMALL_BYTES, 65_535, 65_536])
def test_a_frame_is_the_one_that_the_library_would_make(size: int) -> None:
    protocol = ServerProtocol(state=State.OPEN)
    text = b"x" * size
    protocol.send_text(text)
    made = b"".join(protocol.data_to_send())
    assert text_frame(protocol, text) == made
