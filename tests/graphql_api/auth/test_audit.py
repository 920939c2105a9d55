"""Who did what: each action leaves its line, on every transport, and admins can read the lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from cluster.api_node import audit_log
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.audit_stream import AuditAction, AuditEntry, read_audit
from dask_graphql.cli import command
from graphql_api.auth.callers import Scope
from tests.api_node import api_node
from tests.guarded import AUDIT, USER, Guarded, guarded_node
from tests.sockets import dial, receive, send

SUBMIT = "mutation($n: Int!) { submitFibonacci(n: $n) { taskId outcome } }"
RECOMPUTE = "mutation($n: Int!) { submitFibonacci(n: $n, options: {recompute: true}) { taskId outcome } }"

Execute = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Executes an operation with a credential."""


@pytest.fixture
async def guarded(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Guarded]:
    monkeypatch.setattr(audit_log, "WRITE_SECONDS", 0.05)
    async with guarded_node(settings, store, submissions_per_minute=5) as made:
        for name, scopes in (("anna", USER), ("ben", USER), ("reader", frozenset({Scope.READ}))):
            await made.make_key(name, scopes)
        yield made


DOORS = ("http", "events", "new_socket", "legacy_socket")


async def test_each_action_leaves_its_line_on_every_transport(guarded: Guarded) -> None:
    for n, door in enumerate(DOORS):
        execute: Execute = getattr(guarded, door)
        anna, ben = await guarded.make_key(f"anna by {door}"), await guarded.make_key(f"ben by {door}")
        submitted = (await execute(anna, SUBMIT, {"n": n}))["data"]["submitFibonacci"]
        task_id = submitted["taskId"]
        joined = (await execute(ben, SUBMIT, {"n": n}))["data"]["submitFibonacci"]
        assert (submitted["outcome"], joined["outcome"]) == ("NEW", "JOINED")
        await execute("admin", "mutation($id: ID!) { cancelTask(taskId: $id) { state } }", {"id": task_id})
        again = (await execute(ben, RECOMPUTE, {"n": n}))["data"]["submitFibonacci"]
        assert again["outcome"] == "RECOMPUTED"
        lines = await guarded.lines(4, taskId=task_id)
        assert {(line["action"], line["caller"], line["code"]) for line in lines} == {
            ("SUBMIT", anna, "NEW"),
            ("JOIN", ben, "JOINED"),
            ("CANCEL", "admin", None),
            ("RECOMPUTE", ben, "RECOMPUTED"),
        }
        for line in lines:
            assert line["callerId"].startswith("key:")
            assert (line["tenant"], line["address"], line["name"]) == ("acme", "127.0.0.1", "fibonacci")
            assert line["taskIds"] == [task_id]


async def test_each_refusal_leaves_its_line_on_every_transport(guarded: Guarded) -> None:
    for door in DOORS:
        execute: Execute = getattr(guarded, door)
        reader = await guarded.make_key(f"reader by {door}", frozenset({Scope.READ}))
        busy = await guarded.make_key(f"busy by {door}")
        assert "FORBIDDEN" in json.dumps(await execute(reader, SUBMIT, {"n": 5}))
        many = "mutation { submitFibonacciMany(inputs: [{n: 1}, {n: 2}, {n: 3}, {n: 4}, {n: 5}, {n: 6}]) { taskId } }"
        assert "RATE_LIMITED" in json.dumps(await execute(busy, many, {}))
        with contextlib.suppress(ConnectionClosed):
            await execute(f"dgk_{'0' * 12}_{'a' * 43}", SUBMIT, {"n": 5})
        await guarded.lines(1, caller=reader)
        await guarded.lines(1, caller=busy)
    lines = await guarded.lines(3 * len(DOORS), action="REFUSED")
    told = Counter[tuple[Any, ...]]()
    for line in lines:
        told[line["caller"], line["tenant"], line["address"], line["code"]] += line["count"]
    expected = Counter[tuple[Any, ...]]({(None, None, "127.0.0.1", "UNAUTHENTICATED"): len(DOORS)})
    for door in DOORS:
        expected[f"reader by {door}", "acme", "127.0.0.1", "FORBIDDEN"] = 1
        expected[f"busy by {door}", "acme", "127.0.0.1", "RATE_LIMITED"] = 1
    assert told == expected
    headers = {"Authorization": f"Bearer {guarded.keys['admin']}"}
    text = (await guarded.client.get(guarded.url.replace("graphql", "metrics"), headers=headers)).text
    for code in ("FORBIDDEN", "RATE_LIMITED", "UNAUTHENTICATED", "QUEUE_FULL"):
        assert f'dask_graphql_refusals_total{{code="{code}"}}' in text


async def test_blobs_and_metrics_leave_their_refusals_too(guarded: Guarded) -> None:
    for path, key, status in (("metrics", "reader", 403), (f"blobs/{'a' * 32}/1/x", "nonsense", 401)):
        headers = {"Authorization": f"Bearer {guarded.keys.get(key, key)}"}
        response = await guarded.client.get(guarded.url.replace("graphql", path), headers=headers)
        assert response.status_code == status
    lines = await guarded.lines(2, action="REFUSED")
    assert {(line["caller"], line["code"]) for line in lines} == {("reader", "FORBIDDEN"), (None, "UNAUTHENTICATED")}


async def test_a_connection_too_many_leaves_a_line(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "WRITE_SECONDS", 0.05)
    async with guarded_node(settings, store, sockets_per_client=1) as guarded:
        async with dial(guarded.url, "graphql-transport-ws") as socket:
            payload = {"authorization": f"Bearer {guarded.keys['admin']}"}
            await send(socket, {"type": "connection_init", "payload": payload})
            assert (await receive(socket))["type"] == "connection_ack"
            with pytest.raises(InvalidStatus):
                await guarded.new_socket("admin", "{ __typename }", {})
        [line] = await guarded.lines(1, action="REFUSED")
        assert (line["caller"], line["address"], line["code"]) == (None, "127.0.0.1", "TOO_MANY_SUBSCRIPTIONS")


async def test_what_is_refused_before_anybody_asks_for_a_credential_leaves_a_line(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "WRITE_SECONDS", 0.05)
    async with guarded_node(settings, store, connections_per_address=2) as guarded:
        client, health = guarded.client, guarded.url.replace("graphql", "healthz")
        for url, headers, status, code in (
            (guarded.url, {"Host": "evil.example"}, 421, "FOREIGN_HOST"),
            (health, {"Host": "evil.example"}, 421, "FOREIGN_HOST"),
            (guarded.url, {"Origin": "https://evil.example"}, 403, "FOREIGN_ORIGIN"),
        ):
            response = await client.post(url, headers=headers)
            assert (response.status_code, code in response.text) == (status, True)
        # The client holds one connection, the socket the other.
        async with dial(guarded.url, "graphql-transport-ws"), httpx.AsyncClient() as another:
            assert (await another.get(health)).status_code == 429
        with pytest.raises(InvalidStatus):
            await connect(guarded.url.replace("http", "ws", 1), origin=Origin("https://evil.example"))
        lines = await guarded.lines(5, action="REFUSED")
    told = Counter[tuple[Any, ...]]()
    for line in lines:
        told[line["caller"], line["address"], line["code"]] += line["count"]
    assert told == {
        (None, "127.0.0.1", "FOREIGN_HOST"): 2,
        (None, "127.0.0.1", "FOREIGN_ORIGIN"): 2,
        (None, "127.0.0.1", "TOO_MANY_CONNECTIONS"): 1,
    }


async def test_only_admins_read_the_log_in_pages_and_by_caller(guarded: Guarded) -> None:
    refused = await guarded.http("anna", AUDIT, {})
    assert refused["errors"][0]["extensions"] == {"code": "FORBIDDEN", "scope": "admin"}
    for n in (10, 11):
        await guarded.http("ben", SUBMIT, {"n": n})
        await guarded.lines(n - 9, action="SUBMIT")
    [line] = [line for line in await guarded.lines(1, action="REFUSED") if line["caller"] == "anna"]
    assert [line] == await guarded.lines(1, caller="anna") == await guarded.lines(1, caller=line["callerId"])
    seen: list[str] = []
    after = None
    for _ in range(10):
        page = (await guarded.http("admin", AUDIT, {"first": 1, "after": after, "action": "SUBMIT"}))["data"]["audit"]
        seen += [task_id for edge in page["edges"] for task_id in edge["node"]["taskIds"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert len(seen) == len(set(seen)) == 2
    wrong = await guarded.http("admin", AUDIT, {"after": "yesterday"})
    assert wrong["errors"][0]["extensions"]["code"] == "BAD_CURSOR"


async def test_a_batch_is_one_line_and_is_logged_as_one(guarded: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audit")
    many = "mutation { submitFibonacciMany(inputs: [{n: 1}, {n: 2}, {n: 3}, {n: 4}]) { taskId } }"
    body = await guarded.http("anna", many, {})
    ids = [item["taskId"] for item in body["data"]["submitFibonacciMany"]]
    [line] = await guarded.lines(4, action="SUBMIT")
    assert (line["count"], line["taskIds"]) == (4, ids)
    [logged] = [record for record in caplog.records if record.name == "audit"]
    fields: dict[str, Any] = logged.fields  # type: ignore[attr-defined]
    assert (fields["action"], fields["caller"], fields["taskIds"]) == ("SUBMIT", "anna", ids)
    assert guarded.keys["anna"] not in str(fields)


async def test_without_authentication_callers_see_only_their_own_address(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "WRITE_SECONDS", 0.05)
    async with api_node(replace(settings, trusted_proxies="127.0.0.1")) as url, httpx.AsyncClient() as client:
        guarded = Guarded(url, store, client)
        await guarded.http("", SUBMIT, {"n": 1})
        await client.post(url, json={"query": SUBMIT, "variables": {"n": 2}}, headers={"X-Forwarded-For": "10.1.1.1"})
        lines = await guarded.lines(1)
        assert {line["address"] for line in lines} == {"127.0.0.1"}
        body = {"query": "{ audit { edges { node { address } } } }"}
        async with asyncio.timeout(10):
            while True:
                shown = (await client.post(url, json=body, headers={"X-Forwarded-For": "10.1.1.1"})).json()
                if edges := shown["data"]["audit"]["edges"]:
                    break
                await asyncio.sleep(0.02)
        assert [edge["node"]["address"] for edge in edges] == ["10.1.1.1"]


async def test_each_change_of_a_webhook_leaves_a_line(guarded: Guarded) -> None:
    async def change(operation: str) -> Any:
        [answer] = (await guarded.http("anna", f"mutation {{ {operation} }}", {}))["data"].values()
        return answer

    made = (await change('createWebhook(url: "https://1.1.1.1/hooks") { id }'))["id"]
    await change(f'enableWebhook(id: "{made}") {{ id }}')
    await change(f'rotateWebhookSecret(id: "{made}")')
    await change(f'deleteWebhook(id: "{made}")')
    lines = await guarded.lines(4, caller="anna")
    assert [(line["action"], line["code"]) for line in lines] == [
        ("WEBHOOK_CREATED", made), ("WEBHOOK_ENABLED", made), ("WEBHOOK_SECRET_ROTATED", made),
        ("WEBHOOK_DELETED", made),
    ]  # fmt: skip


def test_what_the_command_changes_leaves_a_line(settings: Settings) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(command, words, env=settings.environment(), catch_exceptions=False)
        assert done.exit_code == 0
        return done.output.strip()

    async def lines() -> list[AuditEntry]:
        store = Store(settings)
        page = await read_audit(store, 20, None, lambda _: True)
        await store.close()
        return [entry for _, entry in page.entries][::-1]

    key_id = run("keys", "create", "ci", "--tenant", "acme").split("_")[1]
    run("keys", "revoke", key_id)
    run("tenants", "set", "acme", "--weight", "2.5")
    run("tenants", "set", "acme", "--max-bytes", "123456789012")
    run("tenants", "remove", "acme")
    for _ in range(2):  # what is paused already is not paused by this one
        run("types", "pause", "fibonacci")
    run("types", "resume", "fibonacci")
    found = asyncio.run(lines())
    assert [(line.action, line.tenant, line.task, line.code) for line in found] == [
        (AuditAction.KEY_CREATED, "acme", "", f"{key_id} ci"),
        (AuditAction.KEY_REVOKED, "acme", "", f"{key_id} ci"),
        (AuditAction.TENANT_SET, "acme", "", "weight=2.5"),
        (AuditAction.TENANT_SET, "acme", "", "weight=2.5 max_bytes=123456789012"),
        (AuditAction.TENANT_REMOVED, "acme", "", ""),
        (AuditAction.TYPE_PAUSED, "", "fibonacci", ""),
        (AuditAction.TYPE_RESUMED, "", "fibonacci", ""),
    ]
    assert all(line.caller_id.startswith(f"command:{line.caller}@") and not line.address for line in found)
