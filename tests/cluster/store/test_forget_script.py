"""What is deleted with a task, and what is not."""

from __future__ import annotations

from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.replies import EndReply

ID = "b9a7c7263c0332d12e52f09809754586"
ANNA, EVE = Actor("key:1", "acme", "anna"), Actor("key:2", "evil", "eve")


async def keys(store: Store) -> list[bytes]:
    found: list[bytes] = await store.command("KEYS", f"{store.calls.prefix}:*")
    # What the statistics have counted stays.
    return sorted(key for key in found if b":ends:" not in key)


async def test_nothing_is_left_but_the_blobs_which_are_deleted_next(store: Store) -> None:
    calls = store.calls
    await store.run(calls.submit(ID, "etl", "1", b"{}", tenant="acme", account="acme", actor=ANNA))
    await store.run(calls.start(ID, 1, "w"))
    await store.run(calls.register_blobs(ID))
    await store.run(calls.append_items(ID, 1, 0, [b"1"]))
    await store.run(calls.progress(ID, 1, 0.5, b"", b"1\n0 INFO a line"))
    await store.run(calls.finish(ID, 1, b"{}", kept_bytes=7))
    assert await store.run(calls.claim_blobs("b", 10)) == (0, [])
    before = await keys(store)
    dry = await store.run(calls.forget(ID, ANNA, "cancel", dry_run=True))
    assert dry.done
    assert await keys(store) == before
    reply = await store.run(calls.forget(ID, ANNA, "cancel"))
    assert (reply.done, reply.others, reply.is_submitter) == (True, 0, True)
    assert reply.record is not None
    assert (reply.record.state, reply.record.result) == ("SUCCEEDED", b"{}")
    assert await keys(store) == [f"{calls.shard_prefix('b')}:blobs".encode()]
    assert await store.run(calls.claim_blobs("b", 10)) == (1, [ID])
    await store.run(calls.unregister_blobs("b", [ID]))
    assert await keys(store) == []
    assert await store.run(calls.forget(ID)) == EndReply(done=False)


async def test_a_task_that_is_open_or_that_others_wanted_stays(store: Store) -> None:
    calls = store.calls
    await store.run(calls.submit(ID, "etl", "1", b"{}", actor=ANNA))
    assert not (await store.run(calls.forget(ID))).done
    await store.run(calls.submit(ID, "etl", "1", b"{}", actor=EVE))
    await store.run(calls.cancel(ID))
    for mode in ("cancel", "cancel_any"):
        reply = await store.run(calls.forget(ID, ANNA, mode))
        assert (reply.done, reply.others, reply.is_submitter) == (False, 1, True)
    assert (await store.run(calls.forget(ID, ANNA, "force"))).done


async def test_a_new_run_that_has_begun_since_is_not_touched(store: Store) -> None:
    calls = store.calls
    await store.run(calls.submit(ID, "etl", "1", b"{}"))
    await store.run(calls.cancel(ID))
    await store.run(calls.submit(ID, "etl", "1", b"{}"))
    assert not (await store.run(calls.forget(ID))).done
    record = await store.read(ID)
    assert record is not None
    assert record.attempt == 2
