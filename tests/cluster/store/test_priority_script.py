"""The script that changes the priority of a task: whatever the task waits for, it counts at once."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.record import EventKind, Record
from cluster.store.replies import EndReply

pytestmark = pytest.mark.every_engine

ID = "b9a7c7263c0332d12e52f09809754586"
OTHER = "b" * 32
LIMITS = "t:etl=1"


async def submit(store: Store, task_id: str = ID, **options: Any) -> None:
    await store.run(store.calls.submit(task_id, "etl", "1", b"{}", **options))


async def change(store: Store, priority: int) -> EndReply:
    return await store.run(store.calls.set_priority(ID, priority))


async def read(store: Store) -> Record:
    record = await store.read(ID)
    assert record is not None
    return record


async def test_the_next_attempt_takes_the_place_of_one_that_waits_in_the_scheduler(store: Store) -> None:
    await submit(store)
    reply = await change(store, -9)
    assert (reply.done, reply.superseded) == (True, 1)
    assert (await change(store, -9)).superseded == 0
    record = await read(store)
    assert (record.priority, record.attempt, record.state) == (-9, 2, "QUEUED")
    assert (await store.run(store.calls.start(ID, 1, "w"))).verdict == "STALE"
    _, [due] = await store.run(store.calls.claim_due("b", 10))
    assert (due.action, due.attempt, due.priority) == ("dispatch", 2, -9)
    event = (await store.read_events(ID))[-1]
    assert (event.kind, event.attempt, event.message) == (EventKind.QUEUED, 2, "its priority was changed to -9")


async def test_a_held_task_moves_among_those_that_are_held(store: Store) -> None:
    await submit(store, limits=LIMITS)
    await submit(store, OTHER, limits=LIMITS)

    async def held() -> list[bytes]:
        key = store.calls.held_list_key("b", LIMITS)
        found: list[bytes] = await store.command("ZRANGE", key, 0, -1)
        return found

    for priority, first in ((5, ID), (-5, OTHER)):
        assert (await change(store, priority)).superseded == 0
        assert (await held())[0] == first.encode()
    await store.run(store.calls.become_claimer("b", 1))
    await store.run(store.calls.claim_held("b", 1, [(LIMITS, ID)]))
    # It holds a slot and waits in the scheduler.
    assert (await change(store, 50)).superseded == 1
    assert (await held())[0] == ID.encode()
    [used] = await store.run(store.calls.check_slots("b", ["t:etl"]))
    assert used == 0


async def test_a_task_that_is_due_later_or_runs_or_has_ended_stays_as_it_is(store: Store) -> None:
    await submit(store, not_before=1 << 45)
    assert (await change(store, 1)).superseded == 0
    assert (await store.run(store.calls.claim_due("b", 10)))[1] == []
    await submit(store, not_before=1)
    await store.run(store.calls.start(ID, 1, "w"))
    reply = await change(store, 2)
    assert (reply.done, reply.superseded) == (True, 0)
    record = await read(store)
    assert (record.priority, record.attempt, record.state) == (2, 1, "RUNNING")
    await store.run(store.calls.finish(ID, 1, b"{}"))
    assert not (await change(store, 3)).done
    assert (await read(store)).priority == 2
    assert await store.run(store.calls.set_priority("c" * 32, 1)) == EndReply(done=False)


async def test_others_who_want_the_task_are_asked(store: Store) -> None:
    anna, eve = Actor("key:1", "acme", "anna"), Actor("key:2", "evil", "eve")
    await submit(store, actor=anna)
    for actor, mode, may in ((eve, "cancel", False), (eve, "cancel_any", True), (anna, "cancel", True)):
        reply = await store.run(store.calls.set_priority(ID, 3, actor, mode))  # type: ignore[arg-type]
        assert reply.done is may
    await submit(store, actor=eve)
    reply = await store.run(store.calls.set_priority(ID, 4, anna, "cancel"))
    assert (reply.done, reply.others, reply.is_submitter) == (False, 1, True)
