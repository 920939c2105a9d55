"""Callers who share a task: none of them can deny it to the others, and each can take back its own wish."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cluster.settings import Settings
from cluster.store.async_store import Store
from dask_graphql import AsyncClient, Client, Refused
from graphql_api.auth.callers import Scope
from tests.api_node import api_node
from tests.guarded import USER, Guarded, guarded_node

SUBMIT = """mutation($n: Int!, $options: SubmitOptions) {
  submitFibonacci(n: $n, options: $options) { taskId outcome task { state attempt result { __typename } } } }"""
TASK = """query($id: ID!) { task(taskId: $id) {
  state attempt submittedBy cancelledBy error { message } result { ... on FibonacciResult { value } } } }"""
CANCEL = "mutation($id: ID!) { cancelTask(taskId: $id) { state cancelledBy } }"
WITHDRAW = "mutation($id: ID!) { withdrawTask(taskId: $id) { state } }"
RETRY = "mutation($id: ID!) { retryTask(taskId: $id) { taskId outcome task { state attempt } } }"
RESULT = """subscription($id: ID!) { taskResult(taskId: $id) {
  state result { ... on FibonacciResult { value } } } }"""
LATER = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=29)).isoformat()
"""Nearly as late as `notBefore` may be (NOT_BEFORE_DAYS)."""


@pytest.fixture
async def guarded(settings: Settings, store: Store) -> AsyncIterator[Guarded]:
    async with guarded_node(settings, store) as made:
        await made.make_key("anna")
        await made.make_key("ben")
        await made.make_key("eve", tenant="evil")
        yield made


async def submit(guarded: Guarded, key: str, n: int, **options: Any) -> dict[str, Any]:
    body = await guarded.http(key, SUBMIT, {"n": n, "options": options})
    found: dict[str, Any] = body["data"]["submitFibonacci"]
    return found


async def task(guarded: Guarded, key: str, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await guarded.http(key, TASK, {"id": task_id}))["data"]["task"]
    return found


async def run(store: Store, task_id: str, attempt: int, value: int) -> None:
    """What a worker does."""
    assert (await store.run(store.calls.start(task_id, attempt, "worker"))).verdict == "RUN"
    result = b'{"n":90,"value":%d,"digits":2,"bit_length":4,"sha256":"x","text":"%d"}' % (value, value)
    assert await store.run(store.calls.finish(task_id, attempt, result))


async def field(store: Store, task_id: str, name: str) -> bytes | None:
    found: bytes | None = await store.command("HGET", store.calls.record_key(task_id), name)
    return found


async def test_one_withdraws_and_the_other_still_gets_the_result(guarded: Guarded, store: Store) -> None:
    task_id = (await submit(guarded, "anna", 7))["taskId"]
    assert (await submit(guarded, "eve", 7))["outcome"] == "JOINED"
    waiting = asyncio.ensure_future(guarded.new_socket("eve", RESULT, {"id": task_id}))
    refused = await guarded.http("anna", CANCEL, {"id": task_id})
    [error] = refused["errors"]
    assert error["extensions"] == {"code": "FORBIDDEN", "scope": "admin"}
    assert "withdrawTask" in error["message"]
    for _ in range(2):  # the reply to the first may have been lost
        withdrawn = await guarded.http("anna", WITHDRAW, {"id": task_id})
        assert withdrawn["data"]["withdrawTask"]["state"] == "QUEUED"
    await run(store, task_id, 1, 13)
    assert (await waiting)["data"]["taskResult"]["state"] == "SUCCEEDED"
    ended = await guarded.http("eve", WITHDRAW, {"id": task_id})
    assert ended["data"]["withdrawTask"]["state"] == "SUCCEEDED"


async def test_the_last_who_withdraws_ends_the_task(guarded: Guarded) -> None:
    await guarded.make_key("writer", frozenset({Scope.SUBMIT}))
    task_id = (await submit(guarded, "anna", 8))["taskId"]
    await guarded.http("writer", "mutation { submitFibonacci(n: 8) { taskId } }", {})
    assert (await guarded.http("anna", WITHDRAW, {"id": task_id}))["data"]["withdrawTask"]["state"] == "QUEUED"
    assert (await guarded.http("writer", WITHDRAW, {"id": task_id}))["data"]["withdrawTask"]["state"] == "CANCELLED"
    shown = await task(guarded, "anna", task_id)
    assert (shown["submittedBy"], shown["cancelledBy"]) == ("anna", "writer")
    assert "withdrawn" in shown["error"]["message"]
    for query, name in ((WITHDRAW, "withdrawTask"), (CANCEL, "cancelTask")):
        unknown = await guarded.http("anna", query, {"id": "e" * 32})
        assert (unknown["data"], unknown["errors"][0]["extensions"]["code"]) == ({name: None}, "TASK_NOT_FOUND")
    await guarded.make_key("reader", frozenset({Scope.READ}))
    forbidden = await guarded.http("reader", WITHDRAW, {"id": task_id})
    assert forbidden["errors"][0]["extensions"] == {"code": "FORBIDDEN", "scope": "submit"}


async def test_a_lone_task_is_cancelled_by_its_own_tenant_and_any_task_by_an_admin(guarded: Guarded) -> None:
    task_id = (await submit(guarded, "anna", 9))["taskId"]
    assert (await guarded.http("eve", CANCEL, {"id": task_id}))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    cancelled = await guarded.http("ben", CANCEL, {"id": task_id})
    assert cancelled["data"]["cancelTask"] == {"state": "CANCELLED", "cancelledBy": "ben"}
    for key in ("anna", "eve"):
        await submit(guarded, key, 9)
    cancelled = await guarded.http("admin", CANCEL, {"id": task_id})
    assert cancelled["data"]["cancelTask"] == {"state": "CANCELLED", "cancelledBy": "admin"}


async def test_a_task_that_was_cancelled_is_retried_by_its_id_as_if_it_were_submitted(
    guarded: Guarded, store: Store
) -> None:
    task_id = (await submit(guarded, "anna", 13, priority=-7, tags=["a", "b", "a"]))["taskId"]
    await guarded.http("admin", CANCEL, {"id": task_id})
    retried = (await guarded.http("ben", RETRY, {"id": task_id}))["data"]["retryTask"]
    assert retried == {"taskId": task_id, "outcome": "RECOMPUTED", "task": {"state": "QUEUED", "attempt": 2}}
    assert await field(store, task_id, "priority") == b"-7"
    assert await field(store, task_id, "tags") == b'["a","b"]'
    assert (await field(store, task_id, "submitted_by") or b"").endswith(b" ben")
    assert (await guarded.http("eve", RETRY, {"id": task_id}))["data"]["retryTask"]["outcome"] == "JOINED"
    await run(store, task_id, 2, 233)
    assert (await guarded.http("eve", RETRY, {"id": task_id}))["data"]["retryTask"]["outcome"] == "CACHED"
    audit = "query($id: ID) { audit(taskId: $id) { edges { node { action caller code } } } }"
    async with asyncio.timeout(10):
        while True:
            found = (await guarded.http("admin", audit, {"id": task_id}))["data"]["audit"]["edges"]
            actions = [(edge["node"]["action"], edge["node"]["caller"], edge["node"]["code"]) for edge in found]
            if len(actions) == 5:
                break
            await asyncio.sleep(0.05)
    assert actions[2] == ("RECOMPUTE", "ben", "RECOMPUTED")
    await guarded.make_key("reader", frozenset({Scope.READ}))
    [error] = (await guarded.http("reader", RETRY, {"id": task_id}))["errors"]
    assert error["extensions"] == {"code": "FORBIDDEN", "scope": "submit"}
    [error] = (await guarded.http("anna", RETRY, {"id": "0" * 32}))["errors"]
    assert error["extensions"]["code"] == "TASK_NOT_FOUND"


@pytest.mark.parametrize("tags", [[str(n) for n in range(9)], [""], ["x" * 65], ["two\nlines"]])
async def test_tags_are_few_and_short(guarded: Guarded, tags: list[str]) -> None:
    [error] = (await guarded.http("anna", SUBMIT, {"n": 1, "options": {"tags": tags}}))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("BAD_INPUT", "options.tags")


async def test_a_task_whose_type_has_changed_is_not_retried(guarded: Guarded, store: Store) -> None:
    task_id = (await submit(guarded, "anna", 14))["taskId"]
    await guarded.http("admin", CANCEL, {"id": task_id})
    await store.command("HSET", store.calls.record_key(task_id), "input", b'{"n":15}')
    [error] = (await guarded.http("anna", RETRY, {"id": task_id}))["errors"]
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert "has changed since" in error["message"]


async def test_not_before_of_one_caller_denies_nobody(guarded: Guarded, store: Store) -> None:
    squatted = await submit(guarded, "eve", 10, notBefore=LATER)
    task_id = squatted["taskId"]
    assert int(await field(store, task_id, "not_before") or 0) > 1 << 40
    joined = await submit(guarded, "anna", 10)
    assert (joined["outcome"], joined["taskId"]) == ("JOINED", task_id)
    assert await field(store, task_id, "not_before") == b""
    # What one caller hastened, nobody can delay again.
    await submit(guarded, "eve", 10, notBefore=LATER, recompute=True, priority=-100)
    await run(store, task_id, 1, 55)
    assert (await task(guarded, "anna", task_id))["result"] == {"value": "55"}


async def test_a_recompute_by_a_stranger_leaves_the_old_result_readable(guarded: Guarded, store: Store) -> None:
    task_id = (await submit(guarded, "anna", 11))["taskId"]
    await run(store, task_id, 1, 89)
    again = await submit(guarded, "eve", 11, recompute=True, notBefore=LATER)
    assert again["outcome"] == "RECOMPUTED"
    assert again["task"] == {"state": "QUEUED", "attempt": 2, "result": {"__typename": "FibonacciResult"}}
    shown = await task(guarded, "anna", task_id)
    assert (shown["state"], shown["result"]) == ("QUEUED", {"value": "89"})
    listed = await guarded.http("anna", "{ tasks { edges { node { state result { __typename } } } } }", {})
    assert listed["data"]["tasks"]["edges"] == [
        {"node": {"state": "QUEUED", "result": {"__typename": "FibonacciResult"}}}
    ]
    assert (await guarded.http("eve", WITHDRAW, {"id": task_id}))["data"]["withdrawTask"]["state"] == "CANCELLED"
    shown = await task(guarded, "anna", task_id)
    assert (shown["state"], shown["result"]) == ("CANCELLED", {"value": "89"})
    assert (await submit(guarded, "anna", 11))["outcome"] == "RECOMPUTED"
    await run(store, task_id, 3, 90)
    assert (await task(guarded, "anna", task_id))["result"] == {"value": "90"}


async def test_a_higher_priority_moves_a_task_that_waits_up(guarded: Guarded, store: Store) -> None:
    task_id = (await submit(guarded, "eve", 12, priority=-100))["taskId"]
    await submit(guarded, "anna", 12, priority=50)
    await submit(guarded, "eve", 12, priority=-100)
    assert await field(store, task_id, "priority") == b"50"


@pytest.mark.parametrize("tenants", ["shared", "isolated"])
async def test_names_are_shown_to_admins_and_to_the_same_tenant(settings: Settings, store: Store, tenants: str) -> None:
    async with guarded_node(settings, store, tenants=tenants) as guarded:
        for name, tenant in (("anna", "acme"), ("ben", "acme"), ("eve", "evil")):
            await guarded.make_key(name, USER, tenant)
        task_id = (await submit(guarded, "anna", 5))["taskId"]
        await guarded.http("ben", CANCEL, {"id": task_id})
        for key in ("anna", "ben", "admin"):
            shown = await task(guarded, key, task_id)
            assert (shown["submittedBy"], shown["cancelledBy"]) == ("anna", "ben")
        hidden = await task(guarded, "eve", task_id)
        if tenants == "isolated":
            assert hidden is None
        else:
            assert (hidden["state"], hidden["submittedBy"], hidden["cancelledBy"]) == ("CANCELLED", None, None)


async def test_without_authentication_shared_tasks_are_protected_by_address(settings: Settings) -> None:
    async with (
        api_node(replace(settings, trusted_proxies="127.0.0.1")) as url,
        httpx.AsyncClient(verify=False) as client,
    ):

        async def ask(address: str, query: str, **variables: Any) -> dict[str, Any]:
            headers = {"X-Forwarded-For": address}
            response = await client.post(url, json={"query": query, "variables": variables}, headers=headers)
            body: dict[str, Any] = response.json()
            return body

        task_id = (await ask("10.0.0.1", SUBMIT, n=3))["data"]["submitFibonacci"]["taskId"]
        shown = [(await ask(f"10.0.0.{n}", TASK, id=task_id))["data"]["task"]["submittedBy"] for n in (1, 2)]
        assert shown == ["10.0.0.1", None]
        await ask("10.0.0.2", SUBMIT, n=3)
        assert (await ask("10.0.0.3", CANCEL, id=task_id))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert (await ask("10.0.0.1", WITHDRAW, id=task_id))["data"]["withdrawTask"]["state"] == "QUEUED"
        assert (await ask("10.0.0.3", CANCEL, id=task_id))["data"]["cancelTask"]["state"] == "CANCELLED"


async def test_the_python_clients_withdraw(guarded: Guarded) -> None:
    def in_a_thread() -> tuple[str, str]:
        with Client(guarded.url, guarded.keys["ben"]) as client:
            return client.submit("fibonacci", n=20).task_id, client.submit("fibonacci", n=20).withdraw()

    async with AsyncClient(guarded.url, guarded.keys["anna"]) as client:
        handle = await client.submit("fibonacci", n=20)
        assert await asyncio.to_thread(in_a_thread) == (handle.task_id, "QUEUED")
        await submit(guarded, "eve", 20)
        with pytest.raises(Refused, match="withdrawTask"):
            await handle.cancel()
        assert await handle.withdraw() == "QUEUED"
        await guarded.http("eve", WITHDRAW, {"id": handle.task_id})
        assert await handle.state() == "CANCELLED"
