"""The blobs of a stream that has no result are found in its items."""

from __future__ import annotations

import asyncio

import pytest

from cluster.api_node.stream_blobs import StreamBlobs
from cluster.attempt_errors import error
from cluster.store.async_store import Store
from cluster.store.record import Record
from cluster.task_types.output_type import OutputType
from dask_graphql import Blob

ID = "b9a7c7263c0332d12e52f09809754586"
ITEMS = OutputType(Blob)


def key(number: int, attempt: int = 1) -> str:
    return f"{ID}/{attempt}/{number}.png"


async def yield_blobs(store: Store, numbers: range, attempt: int = 1) -> None:
    items = [ITEMS.dump(Blob(key(number, attempt), 7, "image/png")) for number in numbers]
    assert await store.run(store.calls.append_items(ID, attempt, numbers.start, items)) == 1


async def record_of(store: Store) -> Record:
    record = await store.read(ID)
    assert record is not None
    return record


async def test_blobs_are_found_as_the_items_come_and_only_those_of_the_newest_attempt(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.store.item_calls.PAGE_ITEMS", 100)
    found = StreamBlobs(store)
    await store.run(store.calls.submit(ID, "draw", "1", b"{}"))
    await store.run(store.calls.start(ID, 1, "w1"))
    record = await record_of(store)
    assert await found.find(record, ITEMS, key(0)) is None
    await yield_blobs(store, range(250))
    assert await asyncio.gather(*(found.find(record, ITEMS, key(n)) for n in (0, 249, 250))) == [
        Blob(key(0), 7, "image/png"), Blob(key(249), 7, "image/png"), None,
    ]  # fmt: skip
    await yield_blobs(store, range(250, 251))
    assert await found.find(record, ITEMS, key(250)) is not None
    assert await found.find(record, OutputType(int), key(250)) is None
    # Another attempt begins anew.
    await store.run(store.calls.mark_lost(ID, 1, "none", error("X", "x")))
    await store.run(store.calls.start(ID, 2, "w1"))
    await yield_blobs(store, range(1), attempt=2)
    assert await found.find(record, ITEMS, key(0, attempt=2)) is not None
    assert await found.find(record, ITEMS, key(0)) is None


async def test_the_number_of_streams_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.api_node.stream_blobs.KEPT_STREAMS", 2)
    found = StreamBlobs(store)
    for digit in "012":
        task_id = digit + ID[1:]
        await store.run(store.calls.submit(task_id, "draw", "1", b"{}"))
        record = await store.read(task_id)
        assert record is not None
        assert await found.find(record, ITEMS, key(0)) is None
    assert len(found._streams) == 2
