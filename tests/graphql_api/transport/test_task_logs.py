"""`taskLogs`: what a task prints, live and resumable, over every transport; dropped lines are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cluster.settings import Settings
from cluster.store.async_store import Store
from tests.api_node import api_node
from tests.transports import TRANSPORTS, payloads

LOGS = (
    "subscription($id: ID!, $after: Int) { taskLogs(taskId: $id, after: $after) { number attempt dropped level text } }"
)
ID = f"{10:032x}"


@pytest.fixture
async def url(settings: Settings) -> AsyncIterator[str]:
    async with api_node(replace(settings, legacy_websocket=True, waiters_per_client=len(TRANSPORTS))) as served:
        # The first operation of a process takes long, and the test's own Redis client would wait for it.
        assert [item async for item in payloads(served, TRANSPORTS[0], "{ __typename }")]
        yield served


def lines(first: int, *texts: str) -> bytes:
    """Lines as a worker sends them; the number is of the first one."""
    return b"\n".join([b"%d" % first, *(b"0 INFO " + text.encode() for text in texts)])


async def begin(store: Store, *, attempt: int = 1) -> None:
    await store.run(store.calls.submit(ID, "t", "1", b"{}", recompute=attempt > 1))
    await store.run(store.calls.start(ID, attempt, "w"))


async def print_lines(store: Store, first: int, *texts: str) -> None:
    assert await store.run(store.calls.progress(ID, 1, None, b"", lines(first, *texts)))


async def follow(url: str, transport: str, after: int = 0) -> AsyncGenerator[dict[str, Any], None]:
    async with asyncio.timeout(15):
        async for item in payloads(url, transport, LOGS, {"id": ID, "after": after}):
            yield item["data"]["taskLogs"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_lines_come_as_they_are_printed_until_the_task_has_ended(url: str, store: Store, transport: str) -> None:
    """The next ones are printed only when those before have been received, so that none is polled for."""
    await begin(store)
    async with aclosing(follow(url, transport)) as received:
        first = asyncio.ensure_future(anext(received))
        await print_lines(store, 1, "one", "two")
        assert await first == {"number": 1, "attempt": 1, "dropped": 0, "level": "INFO", "text": "one"}
        assert (await anext(received))["text"] == "two"
        await print_lines(store, 3, "three")
        assert (await anext(received))["text"] == "three"
        await store.run(store.calls.finish(ID, 1, b"1", lines=lines(4, "the end")))
        assert [(line["number"], line["text"]) async for line in received] == [(4, "the end")]
    # Those who come later, or come back, get what is kept.
    assert [line["number"] async for line in follow(url, transport)] == [1, 2, 3, 4]
    assert [line["number"] async for line in follow(url, transport, 3)] == [4]
    assert [line["number"] async for line in follow(url, transport, 4)] == []
    # A number that was never reached belongs to an expired record.
    assert [line["number"] async for line in follow(url, transport, 400)] == [1, 2, 3, 4]


async def test_dropped_lines_are_counted(url: str, store: Store) -> None:
    """By a worker, of more than it may send at once; and by a record, of more than it keeps."""
    await begin(store)
    async with aclosing(follow(url, TRANSPORTS[0])) as received:
        await print_lines(store, 1, "one")
        assert (await anext(received))["dropped"] == 0
        await print_lines(store, 801, "late")
        assert await anext(received) == {"number": 801, "attempt": 1, "dropped": 799, "level": "INFO", "text": "late"}
    for start in range(802, 1_202, 200):
        await print_lines(store, start, *(f"line {n}" for n in range(start, start + 200)))
    await store.run(store.calls.finish(ID, 1, b"1"))
    kept = [line async for line in follow(url, TRANSPORTS[0], 801)]
    assert [kept[0]["number"], len(kept), kept[0]["dropped"]] == [1_002, 200, 200]
    assert {line["dropped"] for line in kept[1:]} == {0}
    query = "query($id: ID!) { task(taskId: $id) { logs(after: 801, first: 2) { number dropped } } }"
    async with httpx.AsyncClient() as client:
        answer = (await client.post(url, json={"query": query, "variables": {"id": ID}})).json()
    assert answer["data"]["task"]["logs"] == [{"number": 1_002, "dropped": 200}, {"number": 1_003, "dropped": 0}]


async def test_a_new_run_continues_the_numbers(url: str, store: Store) -> None:
    await begin(store)
    await print_lines(store, 1, "of the first run")
    await store.run(store.calls.finish(ID, 1, b"1"))
    await begin(store, attempt=2)
    async with aclosing(follow(url, TRANSPORTS[0], 1)) as received:
        assert await store.run(store.calls.progress(ID, 2, None, b"", lines(1, "of the second")))
        assert await anext(received) == {
            "number": 2, "attempt": 2, "dropped": 0, "level": "INFO", "text": "of the second",
        }  # fmt: skip


async def test_an_event_source_resumes_where_it_was(url: str, store: Store) -> None:
    await begin(store)
    await print_lines(store, 1, "one", "two", "three")
    await store.run(store.calls.finish(ID, 1, b"1"))
    query = LOGS.replace("$id: ID!, $after: Int", "$id: ID!").replace(", after: $after", "")
    parameters = {"query": query, "variables": f'{{"id": "{ID}"}}'}
    async with httpx.AsyncClient() as client:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "2"}
        answer = await client.get(url, params=parameters, headers=headers)
        assert "id: 3\n" in answer.text
        assert answer.text.count("event: next") == 1
        headers["Last-Event-ID"] = "3"
        assert (await client.get(url, params=parameters, headers=headers)).status_code == 204


async def test_followers_are_counted_per_caller(url: str, store: Store) -> None:
    await begin(store)
    await print_lines(store, 1, "one")
    followers = [follow(url, transport) for transport in TRANSPORTS]
    for follower in followers:
        await anext(follower)
    [refused] = [item async for item in payloads(url, TRANSPORTS[0], LOGS, {"id": ID})]
    assert refused["errors"][0]["extensions"]["code"] == "TOO_MANY_SUBSCRIPTIONS"
    for follower in followers:
        await follower.aclose()
