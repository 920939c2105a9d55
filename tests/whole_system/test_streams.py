"""Streams: items arrive while their task runs, a subscriber resumes where it was, and they are the result."""

from __future__ import annotations

import concurrent.futures
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from dask_graphql import AsyncClient, BadArguments, Client
from tests.system import Refused, Socket, System
from tests.task_modules.samples import Point, dripping
from tests.whole_system.test_contract import ERROR, run, submit

ITEMS = """subscription($id: ID!, $after: String) { taskItems(taskId: $id, after: $after) {
  cursor attempt number value typed { ... on Point { x y } } } }"""


def text(value: object) -> str:
    return json.dumps(str(value))


async def test_each_item_arrives_as_it_comes_and_a_subscriber_resumes_after_the_last_one(
    system: System, tmp_path: Path
) -> None:
    task_id = (await submit(system, f"submitDripping(folder: {text(tmp_path)}, items: 4)"))["taskId"]
    seen: list[dict[str, Any]] = []
    (tmp_path / "item-0").touch()
    async with Socket.open(system.url) as socket:
        async for item in socket.subscribe(ITEMS, {"id": task_id}):
            seen.append(item["taskItems"])
            # The next one only now: each has arrived before the next one was made.
            (tmp_path / f"item-{len(seen)}").touch()
    assert [(item["attempt"], item["number"], item["value"]) for item in seen] == [
        (1, n + 1, {"x": n, "y": 3}) for n in range(4)
    ]
    assert seen[0]["typed"] == {"x": 0, "y": 3}
    async with Socket.open(system.url) as socket:
        rest = [
            item["taskItems"] async for item in socket.subscribe(ITEMS, {"id": task_id, "after": seen[1]["cursor"]})
        ]
    assert rest == seen[2:]


async def test_a_new_attempt_begins_anew_and_says_so(system: System, tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"item-{n}").touch()
    task_id = (await submit(system, f"submitDripping(folder: {text(tmp_path)}, items: 3, fails: true)"))["taskId"]
    seen: list[dict[str, Any]] = []
    async with Socket.open(system.url) as socket:
        async for item in socket.subscribe(ITEMS, {"id": task_id}):
            seen.append(item["taskItems"])
            if len(seen) == 2:
                (tmp_path / "item-2").touch()
    assert [(item["attempt"], item["number"]) for item in seen] == [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]


async def test_the_items_are_the_result_and_are_read_in_pages(system: System) -> None:
    got = await run(
        system, "submitCounting(upto: 1200)",
        f"state {ERROR} result {{ ... on CountingResult {{ count sizeBytes items(after: 1190, first: 500) }} }}",
    )  # fmt: skip
    size = str(sum(len(str(n)) for n in range(1200)))
    assert got["error"] is None
    assert got["result"] == {"count": 1200, "sizeBytes": size, "items": list(range(1190, 1200))}
    page = await run(system, "submitCounting(upto: 1200)", "result { ... on CountingResult { items(first: 3) } }")
    assert page["result"] == {"items": [0, 1, 2]}


async def test_blobs_of_items_can_be_downloaded(system: System) -> None:
    got = await run(
        system, "submitPieces(upto: 2)", f"{ERROR} result {{ ... on PiecesResult {{ items {{ url sizeBytes }} }} }}"
    )
    assert got["error"] is None
    async with httpx.AsyncClient() as client:
        urls = [system.url.removesuffix("/graphql") + item["url"] for item in got["result"]["items"]]
        assert [(await client.get(url)).content for url in urls] == [b"0", b"1"]


async def test_a_wrong_cursor_is_refused(system: System) -> None:
    async with Socket.open(system.url) as socket:
        socket.share()
        for cursor in ("nonsense", "1:-1", f"1:{10**20}", f"{2**64}:1", "\u0661:1"):
            with pytest.raises(Refused) as raised:
                await socket.collect(ITEMS, {"id": "0" * 32, "after": cursor})
            assert raised.value.code == "BAD_INPUT"


async def test_the_python_client_yields_items_and_returns_them_all_as_the_declared_class(
    system: System, tmp_path: Path
) -> None:
    (tmp_path / "item-0").touch()
    async with AsyncClient(system.url) as client:
        handle = await client.submit(dripping, folder=str(tmp_path), items=3)
        seen = []
        async for item in handle.items():
            seen.append(item)
            (tmp_path / f"item-{len(seen)}").touch()
        assert [(item.value, item.number, item.attempt) for item in seen] == [(Point(x=n), n + 1, 1) for n in range(3)]
        assert await handle.result() == [Point(x=n) for n in range(3)]
        assert [item.value async for item in handle.items(seen[1].cursor)] == [Point(x=2)]
        many = await client.submit("counting", upto=3000)
        assert await many.result() == list(range(3000))
        assert [blob.size_bytes for blob in await (await client.submit("pieces", upto=2)).result()] == [1, 1]
        with pytest.raises(BadArguments, match="the output of add is no stream"):
            await anext((await client.submit("add", a=1)).items())


def test_the_synchronous_client_yields_items_and_returns_them_all(system: System) -> None:
    with Client(system.url) as client:
        handle = client.submit("counting", upto=5)
        assert [item.value for item in handle.items()] == handle.result() == [0, 1, 2, 3, 4]
        assert [future.result() for future in concurrent.futures.as_completed([handle])] == [[0, 1, 2, 3, 4]]
