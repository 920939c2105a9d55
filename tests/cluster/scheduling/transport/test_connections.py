"""Connections on asyncio's transports, with Dask's own at either end."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy
import pytest
from distributed import Security
from distributed.batched import BatchedSend
from distributed.comm import connect, listen, tcp
from distributed.comm.core import Comm, CommClosedError
from distributed.comm.registry import backends
from distributed.protocol import to_serialize

from cluster.scheduling.transport.backend import use_asyncio_transports
from cluster.scheduling.transport.comm import AsyncioComm
from cluster.scheduling.transport.prompt_send import PromptSend, use_prompt_streams
from cluster.scheduling.transport.protocol import MAX_UNREAD_BYTES
from cluster.system.event_loop import new_loop
from cluster.system.tls import make_certificates

PATIENCE = 10.0
HERE = {"tcp": "tcp://127.0.0.1:0", "tls": "tls://127.0.0.1:0"}


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Dask's own connections are back afterwards."""
    own, start = dict(backends), BatchedSend.start
    yield
    backends.update(own)
    BatchedSend.start = start


def use(ours: bool) -> None:
    if ours:
        use_asyncio_transports()
    else:
        backends.update(tcp=tcp.TCPBackend(), tls=tcp.TLSBackend())


@asynccontextmanager
async def connected(
    listening: bool = True, connecting: bool = True, security: Security | None = None
) -> AsyncIterator[tuple[Comm, Comm]]:
    """Both ends of a connection; each is ours or Dask's own."""
    accepted: asyncio.Future[Comm] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def on_connection(comm: Comm) -> None:
        accepted.set_result(comm)
        await ended.wait()

    use(listening)
    listener = await listen(
        HERE["tls" if security else "tcp"], on_connection, **security.get_listen_args("scheduler") if security else {}
    )
    use(connecting)
    try:
        client = await connect(listener.contact_address, **security.get_connection_args("client") if security else {})
        server = await accepted
        assert (isinstance(server, AsyncioComm), isinstance(client, AsyncioComm)) == (listening, connecting)
        yield server, client
        await client.close()
        await server.close()
    finally:
        ended.set()
        listener.stop()


ENDS = pytest.mark.parametrize(
    ("listening", "connecting"), [(True, True), (True, False), (False, True)], ids=["both", "server", "client"]
)


@pytest.fixture(scope="module")
def security(tmp_path_factory: pytest.TempPathFactory) -> Security:
    return certificates(tmp_path_factory.mktemp("tls"))


def certificates(folder: Path) -> Security:
    make_certificates(folder, days=1)
    files = {"tls_ca_file": str(folder / "ca.pem")}
    for role in ("scheduler", "client"):
        files |= {f"tls_{role}_cert": str(folder / "node.pem"), f"tls_{role}_key": str(folder / "node-key.pem")}
    return Security(require_encryption=True, **files)


async def check_messages(one: Comm, other: Comm) -> None:
    for length in (0, 10, 8_000, 200_000, 3_000_000):
        array = numpy.arange(length, dtype="u1")
        sent = {"op": "x", "array": to_serialize(array), "other": to_serialize(array[::2].copy()), "text": "y" * length}
        writing = asyncio.ensure_future(one.write(sent))
        received = await other.read()
        await writing
        assert (received["array"] == array).all()
        assert (received["other"] == array[::2]).all()
        assert received["text"] == "y" * length
        received["array"][:1] = 1  # arrays are writable
    for number in range(100):
        await one.write({"number": number})
    assert [(await other.read())["number"] for _ in range(100)] == list(range(100))


@ENDS
def test_either_end_understands_dask_s_own(listening: bool, connecting: bool) -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE), connected(listening, connecting) as (server, client):
            await check_messages(server, client)
            await check_messages(client, server)
            assert client.peer_address == server.local_address
            assert server.peer_address == client.local_address

    # Worker processes and schedulers run uvloop; the tests run asyncio's.
    for loop in (new_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(body())


@ENDS
async def test_either_end_understands_dask_s_own_with_tls(
    listening: bool, connecting: bool, security: Security
) -> None:
    async with asyncio.timeout(PATIENCE), connected(listening, connecting, security) as (server, client):
        await check_messages(server, client)
        await check_messages(client, server)
        assert server.extra_info["peercert"]


@ENDS
async def test_a_peer_with_a_certificate_of_another_authority_gets_no_message(
    listening: bool, connecting: bool, security: Security, tmp_path: Path
) -> None:
    served = []

    async def on_connection(comm: Comm) -> None:
        served.append(comm)

    use(listening)
    listener = await listen(HERE["tls"], on_connection, **security.get_listen_args("scheduler"))
    use(connecting)
    with pytest.raises(OSError):
        await connect(listener.contact_address, timeout=0.2, **certificates(tmp_path).get_connection_args("client"))
    listener.stop()
    assert not served


@ENDS
async def test_the_end_of_a_connection_ends_the_peer_s_read_after_what_was_sent(
    listening: bool, connecting: bool
) -> None:
    async with asyncio.timeout(PATIENCE), connected(listening, connecting) as (server, client):
        large = b"x" * 5_000_000
        await server.write({"large": large})
        closing = asyncio.ensure_future(server.close())
        assert (await client.read())["large"] == large
        await closing
        with pytest.raises(CommClosedError):
            await client.read()
        assert server.closed()
        assert client.closed()
        with pytest.raises(CommClosedError):
            await server.write({"too": "late"})


async def test_closing_ends_this_end_s_own_read() -> None:
    async with asyncio.timeout(PATIENCE), connected() as (server, client):
        reading = asyncio.ensure_future(client.read())
        await asyncio.sleep(0)
        client.abort()
        with pytest.raises(CommClosedError):
            await reading
        with pytest.raises(CommClosedError):
            await server.read()


async def test_what_nobody_reads_is_bounded() -> None:
    async with asyncio.timeout(PATIENCE), connected() as (server, client):
        count, length = 200, 100_000
        for _ in range(count):
            await server.write({"x": b"x" * length})
        unread = client._protocol
        while not unread._paused:
            await asyncio.sleep(0)
        assert unread._unread_bytes < MAX_UNREAD_BYTES + 2 * length
        for _ in range(count):
            assert len((await client.read())["x"]) == length


async def test_a_connection_that_nobody_holds_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(PATIENCE), connected() as (server, _):
        with caplog.at_level(logging.WARNING):
            lost = await connect(server.local_address)
            reading = lost._protocol
            del lost
            gc.collect()
            await reading.lost
        assert "nobody has closed" in caplog.text


async def test_a_stream_sends_what_came_in_one_turn_as_one_message() -> None:
    use_prompt_streams()
    async with asyncio.timeout(PATIENCE), connected() as (server, client):
        stream = BatchedSend(interval="1 hour")
        stream.send("before the start")
        stream.start(server)
        assert isinstance(stream, PromptSend)
        stream.send("one", "two")
        stream.send("three")
        assert await client.read() == ("before the start", "one", "two", "three")
        stream.send("four")
        assert await client.read() == ("four",)
        stream.send("the last")
        await stream.close()
        assert await client.read() == ("the last",)
        with pytest.raises(CommClosedError):
            stream.send("too late")


class Unserialisable:
    def __reduce__(self) -> str:
        raise RuntimeError("not to be sent")


async def test_a_stream_whose_message_cannot_be_sent_closes_the_connection() -> None:
    use_prompt_streams()
    async with asyncio.timeout(PATIENCE), connected() as (server, client):
        stream = BatchedSend(interval="1 hour")
        stream.start(server)
        stream.send({"value": to_serialize(Unserialisable())})
        stream.send("more")
        with pytest.raises(CommClosedError):
            await client.read()
        assert stream.closed()


async def test_a_stream_over_another_connection_is_dask_s_own() -> None:
    use_prompt_streams()
    async with asyncio.timeout(PATIENCE), connected(listening=False) as (server, client):
        stream = BatchedSend(interval="1 ms")
        stream.start(server)
        assert type(stream) is BatchedSend
        stream.send("one")
        assert await client.read() == ("one",)
        await stream.close()


@pytest.mark.parametrize("garbage", [b"\xff" * 8, (8).to_bytes(8, "little") + b"\xff" * 8], ids=["length", "frames"])
def test_what_is_no_message_closes_its_connection_alone(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE), connected() as (server, client):
            host, port = client.peer_address.removeprefix("tcp://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            await reader.read(8)
            writer.write(garbage)
            while await reader.read(1000):
                pass
            writer.close()
            await check_messages(server, client)

    for loop in (new_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(body())
