"""Clients that disappear at any moment leave nothing behind: neither tasks nor watches nor memory."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.system import System
from tests.thoroughness import THOROUGH

TIMES = 10_000 if THOROUGH else 3_000
AT_ONCE = 50
QUERY = 'subscription { a: taskResult(taskId: "%s") { state } }'
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("vanishing")
    async with System(
        folder,
        min_workers=0,
        max_workers=1,
        sockets_per_client=100_000,
        connections_per_address=100_000,
        legacy_websocket=True,
    ) as running:
        yield running


async def gauges(system: System) -> dict[str, int]:
    async with httpx.AsyncClient() as client:
        text = (await client.get(system.url.replace("graphql", "metrics"))).text
    return {
        name: int(value) for name, value in re.findall(r"^dask_graphql_(\w+_open|asyncio_tasks) (\d+)\.0$", text, re.M)
    }


def frame(text: str) -> bytes:
    """A masked text frame (RFC 6455, section 5.2)."""
    data = text.encode()
    length = struct.pack("!B", 0x80 | len(data)) if len(data) < 126 else struct.pack("!BH", 0x80 | 126, len(data))
    return b"\x81" + length + b"\0\0\0\0" + data


def words(protocol: str, host: str, chance: random.Random) -> list[bytes]:
    """The messages of a client, piece by piece."""
    task_id = f"{chance.getrandbits(128):032x}"
    payload = {"query": QUERY % task_id}
    if protocol == "sse":
        body = json.dumps(payload).encode()
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return [head.encode(), body]
    head = (
        f"GET /graphql HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    start = "start" if protocol == "graphql-ws" else "subscribe"
    messages = [{"type": "connection_init"}, {"type": start, "id": "1", "payload": payload}]
    end = {"type": "stop" if protocol == "graphql-ws" else "complete", "id": "1"}
    return [head.encode(), *(frame(json.dumps(message)) for message in (*messages, end))]


async def vanish(host: str, chance: random.Random) -> None:
    """Connects, sends some of its messages, perhaps waits for an answer, and resets the connection."""
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    try:
        said = words(chance.choice(["graphql-transport-ws", "graphql-ws", "sse"]), host, chance)
        for piece in said[: chance.randint(0, len(said))]:
            if chance.random() < 0.1:
                writer.write(piece[: chance.randint(1, len(piece))])
                break
            writer.write(piece)
            if chance.random() < 0.6:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await reader.read(4096)
        await writer.drain()
    except OSError:
        pass
    finally:
        # A linger of zero makes the kernel send a reset, as for a process that dies with unread data.
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()


async def many(host: str, count: int, seed: int) -> None:
    left = iter(range(count))

    async def one(number: int) -> None:
        chance = random.Random(seed * 1_000 + number)
        for _ in left:
            await vanish(host, chance)

    await asyncio.gather(*(one(number) for number in range(AT_ONCE)))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_thousands_of_clients_that_vanish_leave_nothing(alone: System) -> None:
    host = urlsplit(alone.url).netloc
    api = psutil.Process(alone.children["api0"].process.pid)
    # Creates what is created once, such as caches and pools.
    await many(host, TIMES // 5, 1)
    before = await settled(alone, {})
    memory = api.memory_info().rss
    await many(host, TIMES, 2)
    after = await settled(alone, before)
    print(f"before {before}, after {after}, memory {memory >> 20} -> {api.memory_info().rss >> 20} MB")
    assert after["subscriptions_open"] == after["watches_open"] == after["sockets_open"] == 0
    assert after["asyncio_tasks"] <= before["asyncio_tasks"] + 2
    # 10,000 leaked subscriptions would cost hundreds of megabytes.
    assert api.memory_info().rss - memory < 5_000_000 + 2_500 * TIMES
    assert (await alone.ask("{ taskTypes { name } }"))["taskTypes"]
    log = (alone.folder / "api0.log").read_text()
    assert "Traceback" not in log
    assert len(log) < 100_000


async def settled(system: System, wanted: dict[str, int]) -> dict[str, int]:
    """Waits until nothing is open and no more tasks run than before; returns the gauges."""
    found: dict[str, int] = {}
    for _ in range(150):
        found = await gauges(system)
        quiet = not any(found[f"{what}_open"] for what in ("subscriptions", "watches", "sockets"))
        if quiet and found["asyncio_tasks"] <= wanted.get("asyncio_tasks", 25):
            break
        await asyncio.sleep(0.1)
    return found
