"""Each private interface of uvicorn that we use has its effect: a test fails if a release renames one of them.

Bounds on what arrives are in test_arrival.py, slow readers in test_slow_readers.py, offers to upgrade in
test_odd_requests.py, orderly stops in test_graphql_transport_ws.py, compression in test_websockets_internals.py.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from cluster.settings import Settings
from graphql_api.transport.client_transport import ClientTransport
from graphql_api.transport.slim_asyncio import SlimEvent, SlimQueue
from graphql_api.transport.slow_reader import STALLED_SECONDS
from tests.api_node import api_node
from tests.sockets import dial, exchange, the_open_connection


async def test_an_idle_socket_keeps_none_of_what_uvicorn_would_keep(settings: Settings) -> None:
    async with api_node(settings) as url, dial(url, "graphql-transport-ws") as socket:
        await exchange(socket, ({"type": "connection_init"}, [{"type": "connection_ack"}]))
        protocol = the_open_connection()
        kept = vars(protocol)
        assert [name for name, value in kept.items() if isinstance(value, asyncio.Queue | asyncio.Event)] == []
        assert {type(kept["queue"]), type(kept["writable"])} == {SlimQueue, SlimEvent}
        assert isinstance(kept["transport"], ClientTransport)
        # The handshake, the application's scope, and a timer for pings of uvicorn's own.
        assert not {"request", "response"} & kept.keys()
        assert (kept["scope"], kept["server"], kept["client"], kept["ping_timer"]) == ({}, None, None, None)
        # No middleware: only what serves an open socket waits.
        waiting = [thing.__qualname__ for thing in gc.get_objects() if inspect.iscoroutine(thing)]
        assert not [name for name in waiting if name.endswith(("Middleware.__call__", "RequestGuard.__call__"))]
        # The windows of permessage-deflate.
        [extension] = protocol.conn.extensions
        assert not {"encoder", "decoder"} & vars(extension).keys()


async def test_a_connection_says_when_it_is_blocked_and_can_be_aborted(settings: Settings) -> None:
    async with api_node(settings) as url, dial(url, "graphql-transport-ws") as socket:
        protocol = the_open_connection()
        assert not protocol.blocked
        protocol.pause_writing()
        assert protocol.blocked
        protocol.resume_writing()
        assert not protocol.blocked
        protocol.abort("of a test")
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert socket.close_code == 1006


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
async def test_the_kernel_ends_connections_whose_clients_take_nothing(settings: Settings) -> None:
    async with api_node(settings) as url, dial(url, "graphql-transport-ws") as client:
        await exchange(client, ({"type": "connection_init"}, [{"type": "connection_ack"}]))
        served = the_open_connection().transport.get_extra_info("socket")
        milliseconds = served.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert milliseconds == STALLED_SECONDS * 1_000


async def test_an_idle_connection_is_kept_for_as_long_as_the_settings_say(settings: Settings) -> None:
    async with api_node(replace(settings, keep_alive_seconds=1)) as url:
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        answered = asyncio.get_running_loop().time()
        async with asyncio.timeout(10):
            await reader.read()
        assert asyncio.get_running_loop().time() - answered > 0.9
        writer.close()
