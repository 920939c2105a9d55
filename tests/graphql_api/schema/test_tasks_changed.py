"""`tasksChanged` over real sockets: by filter, resumed at a cursor, and only what the caller may list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cluster.api_node import change_subscribers
from cluster.settings import Settings
from cluster.store.actor import Actor
from cluster.store.async_store import Store
from graphql_api.auth.callers import Scope, tenant_name
from graphql_api.auth.keys import create_key
from tests.api_node import api_node
from tests.transports import TRANSPORTS, payloads

CHANGED = """subscription($where: TaskFilter!, $after: String) { tasksChanged(where: $where, after: $after) {
  cursor reset matches kind stateBefore state seq taskId at task { taskId state input tags waiting { reason } }
} }"""
IDS = [f"{digit}{'5' * 31}" for digit in "0b"]


@pytest.fixture
async def url(settings: Settings) -> AsyncIterator[str]:
    async with api_node(replace(settings, legacy_websocket=True, waiters_per_client=3)) as served:
        yield served


def changed(
    url: str, where: dict[str, Any], after: str | None = None, transport: str = TRANSPORTS[0], token: str = ""
) -> AsyncGenerator[dict[str, Any], None]:
    """The items of the subscription."""

    async def items() -> AsyncGenerator[dict[str, Any], None]:
        async for payload in payloads(url, transport, CHANGED, {"where": where, "after": after}, token):
            assert "errors" not in payload, payload
            yield payload["data"]["tasksChanged"]

    return items()


async def take(items: AsyncGenerator[dict[str, Any], None], count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(15):
        return [await anext(items) for _ in range(count)]


async def submit(store: Store, task_id: str, *tags: str, tenant: str = "", actor: Actor | None = None) -> None:
    await store.run(
        store.calls.submit(
            task_id, "fibonacci", "1", b'{"n":4}', tags=tags, tenant=tenant, actor=actor or Actor("address:1", "x", "x")
        )
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_list_of_tasks_is_kept_up_to_date_and_resumes_where_it_was(
    url: str, store: Store, transport: str
) -> None:
    one, two = IDS
    where = {"tag": "nightly", "states": ["QUEUED", "RUNNING"]}
    async with aclosing(changed(url, where, transport=transport)) as items:
        [begin] = await take(items, 1)
        assert begin == {
            "cursor": begin["cursor"], "reset": True, "matches": False, "kind": None, "stateBefore": None,
            "state": None, "seq": None, "taskId": None, "at": None, "task": None,
        }  # fmt: skip
        await submit(store, one, "nightly")
        await submit(store, two, "weekly")
        await store.run(store.calls.start(one, 1, "w"))
        queued, started = await take(items, 2)
        assert (queued["kind"], queued["stateBefore"], queued["state"], queued["seq"]) == ("QUEUED", None, "QUEUED", 1)
        assert (queued["taskId"], queued["reset"], queued["matches"]) == (one, False, True)
        assert queued["task"]["input"] == {"n": 4}
        assert (started["kind"], started["stateBefore"], started["task"]["state"]) == ("STARTED", "QUEUED", "RUNNING")
        assert started["task"]["waiting"] is None
    await store.run(store.calls.cancel(one))
    async with aclosing(changed(url, where, begin["cursor"], transport)) as items:
        again = await take(items, 3)
        assert [(item["kind"], item["matches"], item["task"]["state"]) for item in again] == [
            ("QUEUED", True, "CANCELLED"),
            ("STARTED", True, "CANCELLED"),
            ("CANCELLED", False, "CANCELLED"),
        ]
        assert again[0]["cursor"] == queued["cursor"]


async def test_a_slow_reader_is_told_that_it_has_missed_changes(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_subscribers, "QUEUE_LIMIT", 2)
    async with aclosing(changed(url, {})) as items:
        await take(items, 1)
        # All in one reading of the node, so that the subscriber has no time to take any.
        await store.run_many(
            [store.calls.submit(f"b{n:031x}", "fibonacci", "1", b'{"n":4}', tags=()) for n in range(40)]
        )
        [missed] = await take(items, 1)
        if not missed["reset"]:
            [missed] = [item for item in await take(items, 3) if item["reset"]][:1]
        await submit(store, IDS[0])
        async with asyncio.timeout(10):
            while (await anext(items))["taskId"] != IDS[0]:
                pass


async def test_refusals_have_their_codes(url: str) -> None:
    async def code(where: dict[str, Any], after: str | None = None) -> str:
        async with aclosing(payloads(url, TRANSPORTS[0], CHANGED, {"where": where, "after": after})) as items:  # type: ignore[type-var]
            async with asyncio.timeout(10):
                refused = await anext(items)
        return str(refused["errors"][0]["extensions"]["code"])

    assert await code({}, "no cursor") == "BAD_CURSOR"
    assert await code({"tag": ""}) == "BAD_INPUT"
    open_ones = [changed(url, {}) for _ in range(3)]
    for items in open_ones:
        await take(items, 1)
    assert await code({}) == "TOO_MANY_SUBSCRIPTIONS"
    for items in open_ones:
        await items.aclose()


async def test_a_caller_gets_the_changes_of_the_tasks_that_it_may_list(settings: Settings, store: Store) -> None:
    names = ("acme", "bank")
    keys = {name: (await create_key(store, name, tenant_name(name), frozenset({Scope.READ}), None)) for name in names}
    async with api_node(replace(settings, authentication="required", tenants="isolated")) as url:
        streams = {name: changed(url, {}, token=key) for name, (key, _) in keys.items()}
        admin_key, _ = await create_key(store, "root", "ops", frozenset(Scope), None)
        streams["admin"] = changed(url, {"submittedBy": "Anna"}, token=admin_key)
        streams["stranger"] = changed(url, {"submittedBy": "Anna"}, token=keys["bank"][0])
        cursors = {name: (await take(items, 1))[0]["cursor"] for name, items in streams.items()}
        await submit(store, IDS[0], tenant="acme", actor=Actor("key:1", "acme", "Anna"))
        await submit(store, IDS[1], tenant="bank", actor=Actor("key:2", "bank", "Berta"))
        assert [item["taskId"] for item in await take(streams["acme"], 1)] == [IDS[0]]
        assert [item["taskId"] for item in await take(streams["bank"], 1)] == [IDS[1]]
        assert [item["taskId"] for item in await take(streams["admin"], 1)] == [IDS[0]]
        await streams["bank"].aclose()
        # Also when it resumes at a cursor from before the other tenant's.
        streams["bank"] = changed(url, {}, cursors["acme"], token=keys["bank"][0])
        assert [item["taskId"] for item in await take(streams["bank"], 1)] == [IDS[1]]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(streams["stranger"])
        for items in streams.values():
            await items.aclose()
        submitter, _ = await create_key(store, "blind", "acme", frozenset({Scope.SUBMIT}), None)
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                url,
                json={"query": CHANGED, "variables": {"where": {}}},
                headers={"Authorization": f"Bearer {submitter}", "Accept": "text/event-stream"},
            )
        assert '"FORBIDDEN"' in answer.text
