"""An api node to attack: a process of its own, whose memory and pauses are measured, and all of whose times may be
shortened.

    python -m tests.attack.node SPEED      serves with times that are SPEED times shorter; settings as for every node
    python -m tests.attack.node probe URL  prints the longest response time of /healthz for each line on its stdin
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import uvicorn

from cluster.settings import Settings, load_settings
from dask_graphql.dev_system import free_port
from graphql_api import serve
from graphql_api.app import create_app
from graphql_api.transport import (
    client_transport,
    graphql_transport_ws,
    slow_reader,
    uvicorn_internals,
    websocket_session,
)
from tests.places import ROOT
from tests.system import RedisServer

TIMES: tuple[tuple[Any, str], ...] = (
    (client_transport, "CLOSE_SECONDS"),
    (slow_reader, "SETTLE_SECONDS"),
    (slow_reader, "SLOW_SECONDS"),
    (slow_reader, "STALLED_SECONDS"),
    (uvicorn_internals, "BODY_SECONDS"),
    (uvicorn_internals, "CLOSE_HANDSHAKE_SECONDS"),
    (uvicorn_internals, "HEAD_SECONDS"),
    (uvicorn_internals, "PROXY_SILENT_SECONDS"),
    (websocket_session, "INIT_SECONDS"),
    (graphql_transport_ws.GraphQLTransportWsSession, "keep_alive_seconds"),
)


@dataclass
class Cost:
    """What happened between `Node.measure` and its end."""

    memory_before: int
    memory_most: int = 0
    memory_after: int = 0
    cpu_seconds: float = 0.0
    pause_seconds: float = 0.0

    @property
    def growth(self) -> int:
        return self.memory_most - self.memory_before


class Node:
    """A running node, with the processes that measure it.

    Args:
        speed: how many times shorter all its times are.
    """

    def __init__(self, settings: Settings, speed: float) -> None:
        self.settings = replace(settings, port=free_port())
        self.speed = speed
        self.host, self.port = self.settings.host, self.settings.port
        self.url = f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        environment = self.settings.environment() | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.attack.node"]
        self._api = subprocess.Popen([*command, str(self.speed)], env=environment, stdout=subprocess.DEVNULL)
        async with httpx.AsyncClient() as client, asyncio.timeout(60):
            while not await _responds(client, f"{self.url}/readyz"):
                assert self._api.poll() is None, "the node did not start"
                await asyncio.sleep(0.05)
        self._probe = subprocess.Popen(
            [*command, "probe", self.url], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._process = psutil.Process(self._api.pid)
        await self.longest_pause()
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in (self._probe, self._api):
            process.terminate()
            process.communicate()

    @property
    def memory(self) -> int:
        return int(self._process.memory_info().rss)

    @asynccontextmanager
    async def measure(self) -> AsyncIterator[Cost]:
        cost = Cost(memory_before=self.memory)
        before = sum(self._process.cpu_times()[:2])
        await self.longest_pause()
        watching = asyncio.ensure_future(self._watch_memory(cost))
        try:
            yield cost
        finally:
            # It may still be busy with what was sent.
            async with httpx.AsyncClient(timeout=60) as client:
                while not await _responds(client, f"{self.url}/healthz"):
                    pass
            watching.cancel()
            cost.pause_seconds = await self.longest_pause()
            cost.memory_after = self.memory
            cost.memory_most = max(cost.memory_most, cost.memory_after)
            cost.cpu_seconds = sum(self._process.cpu_times()[:2]) - before

    async def longest_pause(self) -> float:
        """The longest response time of /healthz since the last call, in seconds."""

        def ask() -> str:
            assert self._probe.stdin
            assert self._probe.stdout
            self._probe.stdin.write("\n")
            self._probe.stdin.flush()
            return self._probe.stdout.readline()

        return float(await asyncio.to_thread(ask))

    async def _watch_memory(self, cost: Cost) -> None:
        while True:
            cost.memory_most = max(cost.memory_most, self.memory)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def attacked_node(redis: RedisServer, folder: Path, speed: float, **changes: Any) -> AsyncIterator[Node]:
    """A node without credentials and trusted proxies, the most open one that may face anybody."""
    settings = load_settings(
        {}, redis_url=redis.url, key_prefix="attack", data_dir=folder, legacy_websocket=True, log_level="ERROR",
        trusted_proxies="", **changes,
    )  # fmt: skip
    async with Node(settings, speed) as node:
        yield node


async def _responds(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False


def serve_node(speed: float) -> None:
    for module, name in TIMES:
        if hasattr(module, name):
            setattr(module, name, getattr(module, name) / speed)
    settings = load_settings()
    options = serve.server_options(settings, create_app(settings))
    uvicorn.run(**options | {"timeout_keep_alive": settings.keep_alive_seconds / speed})


def probe(url: str) -> None:
    longest = 0.0
    began: float | None = None

    def look() -> None:
        nonlocal longest, began
        with httpx.Client(timeout=60) as client:
            while True:
                began = time.monotonic()
                try:
                    client.get(f"{url}/healthz")
                except httpx.TransportError:
                    continue
                longest = max(longest, time.monotonic() - began)
                time.sleep(0.01)

    threading.Thread(target=look, daemon=True).start()
    for _ in sys.stdin:
        # A response that is still awaited counts too.
        found, longest = max(longest, time.monotonic() - (began or time.monotonic())), 0.0
        print(found, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        probe(sys.argv[2])
    else:
        serve_node(float(sys.argv[1]))
