"""Every private or undocumented interface of uvicorn that we use, each with why, and how it would break.
`tests/graphql_api/transport/test_uvicorn_internals.py` shows that each still has its effect.

uvicorn has no public interface for what happens to the bytes of a connection. Its protocols are subclassed here so that
slow readers are bounded and ended, an idle WebSocket takes 9 KB less, and a request with an offer to upgrade keeps its
body. `connection_made`, `connection_lost`, `data_received`, `pause_writing` and `resume_writing` are public:
asyncio calls them.

Written against uvicorn 0.54.

| interface | use | what happens if it changes |
|---|---|---|
| `queue`, `writable` of `WebSocketsSansIOProtocol` | replaced by slimmer ones | uvicorn uses its own: 4 KB more for each socket, and slow readers are not noticed. If it calls methods that ours lack: `AttributeError` at the first message. |
| `conn` | offers our compression (`websockets_internals`) | `AttributeError` at the handshake |
| `start_keepalive`, `request`, `response` | drop the headers of the handshake when it is done | 5 KB more for each socket, or `AttributeError` at the handshake |
| `run_asgi`, `scope` | give the application its `Connection` | `KeyError` at the handshake |
| `send`, `transport` | bound what waits for a slow reader | a slow reader holds memory until `SlowReader` ends the connection |
| `parser`, `url`, `headers`, `_get_upgrade`, `_should_upgrade`, `handle_websocket_upgrade`, `send_400_response`, `_unset_keepalive_if_required` of `HttpToolsProtocol` | ignore offers to upgrade to anything but WebSocket | such requests lose their bodies, or `AttributeError` at the first request |
"""  # noqa: E501 - a table

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from graphql_api.transport.bounded_close import BoundedCloseTransport
from graphql_api.transport.slim_asyncio import SlimEvent, SlimQueue
from graphql_api.transport.slow_reader import SOCKET_BUFFER_FACTOR, SlowReader, abort
from graphql_api.transport.websockets_internals import compress_large_messages

INVALID: Final = "Invalid HTTP request received."
"""uvicorn's message."""
UPGRADE_HEADERS: Final = frozenset({b"upgrade", b"http2-settings"})
"""Headers of an offer to upgrade."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket's connection; the application finds it in its scope as `dask_graphql.connection`."""

    unsent_bytes = 0
    """Size of the messages that wait for the transport."""
    slow_reader: SlowReader | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queue = cast(Any, SlimQueue())
        self.writable = cast(Any, SlimEvent())
        self.writable.set()
        compress_large_messages(self.conn)

    # What the application uses ----------------------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """Whether the client reads too slowly for anything more to be sent now."""
        return not self.writable.is_set()

    def abort(self, reason: str) -> None:
        """Ends the connection at once, without sending what its client has not read."""
        abort(self.transport, f"a WebSocket {reason}")

    # What uvicorn and asyncio call ------------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        if self.slow_reader:
            self.slow_reader.resume()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.slow_reader = self.slow_reader or SlowReader(self.transport, "a WebSocket")
        self.slow_reader.pause()

    def resume_writing(self) -> None:
        if self.slow_reader:
            self.slow_reader.resume()
        super().resume_writing()

    def start_keepalive(self) -> None:
        super().start_keepalive()
        # The handshake is done and nothing reads its headers any more, two copies of about ten each.
        self.request.headers.clear()
        self.response.headers.clear()

    async def run_asgi(self) -> None:
        self.scope["dask_graphql.connection"] = self  # type: ignore[typeddict-unknown-key]
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        if self.blocked:
            await self._wait_until_writable(len(message.get("text") or message.get("bytes") or ""))
        await super().send(message)

    async def _wait_until_writable(self, size: int) -> None:
        """Waits with a message of `size` bytes; aborts the connection if too much waits already."""
        self.unsent_bytes += size
        try:
            settings = cast(dict[str, Any], self.scope)["app"].state.node.settings
            limit = SOCKET_BUFFER_FACTOR * settings.socket_unsent_bytes
            if self.unsent_bytes > limit and self.unsent_bytes > size:
                self.abort(f"for which messages of more than {limit} bytes wait")
            await self.writable.wait()
        finally:
            self.unsent_bytes -= size


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection.

    A server may ignore an offer to upgrade (RFC 9110, section 7.8), and `Upgrade: h2c` comes with every request of
    `curl --http2` and of Java's HttpClient. But the parser stops after the headers of such a request, and uvicorn
    loses what follows: the body. Here such a request is parsed again without the offer.
    """

    slow_reader: SlowReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A WebSocket inherits this transport.
        bounded = BoundedCloseTransport(cast(asyncio.Transport, transport), "connection")
        super().connection_made(cast(asyncio.Transport, bounded))

    def pause_writing(self) -> None:
        super().pause_writing()
        self.slow_reader = self.slow_reader or SlowReader(self.transport, "an HTTP connection")
        self.slow_reader.pause()

    def resume_writing(self) -> None:
        if self.slow_reader:
            self.slow_reader.resume()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.slow_reader:
            self.slow_reader.resume()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._get_upgrade() == b"websocket":
                self.handle_websocket_upgrade()
            else:
                self._parse_again(rest)
        except httptools.HttpParserError:
            self.logger.warning(INVALID)
            self.send_400_response(INVALID)

    def _should_upgrade(self) -> bool:
        # uvicorn calls this where the parser has stopped, and begins no request if it is True. (The parser stops at
        # CONNECT too, which offers nothing.)
        return self.parser.get_method() != b"CONNECT"

    def _parse_again(self, rest: bytes) -> None:
        """Parses a request again without its offer to upgrade, then the bytes that followed its headers."""
        head = [b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = (option.strip() for option in value.split(b","))
                value = b", ".join(option for option in options if option.lower() not in UPGRADE_HEADERS)
            if name not in UPGRADE_HEADERS and (name != b"connection" or value):
                head.append(b"%s: %s\r\n" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"".join([*head, b"\r\n", rest]))
