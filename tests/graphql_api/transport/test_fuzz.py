"""Whatever is sent, no response is an internal error or shows a stack, and the node survives.

Valid and nearly valid operations are made from the schema (operations.py); the rest is noise: bytes, JSON, frames.
`make fuzz SECONDS=600` runs the same for as long as you like.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psutil
import pytest
from graphql import build_schema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cluster.task_types.registry import load_registry
from graphql_api.schema.builder import make_schema
from tests.operations import operation
from tests.system import TASKS, System

SECONDS = float(os.environ.get("FUZZ_SECONDS", "6"))
"""Duration of each test; longer if there are fewer than LEAST responses by then."""
LEAST = 150
SCHEMA = build_schema(make_schema(load_registry([TASKS])).as_str())
LEAKS = re.compile(r"Traceback|File \"|/site-packages/|0x[0-9a-f]{8}|127\.0\.0\.1|INTERNAL")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
TEXTS = st.text(max_size=40) | st.sampled_from(["{", "query", "{ cluster { waiting } }", "subscription { taskResult }"])
PAYLOADS = JSON | st.fixed_dictionaries(
    {"query": TEXTS | JSON}, optional={"variables": JSON, "operationName": JSON, "extensions": JSON, "documentId": JSON}
)
KINDS = st.sampled_from(
    [
        "connection_init",
        "subscribe",
        "start",
        "stop",
        "complete",
        "ping",
        "pong",
        "next",
        "error",
        "connection_terminate",
    ]
)
MESSAGES = st.fixed_dictionaries(
    {"type": KINDS | JSON}, optional={"id": st.sampled_from(["1", "2"]) | JSON, "payload": PAYLOADS}
)
FRAMES = st.lists(
    MESSAGES.map(lambda message: json.dumps(message)) | st.text(max_size=30) | st.binary(max_size=30), max_size=6
)
SETTINGS = settings(
    max_examples=100,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
async def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system without workers: accepted tasks stay in the queue, whose limit is tested too."""
    folder = tmp_path_factory.mktemp("fuzzed")
    async with System(
        folder,
        min_workers=0,
        max_workers=1,
        queue_limit=200,
        sockets_per_client=10_000,
        connections_per_address=10_000,
        legacy_websocket=True,
    ) as running:
        yield running


class Tally:
    """Counts responses until the time is over."""

    def __init__(self) -> None:
        self.until = time.monotonic() + SECONDS
        self.answers: Counter[str] = Counter()

    @property
    def over(self) -> bool:
        return time.monotonic() > self.until and sum(self.answers.values()) >= LEAST

    def check(self, answer: httpx.Response, sent: object) -> None:
        assert answer.status_code < 500 or "SERVICE_UNAVAILABLE" in answer.text, (answer.status_code, answer.text, sent)
        body = answer.json()
        assert isinstance(body, dict), (body, sent)
        for error in body.get("errors", ()):
            assert error["extensions"]["code"], (error, sent)
            # What the client sent may be shown to it again; nothing of ours may.
            assert error["extensions"]["code"] != "INTERNAL", (error, sent)
            shown = LEAKS.search(error["message"])
            assert shown is None or shown.group() in str(sent), (error, sent)
            self.answers[error["extensions"]["code"]] += 1
        if "errors" not in body:
            self.answers["ok"] += 1


async def check_node(system: System, tally: Tally, memory: int) -> None:
    assert (await system.ask("{ taskTypes { name } }"))["taskTypes"]
    api = psutil.Process(system.children["api0"].process.pid)
    print(f"{sum(tally.answers.values())} answers: {dict(tally.answers.most_common())}")
    assert api.memory_info().rss - memory < 100_000_000
    assert sum(tally.answers.values()) >= LEAST
    assert "Traceback" not in (system.folder / "api0.log").read_text()


def resident(system: System) -> int:
    return int(psutil.Process(system.children["api0"].process.pid).memory_info().rss)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
async def test_operations_of_the_schema_never_end_in_an_internal_error(fuzzed: System) -> None:
    tally, memory = Tally(), await asyncio.to_thread(resident, fuzzed)
    with httpx.Client(timeout=30) as client:

        @SETTINGS
        @given(seed=st.integers(0, 2**64), cut=st.integers(0, 400))
        def send(seed: int, cut: int) -> None:
            if tally.over:
                return
            query = operation(SCHEMA, random.Random(seed))
            for text in (query, query[:cut] + query[cut + 1 :]):
                tally.check(client.post(fuzzed.url, json={"query": text}), text)

        until_over(send, tally)
    await check_node(fuzzed, tally, memory)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
async def test_noise_over_http_is_refused_well_formed(fuzzed: System) -> None:
    tally, memory = Tally(), await asyncio.to_thread(resident, fuzzed)
    types = st.sampled_from(["application/json", "text/plain", "application/graphql", "", "multipart/form-data"])
    accepts = st.sampled_from(["application/json", "application/graphql-response+json", "*/*", "text/html"])
    codings = st.sampled_from(["", "identity", "gzip", "deflate", "br"])
    with httpx.Client(timeout=30) as client:

        @SETTINGS
        @given(
            body=st.binary(max_size=200) | PAYLOADS.map(lambda value: json.dumps(value).encode()),
            kind=types, accept=accepts, coding=codings, token=st.text(st.characters(codec="ascii"), max_size=20),
        )  # fmt: skip
        def send(body: bytes, kind: str, accept: str, coding: str, token: str) -> None:
            if tally.over:
                return
            shown = {"Content-Type": kind, "Accept": accept, "Content-Encoding": coding, "X-API-Key": token.strip()}
            headers = {name: value for name, value in shown.items() if value.isprintable() and value}
            tally.check(client.post(fuzzed.url, content=body, headers=headers), (body, headers))
            if kind == "application/json" and not coding:
                headers["Accept"] = "application/json"
                query = body.decode("latin-1")
                tally.check(client.get(fuzzed.url, params={"query": query, "variables": query}, headers=headers), query)

        until_over(send, tally)
    await check_node(fuzzed, tally, memory)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("protocol", ["graphql-transport-ws", "graphql-ws"])
async def test_noise_on_a_socket_closes_it_and_nothing_else(fuzzed: System, protocol: str) -> None:
    tally, memory = Tally(), await asyncio.to_thread(resident, fuzzed)

    @SETTINGS
    @given(frames=FRAMES, greet=st.booleans())
    def send(frames: list[Any], greet: bool) -> None:
        if not tally.over:
            talk(fuzzed.url, protocol, frames, greet, tally)

    until_over(send, tally)
    await check_node(fuzzed, tally, memory)


def until_over(send: Any, tally: Tally) -> None:
    """Blocks this thread: hypothesis wants the random module for itself while it generates."""
    while not tally.over:
        send()


def talk(url: str, protocol: str, frames: list[Any], greet: bool, tally: Tally) -> None:
    address = url.replace("http", "ws", 1)
    with connect(address, subprotocols=[protocol], ping_interval=None) as socket:  # type: ignore[list-item]
        try:
            if greet:
                socket.send('{"type": "connection_init"}')
            for frame in frames:
                socket.send(frame)
            # An answer to this comes after those to all before, unless the socket was closed for one of them.
            socket.send('{"type": "connection_init"}')
            while True:
                text = str(socket.recv(timeout=2))
                tally.answers[json.loads(text)["type"]] += 1
                assert '"INTERNAL"' not in text, (text, frames)
                if protocol == "graphql-ws" and "connection_ack" in text:
                    return
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            tally.answers[f"closed {code}"] += 1
            # 1011 is what a server says of a fault of its own; 1006 is none at all.
            assert code not in (None, 1011, 1006), (code, frames)
        except TimeoutError:
            tally.answers["open"] += 1
