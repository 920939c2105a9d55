"""Bulk operations by filter: what one page does, whom it refuses, and that pages can be resumed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from graphql_api.auth.callers import Scope
from graphql_api.schema import bulk_mutations, bulk_retry
from tests.guarded import Guarded, guarded_node
from tests.transports import TRANSPORTS, payloads

RESULT = "matched done wantedByOthers refused { code message count taskIds } endCursor hasNextPage"
SUBMIT = """mutation($inputs: [FibonacciInput!]!, $options: SubmitOptions) {
  submitFibonacciMany(inputs: $inputs, options: $options) { taskId } }"""
FORGET = "mutation($id: ID!) { forgetTask(taskId: $id) { state attempt } }"


@pytest.fixture
async def guarded(settings: Settings, store: Store) -> AsyncIterator[Guarded]:
    async with guarded_node(replace(settings, submissions_per_minute=0), store) as made:
        await made.make_key("anna")
        await made.make_key("ben")
        await made.make_key("eve", tenant="evil")
        yield made


async def submit(guarded: Guarded, key: str, numbers: Sequence[int], **options: Any) -> list[str]:
    body = await guarded.http(key, SUBMIT, {"inputs": [{"n": n} for n in numbers], "options": options})
    return [each["taskId"] for each in body["data"]["submitFibonacciMany"]]


async def bulk(guarded: Guarded, key: str, name: str, where: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    query = f"""mutation($where: TaskFilter!, $first: Int, $after: String, $dryRun: Boolean) {{
      {name}(where: $where, first: $first, after: $after, dryRun: $dryRun) {{ {RESULT} }} }}"""
    body = await guarded.http(key, query, {"where": where, **arguments})
    assert "errors" not in body, body
    found: dict[str, Any] = body["data"][name]
    return found


async def refusal(guarded: Guarded, key: str, name: str, where: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    query = f"mutation($where: TaskFilter!, $first: Int) {{ {name}(where: $where, first: $first) {{ done }} }}"
    [found] = (await guarded.http(key, query, {"where": where, **arguments}))["errors"]
    extensions: dict[str, Any] = found["extensions"]
    return extensions


async def fail(store: Store, task_ids: Sequence[str], code: str = "BROKEN") -> None:
    for task_id in task_ids:
        record = await store.read(task_id)
        assert record is not None
        assert (
            await store.run(store.calls.fail(task_id, record.attempt, error(code, f"it failed\n{task_id}"))) == "FAILED"
        )


async def states(store: Store, task_ids: Sequence[str]) -> list[str]:
    return [str(record and record.state) for record in await store.read_many(task_ids)]


async def test_tasks_are_cancelled_in_pages_that_follow_each_other(guarded: Guarded, store: Store) -> None:
    ids = await submit(guarded, "anna", range(7), tags=["a"])
    [other] = await submit(guarded, "anna", [99])
    await fail(store, ids[:1])
    dry = await bulk(guarded, "anna", "cancelTasks", {"tag": "a"}, dryRun=True)
    assert (dry["matched"], dry["done"], dry["refused"], dry["hasNextPage"]) == (6, 6, [], False)
    assert await states(store, ids) == ["FAILED", *["QUEUED"] * 6]
    page = await bulk(guarded, "anna", "cancelTasks", {"tags": ["a", "b"]}, first=4)
    assert (page["matched"], page["done"], page["hasNextPage"]) == (4, 4, True)
    assert sorted(await states(store, ids)) == [*["CANCELLED"] * 4, "FAILED", "QUEUED", "QUEUED"]
    last = await bulk(guarded, "anna", "cancelTasks", {"tags": ["a"]}, after=page["endCursor"])
    assert (last["done"], last["hasNextPage"]) == (2, False)
    assert await states(store, [*ids[1:], other]) == [*["CANCELLED"] * 6, "QUEUED"]
    async with asyncio.timeout(10):
        while True:
            entries = await guarded.lines(1, action="CANCEL")
            if sum(entry["count"] for entry in entries) == 6:
                break
            await asyncio.sleep(0.05)
    assert {each for entry in entries for each in entry["taskIds"]} == set(ids[1:])


async def test_tasks_that_others_want_are_refused_and_counted(guarded: Guarded, store: Store) -> None:
    ids = await submit(guarded, "anna", range(3))
    await submit(guarded, "eve", range(1, 3))
    for dry in (True, False):
        found = await bulk(guarded, "anna", "cancelTasks", {"states": ["QUEUED"]}, dryRun=dry)
        assert (found["matched"], found["done"], found["wantedByOthers"]) == (3, 1, 0)
        [refused] = found["refused"]
        assert (refused["code"], refused["count"], set(refused["taskIds"])) == ("FORBIDDEN", 2, set(ids[1:]))
        admins = await bulk(guarded, "admin", "cancelTasks", {"ids": ids[1:]}, dryRun=True)
        assert (admins["done"], admins["wantedByOthers"], admins["refused"]) == (2, 2, [])
    assert await states(store, ids) == ["CANCELLED", "QUEUED", "QUEUED"]
    withdrawn = await bulk(guarded, "anna", "withdrawTasks", {"ids": ids})
    assert (withdrawn["matched"], withdrawn["done"], withdrawn["wantedByOthers"]) == (2, 2, 2)
    again = await bulk(guarded, "anna", "withdrawTasks", {"ids": ids})
    assert (again["matched"], again["done"]) == (2, 0)
    assert (await bulk(guarded, "eve", "withdrawTasks", {"ids": ids}))["done"] == 2
    assert await states(store, ids) == ["CANCELLED"] * 3


async def test_all_that_failed_with_one_error_is_retried_by_the_key_of_its_group(
    guarded: Guarded, store: Store
) -> None:
    ids = await submit(guarded, "anna", range(5))
    await fail(store, ids[:3])
    await fail(store, ids[3:4], "OTHER")
    groups = (await guarded.http("anna", "{ failures { key code count } }", {}))["data"]["failures"]
    assert [(group["code"], group["count"]) for group in groups] == [("BROKEN", 3), ("OTHER", 1)]
    done = await bulk(guarded, "anna", "retryTasks", {"failureGroup": groups[0]["key"]})
    assert (done["matched"], done["done"], done["hasNextPage"]) == (3, 3, False)
    assert await states(store, ids) == [*["QUEUED"] * 3, "FAILED", "QUEUED"]
    refused = await refusal(guarded, "anna", "retryTasks", {"failureGroup": "BROKEN"})
    assert (refused["code"], refused["argument"]) == ("BAD_INPUT", "where.failureGroup")


async def test_failed_tasks_are_submitted_again_with_their_priority_and_tags(
    guarded: Guarded, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "READ_BYTES", 20)
    monkeypatch.setattr(bulk_mutations, "CHUNK", 3)
    one = await submit(guarded, "anna", range(4), tags=["a"], priority=-3)
    two = await submit(guarded, "anna", range(10, 13), tags=["b"])
    await fail(store, [*one, *two])
    [kept] = await submit(guarded, "anna", [50])
    where = {"errorCodes": ["BROKEN", "OTHER"], "names": ["fibonacci"]}
    dry = await bulk(guarded, "ben", "retryTasks", where, dryRun=True)
    assert (dry["matched"], dry["done"]) == (7, 7)
    assert await states(store, one) == ["FAILED"] * 4
    await store.command("HSET", store.calls.record_key(two[0]), "input", b'{"n":51}')
    found = await bulk(guarded, "ben", "retryTasks", where)
    assert (found["matched"], found["done"], found["wantedByOthers"], found["hasNextPage"]) == (7, 6, 0, False)
    [refused] = found["refused"]
    assert (refused["code"], refused["count"], refused["taskIds"]) == ("BAD_INPUT", 1, [two[0]])
    assert await states(store, [*one, *two, kept]) == [*["QUEUED"] * 4, "FAILED", "QUEUED", "QUEUED", "QUEUED"]
    record = await store.read(one[0])
    assert record is not None
    assert (record.priority, record.tags, record.attempt) == (-3, ("a",), 2)


async def test_each_run_key_is_a_task_of_its_own_and_is_submitted_again_with_its_key(
    guarded: Guarded, store: Store
) -> None:
    [shared] = await submit(guarded, "anna", [7])
    runs = [(await submit(guarded, "anna", [7], runKey=key))[0] for key in ("monday", "tuesday", "monday")]
    assert len({shared, *runs}) == 3
    assert runs[0] == runs[2]
    await fail(store, runs[:2])
    assert (await bulk(guarded, "ben", "retryTasks", {"ids": runs}))["done"] == 2
    retry = "mutation($id: ID!) { retryTask(taskId: $id) { outcome task { taskId runKey attempt } } }"
    body = await guarded.http("anna", retry, {"id": runs[0]})
    assert body["data"]["retryTask"] == {
        "outcome": "JOINED", "task": {"taskId": runs[0], "runKey": "monday", "attempt": 2},
    }  # fmt: skip
    assert await states(store, [shared, *runs]) == ["QUEUED"] * 4


async def test_a_page_of_retries_ends_where_the_queue_is_full_and_a_later_one_continues(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_mutations, "CHUNK", 2)
    async with guarded_node(replace(settings, submissions_per_minute=8), store) as guarded:
        await guarded.make_key("anna")
        ids = await submit(guarded, "anna", range(5))
        await fail(store, ids)
        page = await bulk(guarded, "anna", "retryTasks", {"ids": ids})
        assert (page["matched"], page["done"], page["hasNextPage"]) == (3, 3, True)
        full = await refusal(guarded, "anna", "retryTasks", {"ids": ids})
        assert (full["code"], full["limit"]) == ("RATE_LIMITED", 8)
        await guarded.make_key("ben")
        rest = await bulk(guarded, "ben", "retryTasks", {"ids": ids}, after=page["endCursor"])
        assert (rest["matched"], rest["done"], rest["hasNextPage"]) == (2, 2, False)
        assert await states(store, ids) == ["QUEUED"] * 5


async def test_tasks_that_have_ended_are_forgotten(guarded: Guarded, store: Store) -> None:
    ids = await submit(guarded, "anna", range(4))
    await submit(guarded, "eve", [3])
    await fail(store, ids[1:])
    open_ = await guarded.http("anna", FORGET, {"id": ids[0]})
    assert open_["errors"][0]["extensions"] == {"code": "BAD_INPUT", "argument": "taskId"}
    shared = await guarded.http("anna", FORGET, {"id": ids[3]})
    assert shared["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    foreign = await guarded.http("eve", FORGET, {"id": ids[1]})
    assert foreign["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    forgotten = await guarded.http("ben", FORGET, {"id": ids[1]})
    assert forgotten["data"]["forgetTask"] == {"state": "FAILED", "attempt": 1}
    gone = await guarded.http("ben", FORGET, {"id": ids[1]})
    assert gone["errors"][0]["extensions"]["code"] == "TASK_NOT_FOUND"
    assert (await bulk(guarded, "anna", "forgetTasks", {"ids": ids}, dryRun=True))["done"] == 1
    found = await bulk(guarded, "anna", "forgetTasks", {"ids": ids})
    assert (found["matched"], found["done"], [each["code"] for each in found["refused"]]) == (2, 1, ["FORBIDDEN"])
    assert (await bulk(guarded, "admin", "forgetTasks", {"states": ["FAILED"]}))["wantedByOthers"] == 1
    assert await states(store, ids) == ["QUEUED", "None", "None", "None"]
    [entry] = await guarded.lines(1, action="FORGET", taskId=ids[1])
    assert entry["caller"] == "ben"
    assert await submit(guarded, "ben", [1]) == [ids[1]]
    record = await store.read(ids[1])
    assert record is not None
    assert (record.attempt, record.seq) == (1, 1)


async def test_who_may_not_is_refused_and_a_filter_without_a_condition_too(guarded: Guarded) -> None:
    some = {"states": ["QUEUED", "FAILED"]}
    await guarded.make_key("writer", frozenset({Scope.SUBMIT, Scope.CANCEL}))
    await guarded.make_key("reader", frozenset({Scope.READ}))
    for name in ("cancelTasks", "withdrawTasks", "retryTasks", "forgetTasks"):
        assert (await refusal(guarded, "writer", name, some))["scope"] == "read"
        assert (await refusal(guarded, "reader", name, some))["code"] == "FORBIDDEN"
        assert await refusal(guarded, "anna", name, {}) == {"code": "BAD_INPUT", "argument": "where"}
        for first in (0, 1_001):
            bounds = {"code": "BAD_INPUT", "argument": "first", "limit": 1_000}
            assert await refusal(guarded, "anna", name, some, first=first) == bounds
        assert (await refusal(guarded, "anna", name, {"ids": ["x"]}))["code"] == "BAD_TASK_ID"
        assert (await refusal(guarded, "anna", name, {"tags": ["x"] * 101}))["limit"] == 100
        assert (await refusal(guarded, "anna", name, {"minRunSeconds": -1.0}))["argument"] == "where.minRunSeconds"


async def test_isolated_tenants_act_on_their_own_tasks_only(settings: Settings, store: Store) -> None:
    async with guarded_node(settings, store, tenants="isolated") as guarded:
        await guarded.make_key("anna")
        await guarded.make_key("eve", tenant="evil")
        ids = await submit(guarded, "anna", range(2))
        for where in ({"ids": ids}, {"states": ["QUEUED"]}, {"text": "fib"}):
            assert (await bulk(guarded, "eve", "cancelTasks", where))["matched"] == 0
        assert (await bulk(guarded, "admin", "cancelTasks", {"ids": ids[:1]}))["done"] == 1
        assert (await bulk(guarded, "anna", "retryTasks", {"ids": ids}))["done"] == 1
        await fail(store, ids)
        assert (await guarded.http("eve", FORGET, {"id": ids[0]}))["errors"][0]["extensions"][
            "code"
        ] == "TASK_NOT_FOUND"
        assert (await bulk(guarded, "eve", "forgetTasks", {"ids": ids}))["matched"] == 0
        assert (await bulk(guarded, "anna", "forgetTasks", {"ids": ids}))["done"] == 2


async def test_a_task_token_ends_its_own_tasks_only(guarded: Guarded, store: Store) -> None:
    await submit(guarded, "anna", range(2))
    ids = await submit(guarded, "anna", range(2, 5), tags=["mine"])
    make = (
        """mutation { createTaskToken(tag: "mine", names: ["fibonacci"], scopes: [READ, CANCEL, SUBMIT]) { token } }"""
    )
    made = await guarded.http("anna", make, {})
    guarded.keys["page"] = made["data"]["createTaskToken"]["token"]
    where = {"states": ["QUEUED", "CANCELLED", "FAILED"]}
    assert (await bulk(guarded, "page", "cancelTasks", where, first=2))["done"] == 2
    assert (await bulk(guarded, "page", "cancelTasks", where))["done"] == 1
    assert (await bulk(guarded, "page", "retryTasks", where, dryRun=True))["done"] == 3
    assert (await bulk(guarded, "page", "retryTasks", where))["done"] == 3
    assert await states(store, ids) == ["QUEUED"] * 3
    assert (await bulk(guarded, "page", "withdrawTasks", where))["done"] == 3
    assert (await bulk(guarded, "page", "forgetTasks", where))["matched"] == 3
    assert (await bulk(guarded, "anna", "cancelTasks", where))["done"] == 2


WAIT = "subscription($id: ID!) { taskResult(taskId: $id) { state attempt } }"
CHANGES = """subscription($where: TaskFilter!) { tasksChanged(where: $where) {
  reset matches kind taskId task { taskId } } }"""


async def test_those_who_follow_learn_that_a_task_was_forgotten_and_those_who_wait_get_its_next_run(
    guarded: Guarded, store: Store
) -> None:
    [task_id] = await submit(guarded, "anna", [5])
    async with asyncio.timeout(20):
        items = payloads(guarded.url, TRANSPORTS[0], CHANGES, {"where": {"errorCode": "BROKEN"}}, guarded.keys["anna"])
        assert (await anext(items))["data"]["tasksChanged"]["reset"]
        await fail(store, [task_id])
        failed = (await anext(items))["data"]["tasksChanged"]
        assert (failed["kind"], failed["matches"], failed["task"]) == ("FAILED", True, {"taskId": task_id})
        await guarded.http("anna", FORGET, {"id": task_id})
        gone = (await anext(items))["data"]["tasksChanged"]
        assert gone == {"reset": False, "matches": False, "kind": "FAILED", "taskId": task_id, "task": None}
        waiting = asyncio.ensure_future(guarded.new_socket("anna", WAIT, {"id": task_id}))
        assert await submit(guarded, "anna", [5]) == [task_id]
        await fail(store, [task_id])
        assert (await waiting)["data"]["taskResult"] == {"state": "FAILED", "attempt": 1}
