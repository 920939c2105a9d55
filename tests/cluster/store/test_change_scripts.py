"""The changes of a shard are recorded while a node wants them, and read without a gap or told to be gone; on every
engine."""

from __future__ import annotations

import pytest

from cluster.attempt_errors import error
from cluster.store import change_calls
from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.change_calls import ChangePage
from cluster.store.record import TaskState

pytestmark = pytest.mark.every_engine

ID, OTHER = "b" + "0" * 31, "b" + "1" * 31
ANNA = Actor("key:1", "acme", "Anna")
S = TaskState


def changes_key(store: Store) -> str:
    return f"{store.calls.shard(ID)}:changes"


async def begin(store: Store) -> int:
    """Has the shard record its changes from now on; returns the position."""
    page = await store.run(store.calls.read_changes("b", None, listen=True))
    assert page.anchor is not None
    assert page.anchor[0] == page.last
    return page.last


async def read(store: Store, after: int, limit: int = 100) -> ChangePage:
    return await store.run(store.calls.read_changes("b", after, limit=limit))


async def test_every_change_of_state_is_recorded_with_what_filters_ask_for(store: Store) -> None:
    calls, after = store.calls, await begin(store)
    submit = calls.submit(ID, "etl", "1", b"{}", tenant="acme", actor=ANNA, tags=("nightly", "of Anna"))
    await store.run(submit)
    await store.run(calls.start(ID, 1, "w"))
    await store.run(calls.progress(ID, 1, 0.5))
    await store.run(calls.mark_lost(ID, 1, "worker", error("WORKER_LOST", "gone")))
    await store.run(calls.start(ID, 2, "w"))
    await store.run(calls.finish(ID, 2, b"1"))
    await store.run(calls.submit(ID, "etl", "1", b"{}", recompute=True, tags=("again",)))
    await store.run(calls.cancel(ID))
    page = await read(store, after)
    assert [(change.event.kind, change.was, change.event.state) for change in page.changes] == [
        ("QUEUED", None, S.QUEUED),
        ("STARTED", S.QUEUED, S.RUNNING),
        ("PROGRESS", S.RUNNING, S.RUNNING),
        ("LOST", S.RUNNING, S.QUEUED),
        ("STARTED", S.QUEUED, S.RUNNING),
        ("SUCCEEDED", S.RUNNING, S.SUCCEEDED),
        ("QUEUED", S.SUCCEEDED, S.QUEUED),
        ("CANCELLED", S.QUEUED, S.CANCELLED),
    ]
    first, last = page.changes[0], page.changes[-1]
    assert (first.task_id, first.name, first.tenant, first.tags) == (ID, "etl", "acme", ("nightly", "of Anna"))
    assert (first.submitted_by, last.tags) == (ANNA.text, ("again",))
    assert [change.number for change in page.changes] == list(range(after + 1, after + 9))
    assert [change.event.seq for change in page.changes] == list(range(1, 9))
    second = await read(store, after + 2, limit=3)
    assert second.anchor == (after + 2, page.changes[1].check)
    assert second.changes == page.changes[2:5]


async def test_nothing_is_recorded_unless_a_node_wants_it_nor_after_it_no_longer_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = store.calls
    await store.run(calls.submit(ID, "etl", "1", b"{}"))
    await store.run(calls.watch(ID, "node"))
    await store.run(calls.start(ID, 1, "w"))
    assert await store.command("EXISTS", changes_key(store)) == 0
    assert await read(store, 1) == ChangePage(0, None)
    monkeypatch.setattr(change_calls, "RECORDED_SECONDS", 0.05)
    after = await begin(store)
    while await store.command("EXISTS", changes_key(store)):
        pass
    await store.run(calls.finish(ID, 1, b"1"))
    assert await begin(store) == after, "the numbers begin anew"
    before = await store.run(calls.read_changes("b", after))
    assert before.anchor is not None
    assert before.changes == ()


async def test_a_position_that_is_gone_is_told_from_one_after_which_nothing_happened(store: Store) -> None:
    calls, after = store.calls, await begin(store)
    assert (await read(store, after)).anchor is not None
    assert (await read(store, after + 1)).anchor is None
    await store.run(calls.submit(ID, "etl", "1", b"{}"))
    old = (await read(store, after)).changes[0]
    # As after a failover that lost the last write: another change gets the number.
    await store.command("HSET", changes_key(store), "last", after)
    await store.run(calls.submit(OTHER, "etl", "1", b"{}"))
    anchor = (await read(store, old.number)).anchor
    assert anchor is not None
    assert anchor[0] == old.number
    assert anchor[1] != old.check


async def test_only_the_newest_changes_are_kept_and_older_positions_are_gone(store: Store) -> None:
    calls, after = store.calls, await begin(store)
    await store.run(calls.submit(ID, "etl", "1", b"{}"))
    await store.run(calls.start(ID, 1, "w"))
    # As if this many changes had come before.
    last = 4096 * 3
    await store.command("HSET", changes_key(store), "last", last - 1)
    await store.run(calls.progress(ID, 1, 0.1))
    await store.run(calls.progress(ID, 1, 0.2))
    assert (await read(store, after)).anchor is None
    page = await read(store, last)
    assert [change.number for change in page.changes] == [last + 1]
    assert await store.command("HLEN", changes_key(store)) <= 4096 + 2


async def test_nodes_are_notified_once_until_one_of_them_reads_again(store: Store) -> None:
    calls = store.calls
    pubsub = store.pubsub([calls.changes_channel], 5)
    await pubsub.open()
    try:
        messages = pubsub.messages()
        after = await begin(store)
        await store.run(calls.submit(ID, "etl", "1", b"{}"))
        await store.run(calls.start(ID, 1, "w"))
        assert (await anext(messages))[1] == b"b"
        assert await store.command("HEXISTS", changes_key(store), "armed") == 0
        await read(store, after)
        await store.run(calls.progress(ID, 1, 0.1))
        await store.run(calls.read_changes("b", after, listen=True))
        await store.run(calls.progress(ID, 1, 0.2))
        await store.command("PUBLISH", calls.changes_channel, "end")
        assert [(await anext(messages))[1] for _ in range(2)] == [b"b", b"end"]
    finally:
        await pubsub.close()
