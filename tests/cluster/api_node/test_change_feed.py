"""Changes reach the subscribers of every node once, in order, across reconnects and nodes; what is lost is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api_node import change_feed
from cluster.api_node.change_feed import ChangeFeed
from cluster.api_node.change_subscribers import ChangeFilter, ChangeItem
from cluster.errors import BadCursor, StoreUnavailable, TooManySubscriptions
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.record import TaskState
from cluster.store.task_filter import EVERYTHING, TaskFilter
from tests.system import RedisServer

Items = AsyncGenerator[ChangeItem, None]


@pytest.fixture
async def other_store(settings: Settings) -> AsyncIterator[Store]:
    """The store of another node."""
    store = Store(settings)
    yield store
    await store.close()


def everyones(wanted: TaskFilter = EVERYTHING) -> ChangeFilter:
    return ChangeFilter(wanted, lambda record, conditions: conditions.matches(record))


def task_id(number: int) -> str:
    return f"{number % 16:x}{number:031x}"


async def submit(store: Store, number: int, name: str = "etl", *tags: str) -> None:
    await store.run(store.calls.submit(task_id(number), name, "1", b"{}", tags=tags))


async def run(store: Store, number: int, name: str = "etl", *tags: str) -> None:
    await submit(store, number, name, *tags)
    await store.run(store.calls.start(task_id(number), 1, "w"))
    await store.run(store.calls.finish(task_id(number), 1, b"1"))


async def take(items: Items, count: int) -> list[ChangeItem]:
    async with asyncio.timeout(10):
        return [await anext(items) for _ in range(count)]


async def take_reset(items: Items) -> str:
    """The cursor of an item that says that changes may have been missed."""
    [item] = await take(items, 1)
    assert item.change is None
    return item.cursor


def shown(items: list[ChangeItem]) -> set[tuple[int, str]]:
    return {(int(item.change.task_id[1:], 16), item.change.event.kind) for item in items if item.change}


def whole(*numbers: int) -> set[tuple[int, str]]:
    return {(number, kind) for number in numbers for kind in ("QUEUED", "STARTED", "SUCCEEDED")}


async def test_a_new_subscription_begins_with_a_reset_and_then_has_every_change_of_each_task_in_its_order(
    store: Store,
) -> None:
    feed = ChangeFeed(store, 10)
    async with aclosing(feed.changes(everyones())) as items:
        await take_reset(items)
        for number in range(20):
            await run(store, number)
        found = await take(items, 60)
    assert shown(found) == whole(*range(20))
    for number in range(20):
        own = [item for item in found if item.change and item.change.task_id == task_id(number)]
        assert [item.change.event.seq for item in own if item.change] == [1, 2, 3]
        assert all(item.record is not None and item.record.state is TaskState.SUCCEEDED for item in own[-1:])
    assert feed.subscribers == 0


async def test_a_filter_is_met_before_or_after_the_change_and_the_item_says_which(store: Store) -> None:
    feed = ChangeFeed(store, 10)
    running = TaskFilter(states=frozenset({TaskState.RUNNING}), names=frozenset({"etl"}))
    tagged = TaskFilter(tag="nightly", text="ETL")
    async with aclosing(feed.changes(everyones(running))) as one, aclosing(feed.changes(everyones(tagged))) as other:
        await take_reset(one)
        await take_reset(other)
        await run(store, 1, "train", "nightly")
        await run(store, 2, "etl", "nightly")
        found = await take(one, 2)
        assert [(item.change.event.kind, item.matches) for item in found if item.change] == [
            ("STARTED", True),
            ("SUCCEEDED", False),
        ]
        assert shown(found) == {(2, "STARTED"), (2, "SUCCEEDED")}
        assert shown(await take(other, 3)) == whole(2)


async def test_each_cursor_resumes_on_another_node_with_exactly_what_follows(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_feed, "CATCH_UP_CHANGES", 1)
    first, second = ChangeFeed(store, 10), ChangeFeed(other_store, 10)
    async with aclosing(first.changes(everyones())) as items:
        begin = await take_reset(items)
        for number in range(4):
            await run(store, number)
        seen = await take(items, 12)
    cursors = [begin, *(item.cursor for item in seen)]
    await run(store, 4)
    for position, cursor in enumerate(cursors):
        async with aclosing(second.changes(everyones(), cursor)) as items:
            again = await take(items, 15 - position)
            assert shown(again) == shown(seen[position:]) | whole(4)
            assert again[-1].change is not None
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await anext(items)
    async with aclosing(second.changes(everyones(), again[-1].cursor)) as items:
        await run(store, 5)
        assert shown(await take(items, 3)) == whole(5)


async def test_a_position_that_is_gone_resumes_with_a_reset_and_then_has_every_change(store: Store) -> None:
    feed = ChangeFeed(store, 10)
    async with aclosing(feed.changes(everyones())) as items:
        cursor = await take_reset(items)
    await store.commands([("DEL", f"{store.calls.shard_prefix(digit)}:changes") for digit in SHARDS])
    async with aclosing(feed.changes(everyones(), cursor)) as items:
        assert await take_reset(items) != cursor
        await run(store, 1)
        assert shown(await take(items, 3)) == whole(1)
        # While it listens, as after a failover that lost the newest changes.
        await store.command("DEL", f"{store.calls.shard_prefix('1')}:changes")
        await run(store, 2)
        await store.command("PUBLISH", store.calls.changes_channel, "1")
        found = await take(items, 4)
        assert {item.change is None for item in found} == {True, False}
        await run(store, 17)
        assert shown(await take(items, 3)) == whole(17)
    with pytest.raises(BadCursor):
        await anext(feed.changes(everyones(), "no cursor"))


async def test_no_change_is_lost_with_the_connection_that_brings_the_notifications(
    store: Store, other_store: Store
) -> None:
    feed = ChangeFeed(store, 10)
    async with aclosing(feed.changes(everyones())) as items:
        await take_reset(items)
        for number in range(3):
            await run(other_store, 3 * number)
            await other_store.command("CLIENT", "KILL", "TYPE", "pubsub")
            await run(other_store, 3 * number + 1)
            assert shown(await take(items, 6)) == whole(3 * number, 3 * number + 1)


async def test_a_node_has_a_limit_of_subscribers(store: Store) -> None:
    feed = ChangeFeed(store, 1)
    async with aclosing(feed.changes(everyones())) as items:
        await take_reset(items)
        with pytest.raises(TooManySubscriptions):
            await anext(feed.changes(everyones()))
    async with aclosing(feed.changes(everyones())) as items:
        await take_reset(items)


async def test_a_subscriber_that_is_cancelled_while_it_leaves_does_not_stop_the_changes_of_the_next_one(
    store: Store,
) -> None:
    feed = ChangeFeed(store, 10)

    async def read(begun: asyncio.Event) -> None:
        async with aclosing(feed.changes(everyones())) as items:
            async for _ in items:
                begun.set()

    for number in range(4):
        begun = asyncio.Event()
        reading = asyncio.create_task(read(begun))
        await begun.wait()
        for _ in range(number + 1):
            reading.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(reading, return_exceptions=True)
        async with aclosing(feed.changes(everyones())) as items:
            await take_reset(items)
            await run(store, number)
            assert shown(await take(items, 3)) == whole(number)


@pytest.mark.every_engine
async def test_a_restart_of_redis_loses_no_change_or_tells(settings: Settings, engine: Path, tmp_path: Path) -> None:
    """Two nodes; the server is killed, and comes back with its file, or without the end of it."""
    server = RedisServer(tmp_path / "own", binary=engine)
    server.folder.mkdir()
    server.start(sync="always")
    own = replace(settings, redis_url=server.url)
    one, two, writer = Store(own), Store(own), Store(own)
    try:
        feeds = [ChangeFeed(one, 10), ChangeFeed(two, 10)]
        async with aclosing(feeds[0].changes(everyones())) as a, aclosing(feeds[1].changes(everyones())) as b:
            for items in (a, b):
                await take_reset(items)
            await run(writer, 1)
            for items in (a, b):
                assert shown(await take(items, 3)) == whole(1)
            server.kill()
            server.start(sync="always")
            async with asyncio.timeout(10):
                while True:
                    try:
                        await run(writer, 2)
                        break
                    except StoreUnavailable:
                        await asyncio.sleep(0.05)
            for items in (a, b):
                assert shown(await take(items, 3)) == whole(2)
            server.kill()
            # Everything is lost, as if an old replica became the primary.
            for file in [path for path in server.folder.rglob("*") if path.is_file()]:
                file.unlink()
            server.start(sync="always")
            for items in (a, b):
                await take_reset(items)
            await run(writer, 3)
            for items in (a, b):
                found = await take(items, 3)
                assert shown(found) == whole(3)
    finally:
        for store in (one, two, writer):
            await store.close()
        server.stop()
