"""Every private or undocumented interface of uvicorn that we use, each with why, and how it would break.
`tests/graphql_api/transport/test_uvicorn_internals.py` shows that each still has its effect.

uvicorn has no public interface for what happens to the bytes of a connection. Its protocols are subclassed here so that
what arrives is bounded in size and time before anything reads it, slow readers are bounded and ended, an idle WebSocket
takes 9 KB less, and a request with an offer to upgrade keeps its body. `connection_made`, `connection_lost`, `data_received`, `pause_writing` and `resume_writing` are public:
asyncio calls them.

Written against uvicorn 0.54.

| interface | use | what happens if it changes |
|---|---|---|
| `config.app` | finds the node's `AddressLimits` and its audit log | `AttributeError` at the first connection |
| `queue`, `writable` of `WebSocketsSansIOProtocol` | replaced by slimmer ones | uvicorn uses its own: 4 KB more for each socket, and slow readers are not noticed. If it calls methods that ours lack: `AttributeError` at the first message. |
| `conn` | offers our compression (`websockets_internals`) | `AttributeError` at the handshake |
| `startup`, `shutdown`, `server_state`, `lifespan.state`, `should_exit` of `Server` | serve connections that another process has accepted | `AttributeError` at the start, or the process listens by itself |
| `start_keepalive`, `request`, `response`, `server`, `client` | drop what the handshake leaves when it is done | 5 KB more for each socket, or `AttributeError` at the handshake |
| `run_asgi`, `scope`, `app` | give the application its `Connection`; serve the socket after the application has returned | `KeyError` at the handshake |
| `frames`, `close_timeout`, `handle_ping`, `send_receive_event_to_app`, `handle_parser_exception`, `read_paused`, `receive`, `handshake_initiated` | bound what arrives: messages before the acknowledgement, unfinished ones, small frames in large number | such messages are bounded by `ws_max_size` only, or `AttributeError` at the first message |
| `send`, `transport` | bound what waits for a slow reader | a slow reader holds memory until `SlowReader` ends the connection |
| `close_sent`, `disconnected`, `writable`, `conn` | messages that can be sent at once are written without ASGI | `AttributeError` at the first message |
| `on_message_begin`, `on_headers_complete`, `on_body`, `on_message_complete`, `on_response_complete`, `cycle`, `flow`, `pipeline` of `HttpToolsProtocol` | bound heads, bodies and their times | they are not bounded, or `AttributeError` at the first request |
| `parser`, `url`, `headers`, `_get_upgrade`, `_should_upgrade`, `handle_websocket_upgrade`, `_unset_keepalive_if_required` | ignore offers to upgrade to anything but WebSocket | such requests lose their bodies, or `AttributeError` at the first request |
"""  # noqa: E501 - a table

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from cluster.errors import TooManyConnections
from cluster.observability import metrics
from cluster.store.actor import Actor
from graphql_api.processes.member import Member
from graphql_api.transport.address_limits import AddressLimits, UnfinishedMessage
from graphql_api.transport.arrival import (
    BODY_BYTES_PER_SECOND,
    BODY_SECONDS,
    HEAD_BYTES,
    HEAD_SECONDS,
    LINGER_SECONDS,
    PIPELINE_LIMIT,
    ArrivalRefused,
    ArrivalTimer,
    check_head,
    head_too_large,
)
from graphql_api.transport.client_transport import ClientTransport
from graphql_api.transport.slim_asyncio import SlimEvent, SlimQueue
from graphql_api.transport.slow_reader import SOCKET_BUFFER_FACTOR, SlowReader, abort, bound_stalled_writes
from graphql_api.transport.websockets_internals import (
    FIRST_MESSAGE_BYTES,
    allow_large_messages,
    compress_large_messages,
    text_frame,
    unread_bytes,
)

logger = logging.getLogger(__name__)

INVALID: Final = "this is not an HTTP request"
PROXY_SILENT_SECONDS: Final = 75.0
"""How long a connection of a trusted proxy may be open before its first request: proxies may connect in advance."""
BEFORE_ACK_BYTES: Final = 32 * 1024
"""What a WebSocket may send in all before it is acknowledged, and thereby authenticated."""
CLOSE_HANDSHAKE_SECONDS: Final = 2.0
"""How long a client may take to respond to a close frame."""
SLICE_BYTES: Final = 8 * 1024
"""WebSocket data is parsed in slices of this size: a thousand of the smallest frames, some milliseconds."""
MESSAGE_TOO_BIG: Final = 1009
POLICY_VIOLATION: Final = 1008
TRY_AGAIN_LATER: Final = 1013
UPGRADE_HEADERS: Final = frozenset({b"upgrade", b"http2-settings"})
"""Headers of an offer to upgrade."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket's connection; the application finds it in its scope as `dask_graphql.connection`."""

    unsent_bytes = 0
    """Size of the messages that wait for the transport."""
    slow_reader: SlowReader | None = None
    address: str | None = None
    """The address that this connection is counted against."""
    acknowledged = False
    _before_ack = 0
    _rest = b""
    """What was received and not parsed yet."""
    _messages = 0
    _unfinished: UnfinishedMessage | None = None
    serve: Callable[[], Awaitable[None]] | None = None
    """Serves the accepted socket, once the application that accepted it has returned."""
    _host = ""
    """The address that `_unfinished` is counted against, once it is known."""
    _timer: ArrivalTimer | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queue = cast(Any, SlimQueue())
        self.writable = cast(Any, SlimEvent())
        self.writable.set()
        self.close_timeout = CLOSE_HANDSHAKE_SECONDS
        self.app = cast(Any, self._handshake_then_serve)
        compress_large_messages(self.conn)

    # What the application uses ----------------------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """Whether the client reads too slowly for anything more to be sent now."""
        return not self.writable.is_set()

    def send_texts(self, *texts: bytes) -> bool:
        """Sends messages now. Returns False, and sends nothing, if the client reads too slowly, or the connection is
        closing: `send` waits then, or raises."""
        conn = self.conn
        if not self.writable.is_set() or self.close_sent or self.disconnected or conn.state is not State.OPEN:
            return False
        self.transport.write(b"".join([text_frame(conn, text) for text in texts]))
        return True

    def abort(self, reason: str) -> None:
        """Ends the connection at once, without sending what its client has not read."""
        abort(self.transport, f"a WebSocket {reason}")

    def acknowledge(self) -> None:
        """Accepts messages of any size that `ws_max_size` allows: the client is authenticated."""
        self.acknowledged = True
        allow_large_messages(self.conn)
        # Nothing reads these any more, two kilobytes for as long as the socket is open.
        self._host = self._client_host()
        self.scope = cast(Any, {})
        self.server = self.client = None
        # A copy has no room for the attributes that were deleted, nor for others to come.
        self.__dict__ = dict(self.__dict__)

    # What uvicorn and asyncio call ------------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        if self.slow_reader:
            self.slow_reader.resume()
        if self._timer:
            self._timer.stop()
        if self._unfinished:
            self._unfinished.release()
        if self.address is not None:
            address_limits(self).disconnect(self.address)
        self._rest = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.acknowledged:
            self._before_ack += len(data)
            if self._before_ack > BEFORE_ACK_BYTES:
                self.fail(MESSAGE_TOO_BIG, f"at most {BEFORE_ACK_BYTES} bytes before the connection is acknowledged")
                self.transport.close()
                return
        if self._rest:
            self._rest += data
            self.transport.pause_reading()
        elif len(data) > SLICE_BYTES and self.handshake_initiated:
            self._rest = data
            self._parse_slice()
        else:
            self._parse(data)

    def _parse_slice(self) -> None:
        """Parses a slice of what was received, and gives way to other connections before the next one. The slice waits
        while the application has a message to handle: `receive` continues then."""
        part, self._rest = self._rest[:SLICE_BYTES], self._rest[SLICE_BYTES:]
        self._parse(part)
        if self.close_sent or self.transport.is_closing():
            self._rest = b""
        elif self._rest:
            self.transport.pause_reading()
            if not self.read_paused:
                self.loop.call_soon(self._parse_slice)
        elif not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> Any:
        # As uvicorn's, in one coroutine less.
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()
        if self._rest and not self.read_paused:
            self.transport.pause_reading()
            self.loop.call_soon(self._parse_slice)
        return message

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        held = unread_bytes(self.conn) + sum(map(len, self.frames))
        if held or self._unfinished:
            self._bound_unfinished(held)

    def _bound_unfinished(self, held: int) -> None:
        """Counts the `held` bytes of an unfinished message, and bounds the time that it may take."""
        if self.close_sent or self.transport.is_closing():
            held = 0
        if self._unfinished is None:
            self._host = self._host or self._client_host()
            self._unfinished = UnfinishedMessage(address_limits(self), self._host)
        self._timer = self._timer or ArrivalTimer(self._message_is_late)
        self._timer.watch(self._messages if held else None, BODY_SECONDS)
        if held > FIRST_MESSAGE_BYTES and not self.acknowledged:
            self._fail_large_first_message()
        elif not self._unfinished.grow_to(held):
            reason = "too many unfinished messages come from this address"
            audit_refused_connection(self, self._host, reason)
            self.fail(TRY_AGAIN_LATER, reason)
        elif not held:
            self._unfinished = self._timer = None

    def _client_host(self) -> str:
        client = self.scope.get("client") if self.handshake_initiated else self.client
        return client[0] if client else "unknown"

    def _message_is_late(self) -> None:
        if self.read_paused or self._rest:
            # The client waits for us.
            self._bound_unfinished(unread_bytes(self.conn) + sum(map(len, self.frames)))
        else:
            self.fail(POLICY_VIOLATION, f"a message took more than {BODY_SECONDS:g} s")

    def send_receive_event_to_app(self) -> None:
        self._messages += 1
        if not self.acknowledged and not self.close_sent and sum(map(len, self.frames)) > FIRST_MESSAGE_BYTES:
            self._fail_large_first_message()
        else:
            super().send_receive_event_to_app()

    def _fail_large_first_message(self) -> None:
        self.fail(
            MESSAGE_TOO_BIG, f"a message is at most {FIRST_MESSAGE_BYTES} bytes before the connection is acknowledged"
        )

    def fail(self, code: int, reason: str) -> None:
        """Closes the connection without waiting for the client's close frame."""
        self._rest = b""
        if self.close_sent or self.transport.is_closing():
            return
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()
        if self._unfinished:
            self._unfinished.release()

    def handle_ping(self) -> None:
        if self.blocked:
            # A client that reads nothing would have a pong for every ping wait here (RFC 6455, section 5.5.3, allows
            # to respond to the last one only).
            self.conn.data_to_send()
        else:
            super().handle_ping()

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
        # The handshake is done and nothing reads them any more, but the library's parser keeps the request.
        self.request.headers.clear()
        del self.request, self.response

    def run_asgi(self) -> Coroutine[Any, Any, None]:
        self.scope["dask_graphql.connection"] = self  # type: ignore[typeddict-unknown-key]
        return super().run_asgi()

    async def _handshake_then_serve(self, scope: Any, receive: Any, send: Any) -> None:
        """Lets the application accept or refuse the socket, then serves it without the coroutines of the middleware,
        which would take two kilobytes for as long as it is open."""
        self.app = self.config.loaded_app
        await cast(Any, self.app)(scope, receive, send)
        del scope, receive, send
        if self.serve is not None:
            serve, self.serve = self.serve, None
            await serve()

    async def send(self, message: Any) -> None:
        if self.blocked:
            await self._wait_until_writable(len(message.get("text") or message.get("bytes") or ""))
        await super().send(message)

    async def _wait_until_writable(self, size: int) -> None:
        """Waits with a message of `size` bytes; aborts the connection if too much waits already."""
        self.unsent_bytes += size
        try:
            settings = cast(Any, self.config.app).state.node.settings
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
    address: str | None = None
    """The address that this connection is counted against; None once a WebSocket has taken over."""
    _arriving = ""
    """The part of a request that has begun to arrive: "head", "body", or none."""
    _requests = 0
    _unparsed = 0
    """Bytes received since the parser last completed a head, a piece of a body or a request: all that it may keep."""
    _body_bytes = 0
    """What has arrived of a body since its time was last looked at."""
    _refusal: ArrivalRefused | None = None
    _refused = False

    # The connection ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        bound_stalled_writes(transport)
        # A WebSocket inherits this transport.
        client = ClientTransport(cast(asyncio.Transport, transport), "connection")
        super().connection_made(cast(asyncio.Transport, client))
        self._timer = ArrivalTimer(self._is_late)
        limits, host = address_limits(self), self.client[0] if self.client else "unknown"
        if limits.connect(host):
            self.address = host
            self._timer.watch("first request", PROXY_SILENT_SECONDS if limits.is_proxy(host) else HEAD_SECONDS)
            return
        metrics.REFUSED_CONNECTIONS.inc()
        self._refused = True
        refused = ArrivalRefused(429, "too many connections of this address are open")
        audit_refused_connection(self, host, refused.message)
        self.transport.write(refused.response())
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.slow_reader:
            self.slow_reader.resume()
        self._timer.stop()
        if self.address is not None:
            address_limits(self).disconnect(self.address)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.slow_reader = self.slow_reader or SlowReader(self.transport, "an HTTP connection")
        self.slow_reader.pause()

    def resume_writing(self) -> None:
        if self.slow_reader:
            self.slow_reader.resume()
        super().resume_writing()

    # What arrives -----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._unparsed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._get_upgrade() == b"websocket":
                self._upgrade()
                return
            self._parse_again(rest)
        except httptools.HttpParserError:
            self._refuse(self._refusal or ArrivalRefused(400, INVALID))
            return
        if self._unparsed > HEAD_BYTES:
            self._refuse(head_too_large())
        elif not self._refused:
            self._watch()

    def _watch(self) -> None:
        """Bounds the time that the rest of what has begun to arrive may take."""
        responding = self.cycle is not None and not self.cycle.response_complete
        if self._arriving == "body" and responding:
            self._timer.watch((self._requests, "body"), BODY_SECONDS)
        elif self._arriving or not responding:
            # A head, a body that nobody reads, or empty lines between requests.
            self._timer.watch((self._requests, self._arriving, "unread"), HEAD_SECONDS)
        else:
            self._timer.watch(None, 0)

    def _is_late(self) -> None:
        """What is watched did not arrive in time."""
        enough = self._body_bytes >= BODY_SECONDS * BODY_BYTES_PER_SECOND and not self.cycle.response_complete
        self._body_bytes = 0
        if self._arriving and (self.flow.read_paused or enough):
            # The client waits for us, or sends fast enough.
            self._watch()
        elif self._requests and self._arriving:
            self._refuse(ArrivalRefused(408, f"the {self._arriving} of the request did not arrive in time"))
        else:
            self.transport.close()

    def _refuse(self, refused: ArrivalRefused) -> None:
        """Responds, unless a response is under way, and closes the connection."""
        self._refused = True
        self._timer.stop()
        metrics.REFUSED_REQUESTS.labels(str(refused.status)).inc()
        if refused.status == HTTPStatus.TOO_MANY_REQUESTS:
            audit_refused_connection(self, self.client[0] if self.client else "unknown", refused.message)
        logger.debug("refused a request of %s: %s", self.address, refused)
        if self.cycle is not None and not self.cycle.response_complete:
            if self._arriving == "body" or self.pipeline:
                self.transport.close()
            else:
                # The response to an earlier request is under way.
                self.cycle.keep_alive = False
                self.flow.pause_reading()
        elif not self.transport.is_closing():
            self.transport.write(refused.response())
            self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)

    # What the parser calls --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._requests += 1
        self._arriving = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._arriving = "body"
        received_bytes = self._unparsed
        self._unparsed = self._body_bytes = 0
        try:
            check_head(self.url, self.headers, received_bytes)
            if len(self.pipeline) >= PIPELINE_LIMIT:
                raise ArrivalRefused(429, f"at most {PIPELINE_LIMIT} requests of a connection may wait")
        except ArrivalRefused as refused:
            # The parser ends with an error of its own.
            self._refusal = refused
            raise
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._arriving = ""
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._arriving == "body" and not self._refused:
            self._watch()

    # Offers to upgrade ------------------------------------------------------------------------------------------------

    def _upgrade(self) -> None:
        """Hands the connection to a WebSocket's protocol."""
        self._timer.stop()
        self.handle_websocket_upgrade()
        protocol = cast(Any, self.transport).get_protocol()
        if protocol.handshake_initiated:
            protocol.address, self.address = self.address, None
        else:
            # The library for WebSockets takes no line of more than 8 kB, and no more than 128 headers.
            cast(Any, self.transport).set_protocol(self)
            protocol.connections.discard(protocol)
            self._refuse(ArrivalRefused(400, "the handshake of the WebSocket is malformed, or too long"))

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


class MemberServer(uvicorn.Server):
    """A server that does not listen: it serves the connections that the parent hands to this process, and ends when the
    parent does."""

    def __init__(self, config: uvicorn.Config, member: Member) -> None:
        super().__init__(config)
        self._member = member

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        if self.started:
            self._member.receive(self._make_protocol, self._on_parent_lost)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._member.stop_receiving()
        await super().shutdown(sockets=[])

    def _make_protocol(self) -> asyncio.Protocol:
        make = cast(Any, self.config.http_protocol_class)
        return cast(
            asyncio.Protocol,
            make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state),
        )

    def _on_parent_lost(self) -> None:
        logger.warning("the parent of this process has ended; it ends too")
        self.should_exit = True


def audit_refused_connection(protocol: HttpProtocol | WebSocketProtocol, host: str, reason: str) -> None:
    """Counts the refusal of a connection, or of what it sends, because its address holds too much, and writes it to the
    audit log."""
    cast(Any, protocol.config.app).state.node.audit.refused(Actor(address=host), TooManyConnections(reason))


def address_limits(protocol: HttpProtocol | WebSocketProtocol) -> AddressLimits:
    """The limits of the node that serves a connection."""
    limits: AddressLimits = cast(Any, protocol.config.app).state.address_limits
    return limits
