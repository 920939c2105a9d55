"""The scripts of files: what is known of a file, who uses it, and when it may be deleted."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from cluster.api_node.account_usage import read_usage
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.file_calls import FileUser, StoredFile
from cluster.store.script_calls import Calls

pytestmark = pytest.mark.every_engine

SHA = hashlib.sha256(b"content").hexdigest()
ID = "b9a7c7263c0332d12e52f09809754586"
TENANT = "jwt/acme%20inc"


async def place_file(store: Store, place: str = "uploads/one", tenant: str = TENANT, account: str = "acme") -> str:
    await store.run(store.calls.register_place(place, SHA))
    return await store.run(store.calls.register_file(tenant, SHA, place, 7, "text/plain", "a b.txt", account))


async def use(store: Store, task_id: str = "", tenant: str = TENANT) -> StoredFile | None:
    return await store.run(store.calls.use_file(tenant, SHA, task_id))


async def make_due(store: Store, list_name: str) -> None:
    """Makes every entry of a list of the shard due now."""
    key = f"{store.calls.shard_prefix(SHA[0])}:{list_name}"
    for member in await store.command("ZRANGE", key, 0, -1):
        await store.command("ZADD", key, 1, member)


def shortly(store: Store, settings: Settings) -> Calls:
    """Calls by which a file is kept for a millisecond after its last use."""
    calls = Calls(replace(settings, file_ttl_seconds=1))
    calls._file_ttl = 0
    return calls


async def places(store: Store) -> list[str]:
    return await store.run(store.calls.claim_places(SHA[0], 10))


async def test_a_file_is_known_to_its_tenant_only_and_counts_against_its_account(store: Store) -> None:
    assert await use(store) is None
    assert await place_file(store) == "NEW"
    assert await use(store) == StoredFile(SHA, "uploads/one", 7, "text/plain", "a b.txt", "", "")
    assert await use(store, tenant="") is None
    assert (await read_usage(store, "acme")).bytes == 7
    # A lost reply: the call is repeated.
    assert await store.run(store.calls.register_file(TENANT, SHA, "uploads/one", 7, "", "", "acme")) == "NEW"
    assert (await read_usage(store, "acme")).bytes == 7


async def test_equal_bytes_are_one_file_and_the_second_place_is_deleted(store: Store) -> None:
    await place_file(store)
    assert await place_file(store, "uploads/two") == "KNOWN"
    found = await use(store)
    assert found is not None
    assert found.place == "uploads/one"
    assert (await read_usage(store, "acme")).bytes == 7
    assert await places(store) == ["uploads/two"]
    await store.run(store.calls.unregister_places(SHA[0], ["uploads/two"]))
    await make_due(store, "places")
    assert await places(store) == []


async def test_a_place_that_became_no_files_is_deleted_and_cannot_become_one_then(store: Store) -> None:
    await store.run(store.calls.register_place("uploads/one", SHA))
    assert await places(store) == []
    await make_due(store, "places")
    assert await places(store) == ["uploads/one"]
    assert await store.run(store.calls.register_file("", SHA, "uploads/one", 7, "", "", "")) == "GONE"
    # The deleter died: another one gets it later.
    await make_due(store, "places")
    assert await places(store) == ["uploads/one"]


async def test_a_file_stays_while_a_task_needs_it_and_is_deleted_after_that(store: Store, settings: Settings) -> None:
    await place_file(store)
    assert await use(store, ID) is not None
    assert await store.run(store.calls.claim_files(SHA[0], 10)) == []
    await make_due(store, "files")
    await make_due(store, f"file_users:{TENANT}:{SHA}")
    [(tenant, sha256, users)] = await store.run(store.calls.claim_files(SHA[0], 10))
    assert (tenant, sha256, users) == (TENANT, SHA, [FileUser(ID, "1")])
    calls = shortly(store, settings)
    # Its record is there.
    assert not await store.run(calls.check_file(TENANT, SHA, [(users[0], 2)]))
    # It used the file again meanwhile.
    assert not await store.run(calls.check_file(TENANT, SHA, [(users[0], None)]))
    assert await use(store) is not None
    # It is gone, but the last use is not long ago.
    assert not await store.run(store.calls.check_file(TENANT, SHA, [(FileUser(ID, "2"), None)]))
    assert (await read_usage(store, "acme")).bytes == 7
    assert await store.run(calls.check_file(TENANT, SHA, []))
    assert await use(store) is None
    assert (await read_usage(store, "acme")).bytes == 0
    assert await places(store) == ["uploads/one"]
    await make_due(store, "files")
    assert await store.run(store.calls.claim_files(SHA[0], 10)) == []


async def test_a_blob_of_a_task_is_a_file_until_its_record_is_gone(store: Store, settings: Settings) -> None:
    borrow = store.calls.borrow_file("", SHA, f"{ID}/1/a.txt", ID, 7, "text/plain", "a.txt")
    assert await store.run(borrow)
    found = await use(store, "f" * 32, tenant="")
    assert found is not None
    assert (found.place, found.source, found.key) == ("", f"{ID}/1/a.txt", f"{ID}/1/a.txt")
    await make_due(store, "files")
    await make_due(store, f"file_users::{SHA}")
    [(_, _, users)] = await store.run(store.calls.claim_files(SHA[0], 10))
    assert [user.task_id for user in users] == [ID]
    assert await store.run(shortly(store, settings).check_file("", SHA, [(users[0], None)]))
    assert await use(store, tenant="") is None
    assert await places(store) == []


async def test_a_borrowed_file_gets_a_place_of_its_own(store: Store) -> None:
    borrow = store.calls.borrow_file(TENANT, SHA, f"{ID}/1/a.txt", ID, 7, "text/plain", "a.txt")
    await store.run(borrow)
    assert await place_file(store) == "NEW"
    assert not await store.run(borrow)
    found = await use(store)
    assert found is not None
    assert (found.place, found.source) == ("uploads/one", "")


async def test_an_offer_is_extended_until_it_becomes_a_file(store: Store, settings: Settings) -> None:
    offer = store.calls.register_place("uploads/one", SHA, offered_to=TENANT)
    assert await store.run(offer) == "uploads/one"
    again = store.calls.register_place("uploads/two", SHA, offered_to=TENANT)
    assert await store.run(again) == "uploads/one"
    found = await use(store)
    assert found is not None
    assert (found.key, found.offered) == ("", "uploads/one")
    await make_due(store, "files")
    assert not await store.run(shortly(store, settings).check_file(TENANT, SHA, []))
    await make_due(store, "places")
    assert await places(store) == ["uploads/one"]
    assert await store.run(again) == "uploads/two"
