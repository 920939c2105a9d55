"""The scripts of streams: what is appended is read once and in order, and only the newest attempt's."""

from __future__ import annotations

import pytest

from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.item_calls import PAGE_BYTES
from cluster.task_types.retry_policy import Retries

pytestmark = pytest.mark.every_engine

ID = "b9a7c7263c0332d12e52f09809754586"


async def begin(store: Store, attempt: int = 1) -> None:
    await store.run(store.calls.submit(ID, "counting", "1", b'{"upto":9}', recompute=attempt > 1))
    await store.run(store.calls.start(ID, attempt, "w1"))


async def append(store: Store, attempt: int, before: int, *items: bytes) -> int:
    return await store.run(store.calls.append_items(ID, attempt, before, items))


async def read(store: Store, attempt: int | None = None, after: int = 0, limit: int = 500) -> tuple[object, ...]:
    page = await store.run(store.calls.read_items(ID, attempt, after, limit=limit))
    return page.attempt, page.first, page.items, page.more


async def test_items_are_read_in_order_from_where_a_reader_is(store: Store) -> None:
    assert await read(store) == (None, 0, (), False)
    await begin(store)
    assert await read(store) == (None, 0, (), False)
    assert await append(store, 1, 0) == 1
    assert await append(store, 1, 0, b"1", b"2") == 1
    assert await append(store, 1, 2, b"3") == 1
    assert await read(store) == (1, 0, (b"1", b"2", b"3"), False)
    assert await read(store, 1, 2) == (1, 2, (b"3",), False)
    assert await read(store, 1, 3) == (1, 3, (), False)
    assert await read(store, limit=2) == (1, 0, (b"1", b"2"), True)


async def test_a_call_whose_reply_was_lost_may_be_repeated(store: Store) -> None:
    await begin(store)
    for _ in range(2):
        assert await append(store, 1, 0, b"1", b"2") == 1
    for _ in range(2):
        assert await append(store, 1, 2, b"3") == 1
    assert await read(store) == (1, 0, (b"1", b"2", b"3"), False)


async def test_a_call_that_a_frozen_server_runs_after_its_successors_takes_nothing_away(store: Store) -> None:
    await begin(store)
    await append(store, 1, 0)
    await append(store, 1, 0, b"1", b"2", b"3")
    await append(store, 1, 3, b"4")
    for late in ((0,), (0, b"1"), (0, b"1", b"2"), (2, b"3")):
        assert await append(store, 1, late[0], *late[1:]) == 1
    assert await read(store) == (1, 0, (b"1", b"2", b"3", b"4"), False)


async def test_a_new_attempt_begins_anew_and_the_old_one_must_stop(store: Store) -> None:
    await begin(store)
    await append(store, 1, 0, b"1", b"2")
    failed = store.calls.fail(ID, 1, error("TASK_FAILED", "x"), retries=Retries(1, delay=0))
    assert await store.run(failed) == "RETRY"
    # Until the next attempt begins its stream, the items of the last one are there.
    assert await read(store, 1, 1) == (1, 1, (b"2",), False)
    await store.run(store.calls.start(ID, 2, "w2"))
    assert await append(store, 1, 2, b"3") == 0
    assert await append(store, 2, 0, b"10") == 1
    assert await read(store, 1, 2) == (2, 0, (b"10",), False)


async def test_items_that_redis_has_lost_are_noticed(store: Store) -> None:
    await begin(store)
    await append(store, 1, 0, b"1", b"2")
    assert await append(store, 1, 3, b"4") == -1
    assert await read(store) == (1, 0, (b"1", b"2"), False)


async def test_a_page_ends_after_some_bytes(store: Store) -> None:
    await begin(store)
    long = b'"' + b"x" * (PAGE_BYTES // 3) + b'"'
    await append(store, 1, 0, *[long] * 40)
    page = await store.run(store.calls.read_items(ID, None, 0))
    assert (len(page.items), page.more) == (3, True)
    rest = await store.run(store.calls.read_items(ID, 1, 37))
    assert (len(rest.items), rest.more) == (3, False)


async def test_items_live_as_long_as_the_record(store: Store) -> None:
    await begin(store)
    await append(store, 1, 0, b"1")
    await store.run(store.calls.finish(ID, 1, b"{}", kept_bytes=1))
    key = f"{store.calls.shard(ID)}:items:{ID}"
    assert 0 < await store.redis.pttl(key) <= Settings().result_ttl_seconds * 1000
    # A new run keeps them until it has items of its own.
    await begin(store, 2)
    assert await read(store) == (1, 0, (b"1",), False)
    await append(store, 2, 0)
    assert await read(store, 1, 1) == (2, 0, (), False)
    assert await store.redis.pttl(key) < 0
