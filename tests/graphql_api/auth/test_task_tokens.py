"""Task tokens: what they are for works on every transport, and nothing else does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from cluster.errors import BadInput, StoreUnavailable
from cluster.settings import Settings, load_settings
from cluster.store import task_search
from cluster.store.async_store import Store
from cluster.task_types.registry import load_registry
from dask_graphql.cli import command
from graphql_api.auth.callers import Caller, Scope
from graphql_api.auth.confinement import Confinement
from graphql_api.auth.keys import KEYS_CHANGED, revoke_key
from graphql_api.auth.revoked_tokens import RevokedTokens
from graphql_api.auth.task_tokens import TaskTokens
from tests.api_node import api_node
from tests.sockets import dial, receive, send
from tests.system import RedisServer
from tests.task_modules.pictures import DOT
from tests.tenants import PICTURES, World, world

SECRET: Final = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
async def shared(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(redis_server, tmp_path_factory.mktemp("tokens")) as made:
        yield made


async def make_token(world: World, creator: str, arguments: str, selection: str = "token") -> Any:
    data = await world.ask(creator, f"mutation {{ createTaskToken({arguments}) {{ {selection} }} }}")
    return data["createTaskToken"]["token"] if selection == "token" else data["createTaskToken"]


async def closed(socket: ClientConnection) -> None:
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()


async def code_of(world: World, token: str, query: str) -> str:
    refusal = await world.refusal(token, query)
    return str(refusal["code"])


async def first_item(world: World, token: str, query: str) -> dict[str, Any]:
    """The first message of an operation on a WebSocket whose connection_init has the token."""
    async with dial(world.url, "graphql-transport-ws") as socket:
        await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        assert (await receive(socket))["type"] == "connection_ack"
        await send(socket, {"id": "1", "type": "subscribe", "payload": {"query": query}})
        return await receive(socket)


def of_task(task_id: str) -> str:
    return f'{{ task(taskId: "{task_id}") {{ state input logs {{ text }} result {{ __typename }} }} }}'


async def test_a_token_reads_its_tasks_on_every_way_in_and_no_others(shared: World) -> None:
    creator = await shared.key("reading")
    own, other = [(await shared.submit(creator, name))["taskId"] for name in ("own", "other")]
    blobs = [await shared.end(task_id) for task_id in (own, other)]
    token = await make_token(shared, creator, f'taskIds: ["{own}"]')
    assert (await shared.ask(token, of_task(own)))["task"]["state"] == "SUCCEEDED"
    assert (await shared.ask(token, of_task(other)))["task"] is None
    for query in (
        f'subscription {{ taskResult(taskId: "{own}") {{ taskId }} }}',
        f'subscription {{ taskResults(taskIds: ["{other}", "{own}"]) {{ taskId }} }}',
        f'subscription {{ taskEvents(taskId: "{own}") {{ taskId }} }}',
    ):
        [item] = (await first_item(shared, token, query))["payload"]["data"].values()
        assert item["taskId"] == own
        stream = (
            await shared.client.get(
                shared.url, params={"query": query, "token": token}, headers={"Accept": "text/event-stream"}, timeout=2
            )
            if "Results" not in query
            else None
        )
        assert stream is None or own in stream.text
    root = shared.url.removesuffix("/graphql")
    found = [await shared.client.get(f"{root}/blobs/{blob}", params={"token": token}) for blob in blobs]
    assert [answer.status_code for answer in found] == [200, 404]
    assert found[0].content == DOT
    assert found[0].headers["referrer-policy"] == "no-referrer"


async def test_a_subscription_to_a_task_that_a_token_is_not_for_is_silent(shared: World) -> None:
    creator = await shared.key("silent")
    own, other = [(await shared.submit(creator, name))["taskId"] for name in ("mine", "not mine")]
    await shared.end(other)
    token = await make_token(shared, creator, f'taskIds: ["{own}"]')
    async with dial(shared.url, "graphql-transport-ws") as socket:
        await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        assert (await receive(socket))["type"] == "connection_ack"
        for number, name in enumerate(("taskResult", "taskEvents", "taskItems")):
            field = f'{name}(taskId: "{other}") {{ {"number" if name == "taskItems" else "taskId"} }}'
            await send(
                socket, {"id": str(number), "type": "subscribe", "payload": {"query": f"subscription {{ {field} }}"}}
            )
        query = f'subscription {{ taskResult(taskId: "{own}") {{ taskId }} }}'
        await send(socket, {"id": "own", "type": "subscribe", "payload": {"query": query}})
        await shared.end(own)
        assert (await receive(socket))["id"] == "own"


async def test_a_token_is_worth_nothing_for_the_same_input_of_another_tenant(shared: World) -> None:
    one, other = await shared.key("tenant-one"), await shared.key("tenant-two")
    ids = [(await shared.submit(creator, "the same"))["taskId"] for creator in (one, other)]
    assert ids[0] != ids[1]
    token = await make_token(
        shared,
        one,
        f"taskIds: {json.dumps(ids)}, scopes: [READ, CANCEL]",
    )
    assert (await shared.ask(token, of_task(ids[0])))["task"]["state"] == "QUEUED"
    assert (await shared.ask(token, of_task(ids[1])))["task"] is None
    cancel = 'mutation {{ cancelTask(taskId: "{}") {{ state }} }}'
    assert await code_of(shared, token, cancel.format(ids[1])) == "TASK_NOT_FOUND"
    assert (await shared.ask(token, cancel.format(ids[0])))["cancelTask"] == {"state": "CANCELLED"}


FOREIGN: Final = {
    "cluster": "{ cluster { tasks { count } } }",
    "usage": "{ usage { account } }",
    "audit": "{ audit { edges { node { action } } } }",
    "another token": 'mutation { createTaskToken(tag: "x") { token } }',
    "submit": 'mutation { submitPortrait(name: "x") { taskId } }',
    "many": 'mutation { submitPortraitMany(inputs: [{name: "x"}]) { taskId } }',
    "upload": 'mutation { createUpload(sha256: "' + "0" * 64 + '", sizeBytes: 1) { url } }',
}


async def test_a_token_to_read_does_nothing_else(shared: World) -> None:
    creator = await shared.key("narrow", frozenset({Scope.ADMIN}))
    task_id = (await shared.submit(creator, "narrow"))["taskId"]
    token = await make_token(shared, creator, f'taskIds: ["{task_id}"]')
    for what, query in FOREIGN.items():
        assert await code_of(shared, token, query) == "FORBIDDEN", what
    for mutation in ("cancelTask", "withdrawTask", "retryTask"):
        assert (
            await code_of(shared, token, f'mutation {{ {mutation}(taskId: "{task_id}") {{ taskId }} }}') == "FORBIDDEN"
        )
    root = shared.url.removesuffix("/graphql")
    headers = {"Authorization": f"Bearer {token}"}
    assert (await shared.client.get(f"{root}/metrics", headers=headers)).status_code == 403
    assert (await shared.client.get(f"{root}/files/sha256:{'0' * 64}", headers=headers)).status_code == 403
    assert (await shared.client.post(f"{root}/files", headers=headers, content=b"x")).status_code == 403
    assert (await shared.ask(token, "{ caller { scopes taskIdSalt } }"))["caller"] == {
        "scopes": ["READ"],
        "taskIdSalt": None,
    }


async def test_a_token_has_no_scope_that_its_creator_lacks(shared: World) -> None:
    reader = await shared.key("only-reads", frozenset({Scope.READ}))
    for scopes in ("CANCEL", "READ, CANCEL"):
        assert (
            await code_of(shared, reader, f'mutation {{ createTaskToken(tag: "x", scopes: [{scopes}]) {{ token }} }}')
            == "FORBIDDEN"
        )
    admin = await shared.key("does-all", frozenset({Scope.ADMIN}))
    for scope in ("ADMIN", "PRIORITY"):
        assert (
            await code_of(shared, admin, f'mutation {{ createTaskToken(tag: "x", scopes: [{scope}]) {{ token }} }}')
            == "BAD_INPUT"
        )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("", "taskIds"), ('tag: ""', "taskIds"), ('taskIds: ["x"]', None), ('tag: "a\\nb"', "tag"),
        ("scopes: [SUBMIT]", "names"), ('tag: "x", names: ["portrait"]', "names"),
        ('scopes: [SUBMIT], names: ["nothing"]', "names"), ('tag: "x", expiresIn: 0', "expiresIn"),
        ('tag: "x", expiresIn: "P2D"', "expiresIn"), ('tag: "x", expiresIn: "soon"', "expiresIn"),
        ("taskIds: " + json.dumps([f"{n:032x}" for n in range(101)]), "taskIds"),
    ],
)  # fmt: skip
async def test_a_token_for_nothing_or_without_bounds_is_not_made(
    shared: World, arguments: str, named: str | None
) -> None:
    creator = await shared.key("wrong")
    call = f"({arguments})" if arguments else ""
    refusal = await shared.refusal(creator, f"mutation {{ createTaskToken{call} {{ token }} }}")
    assert refusal["code"] == ("BAD_TASK_ID" if named is None else "BAD_INPUT")
    assert refusal.get("argument") == named


async def test_a_token_of_a_tag_follows_the_tag(shared: World) -> None:
    creator = await shared.key("tagging")
    tagged = 'mutation {{ submitPortrait(name: "tagged", options: {{tags: ["{}"], recompute: true}}) {{ taskId }} }}'
    task_id = (await shared.ask(creator, tagged.format("user-1")))["submitPortrait"]["taskId"]
    first, second = [await make_token(shared, creator, f'tag: "user-{n}", scopes: [READ, CANCEL]') for n in (1, 2)]
    blob = await shared.end(task_id)
    root = shared.url.removesuffix("/graphql")

    async def seen(token: str) -> tuple[bool, int]:
        task = (await shared.ask(token, of_task(task_id)))["task"]
        answer = await shared.client.get(f"{root}/blobs/{blob}", params={"token": token})
        return task is not None, answer.status_code

    assert await seen(first) == (True, 200)
    assert await seen(second) == (False, 404)
    await shared.ask(creator, tagged.format("user-2"))
    assert await seen(first) == (False, 404)
    assert await seen(second) == (True, 200)
    cancel = f'mutation {{ cancelTask(taskId: "{task_id}") {{ state }} }}'
    assert await code_of(shared, first, cancel) == "TASK_NOT_FOUND"
    assert (await shared.ask(second, cancel))["cancelTask"] == {"state": "CANCELLED"}


async def test_a_token_submits_the_types_that_it_names_with_its_tag(shared: World) -> None:
    creator = await shared.key("running")
    arguments = 'tag: "user-3", names: ["portrait"], scopes: [SUBMIT, READ, CANCEL]'
    token = await make_token(shared, creator, arguments)
    mine = await shared.submit(token, "run by a page", "taskId outcome task { tags submittedBy }")
    assert mine["outcome"] == "NEW"
    assert mine["task"] == {"tags": ["user-3"], "submittedBy": "task token of running"}
    caller = (await shared.ask(token, "{ caller { taskIdSalt } }"))["caller"]
    assert caller == (await shared.ask(creator, "{ caller { taskIdSalt } }"))["caller"]
    # What a page makes up is not sent elsewhere in its tenant's name.
    named = 'mutation { submitPortrait(name: "x", options: {webhook: "https://app.example.com"}) { taskId } }'
    for query in ("{ webhookSecret }", "{ webhooks { id } }", named):
        assert await code_of(shared, token, query) == "FORBIDDEN"
    # What others submitted first it may read, as it could submit the same; but it is not its to end.
    theirs = await shared.submit(creator, "run by others")
    assert (await shared.submit(token, "run by others"))["outcome"] == "JOINED"
    assert (await shared.ask(token, of_task(theirs["taskId"])))["task"]["state"] == "QUEUED"
    for mutation in ("cancelTask", "withdrawTask"):
        query = f'mutation {{ {mutation}(taskId: "{theirs["taskId"]}") {{ state }} }}'
        assert await code_of(shared, token, query) == "TASK_NOT_FOUND"
    for query in (
        "mutation { submitGallery(count: 1) { taskId } }",
        'mutation { submitPortrait(name: "x", options: {tags: ["user-4"]}) { taskId } }',
        'mutation { submitPortrait(name: "x", options: {recompute: true}) { taskId } }',
        'mutation { submitPortrait(name: "x", options: {priority: 1}) { taskId } }',
    ):
        assert await code_of(shared, token, query) == "FORBIDDEN"
    gallery = await shared.ask(creator, "mutation { submitGallery(count: 2) { taskId } }")
    retry = f'mutation {{ retryTask(taskId: "{gallery["submitGallery"]["taskId"]}") {{ taskId }} }}'
    assert await code_of(shared, token, retry) == "TASK_NOT_FOUND"


LIST: Final = """{{ tasks(first: {}, after: {}{}) {{
  totalCount nodes {{ taskId }} pageInfo {{ hasNextPage endCursor }} }} }}"""


async def pages(world: World, token: str, first: int, where: str = "") -> tuple[list[str], list[str]]:
    """The ids in all pages of the list, and the ids in their cursors."""
    ids: list[str] = []
    cursors: list[str] = []
    after, more = "null", True
    while more:
        found = (await world.ask(token, LIST.format(first, after, where)))["tasks"]
        assert found["totalCount"] is None
        ids += [node["taskId"] for node in found["nodes"]]
        more, after = found["pageInfo"]["hasNextPage"], json.dumps(found["pageInfo"]["endCursor"])
        if after != "null":
            cursors.append(base64.urlsafe_b64decode(json.loads(after) + "==").decode().partition(":")[2])
    return ids, cursors


async def test_a_list_has_the_tasks_of_the_token_and_tells_no_other_id(
    shared: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_search, "CHUNK", 3)
    monkeypatch.setattr(task_search, "SCANNED_TASKS", 6)
    creator = await shared.key("listing")
    tagged = 'mutation {{ submitPortrait(name: "{}", options: {{tags: ["{}"]}}) {{ taskId }} }}'
    made: dict[str, list[str]] = {"one": [], "two": []}
    for n in range(24):
        tag = "one" if n % 8 < 2 else "two"
        made[tag].append((await shared.ask(creator, tagged.format(f"{tag}-{n}", tag)))["submitPortrait"]["taskId"])
    by_tag = await make_token(shared, creator, 'tag: "one", names: ["portrait"], scopes: [SUBMIT, READ]')
    by_id = await make_token(shared, creator, f"taskIds: {json.dumps(made['one'])}")
    allowed = {*made["one"], "f" * 32, "0" * 32}
    for token in (by_tag, by_id):
        for first, where in ((100, ""), (2, ""), (2, ", orderBy: OLDEST_FIRST"), (3, ', where: {names: ["portrait"]}')):
            ids, cursors = await pages(shared, token, first, where)
            assert sorted(ids) == sorted(made["one"])
            assert set(cursors) <= allowed
        assert (await pages(shared, token, 5, ', where: {tag: "two"}'))[0] == []


def resigned(token: str, **changes: Any) -> str:
    """The token with other claims, and its old signature."""
    payload, _, signature = token.removeprefix("dgt_").partition(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"dgt_{encoded({**claims, **changes})}.{signature}"


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


async def test_a_token_that_is_forged_or_taken_for_another_kind_is_refused(shared: World) -> None:
    creator = await shared.key("forged")
    task_id = (await shared.submit(creator, "forged"))["taskId"]
    token = await make_token(shared, creator, f'taskIds: ["{task_id}"]')
    payload, _, signature = token.removeprefix("dgt_").partition(".")
    claims = {"sub": "forged", "aud": "dask", "exp": time.time() + 60, "scope": "submit read cancel admin"}
    other_secret = TaskTokens(replace(shared.settings, task_token_secrets=(SECRET,)), shared.store, time.time)
    stranger = await other_secret.issue(
        Caller("key:x", account="forged"), [Scope.READ], Confinement(frozenset([task_id])), 60
    )
    wrong = {
        "more scopes": resigned(token, scp=["read", "cancel", "submit", "admin"]),
        "a later end": resigned(token, exp=int(time.time()) + 90_000),
        "another account": resigned(token, acc="bank"),
        "no signature": f"dgt_{payload}.",
        "an empty signature": f"dgt_{payload}",
        "a padded signature": f"{token}=",
        "another secret": stranger.text,
        "an unsigned JWT": jwt.encode(claims, "", algorithm="none"),
        "a JWT signed with our public parts": jwt.encode(claims, signature, algorithm="HS256"),
        "a JWT with our form": "dgt_" + jwt.encode(claims, SECRET, algorithm="HS256"),
        "its payload as a JWT": ".".join([encoded({"alg": "HS256"}), payload, signature]),
    }
    for what, text in wrong.items():
        answer = await shared.post(text, of_task(task_id))
        assert answer.status_code == 401, what
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_token_ends_and_never_later_than_the_credential_that_made_it(shared: World) -> None:
    brief = shared.token("brief", exp=time.time() + 2)
    made = await make_token(shared, brief, 'tag: "x", expiresIn: "PT1H"', "token expiresAt")
    # With the tolerance that the JWT has too.
    assert made["expiresAt"] < time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 33))
    creator = await shared.key("ends")
    short = await make_token(shared, creator, 'tag: "x", expiresIn: 2')
    assert (await shared.post(short, "{ caller { name } }")).status_code == 200
    async with dial(shared.url, "graphql-transport-ws") as socket:
        await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {short}"}})
        assert (await receive(socket))["type"] == "connection_ack"
        await asyncio.sleep(2)
        # The node checks every few seconds, and when keys have changed.
        await shared.store.command("PUBLISH", shared.store.calls.all_channel, KEYS_CHANGED)
        await closed(socket)
    assert (await shared.post(short, "{ caller { name } }")).status_code == 401


async def test_a_token_ends_with_the_key_that_made_it_and_with_its_scopes(shared: World) -> None:
    creator = await shared.key("gone")
    token = await make_token(shared, creator, 'tag: "x"')
    assert (await shared.post(token, "{ caller { name } }")).status_code == 200
    await revoke_key(shared.store, creator.split("_")[1])
    async with asyncio.timeout(5):
        while (await shared.post(token, "{ caller { name } }")).status_code != 401:
            await asyncio.sleep(0.02)


async def test_all_tokens_end_when_the_secret_is_replaced(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    creator = await shared.key("rotating")
    token = await make_token(shared, creator, 'tag: "x"')
    for name in ("redis_url", "key_prefix"):
        monkeypatch.setenv(f"DASK_GRAPHQL_{name.upper()}", getattr(shared.settings, name))
    async with dial(shared.url, "graphql-transport-ws") as socket:
        await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        assert (await receive(socket))["type"] == "connection_ack"
        ran = await asyncio.to_thread(CliRunner().invoke, command, ["keys", "revoke-tokens"])
        assert ran.exit_code == 0, ran.output
        await closed(socket)
    monkeypatch.setenv("DASK_GRAPHQL_TASK_TOKEN_SECRETS", SECRET)
    useless = await asyncio.to_thread(CliRunner().invoke, command, ["keys", "revoke-tokens"])
    assert useless.exit_code != 0
    assert (await shared.post(token, "{ caller { name } }")).status_code == 401
    assert (await shared.post(await make_token(shared, creator, 'tag: "x"'), "{ caller { name } }")).status_code == 200


async def revoke(world: World, credential: str, token: str) -> Any:
    answer = (await world.post(credential, f'mutation {{ revokeTaskToken(token: "{token}") }}')).json()
    [error] = answer.get("errors") or [None]
    return error["extensions"]["code"] if error else answer["data"]["revokeTaskToken"]


async def test_one_token_is_revoked_with_its_sockets_and_links_on_every_node(shared: World) -> None:
    creator = await shared.key("one by one")
    task_id = (await shared.submit(creator, "linked"))["taskId"]
    await shared.end(task_id)
    token, twin = [await make_token(shared, creator, f'taskIds: ["{task_id}"]') for _ in range(2)]
    assert token != twin
    query = f'{{ task(taskId: "{task_id}") {{ result {{ ... on Portrait {{ image {{ href }} }} }} }} }}'
    link, other_link = [(await shared.ask(one, query))["task"]["result"]["image"]["href"] for one in (token, twin)]
    assert (await shared.client.get(link)).status_code == 200
    async with api_node(shared.settings, load_registry((PICTURES,))) as other_node:
        headers = {"Authorization": f"Bearer {token}"}
        body = {"query": "{ caller { name } }"}
        assert (await shared.client.post(other_node, json=body, headers=headers)).status_code == 200
        async with dial(other_node, "graphql-transport-ws") as socket:
            await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
            assert (await receive(socket))["type"] == "connection_ack"
            assert await revoke(shared, creator, token) is True
            await closed(socket)
        assert (await shared.client.post(other_node, json=body, headers=headers)).status_code == 401
    assert (await shared.post(token, "{ caller { name } }")).status_code == 401
    assert (await shared.client.get(link)).status_code == 401
    assert await revoke(shared, creator, token) is False
    assert (await shared.ask(twin, "{ caller { name } }"))["caller"] is not None
    assert (await shared.client.get(other_link)).status_code == 200
    admin = await shared.key("auditor", frozenset({Scope.ADMIN}))
    async with asyncio.timeout(5):
        while not (
            lines := (await shared.ask(admin, "{ audit(action: TOKEN_REVOKED) { nodes { taskIds code } } }"))["audit"]
        )["nodes"]:
            await asyncio.sleep(0.05)
    assert lines["nodes"] == [{"taskIds": [task_id], "code": "read"}]


async def test_a_token_is_revoked_by_its_tenant_an_admin_or_itself(shared: World) -> None:
    creator, stranger = await shared.key("owner"), await shared.key("stranger")
    admin = await shared.key("chief", frozenset({Scope.ADMIN}))
    first, second, third = [await make_token(shared, creator, 'tag: "x"') for _ in range(3)]
    for other in (stranger, third):
        assert await revoke(shared, other, first) == "FORBIDDEN"
    assert [await revoke(shared, by, token) for by, token in ((creator, first), (admin, second), (third, third))] == [
        True
    ] * 3
    for token in (first, second, third):
        assert (await shared.post(token, "{ caller { name } }")).status_code == 401
    assert await revoke(shared, stranger, "dgt_x.y") is False


async def test_revoked_tokens_are_bounded_and_dropped_when_they_would_have_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr("graphql_api.auth.revoked_tokens.MAX_PER_ACCOUNT", 2)
    revoked = RevokedTokens(store, lambda: now)
    await revoked.add("a", "acme", 1_010)
    await revoked.add("b", "acme", 1_020)
    with pytest.raises(BadInput, match="revoke the API key"):
        await revoked.add("c", "acme", 1_020)
    await revoked.add("d", "bank", 1_020)
    now = 1_015.0
    await revoked.add("c", "acme", 1_020)
    assert await RevokedTokens(store, lambda: now).has(["c"])
    assert await store.command("ZCARD", store.calls.revoked_tokens_key) == 3


async def test_a_node_that_cannot_read_the_revoked_tokens_accepts_none(settings: Settings) -> None:
    closed_port = Store(replace(settings, redis_url="redis://127.0.0.1:1/0"))
    with pytest.raises(StoreUnavailable):
        await RevokedTokens(closed_port, time.time).has(["a"])
    await closed_port.close()


async def test_secrets_of_the_setting_are_rotated_without_a_gap(store: Store, settings: Settings) -> None:
    old, new = "o" * 32, "n" * 32

    def tokens(*secrets: str) -> TaskTokens:
        return TaskTokens(replace(settings, task_token_secrets=secrets), store, time.time)

    made = await tokens(old).issue(Caller("key:1", account="a"), [Scope.READ], Confinement(tag="x"), 60)
    assert await tokens(new, old).read(made.text) is not None
    assert await tokens(new).read(made.text) is None
    assert load_settings({"DASK_GRAPHQL_TASK_TOKEN_SECRETS": f"{new}, {old}"}).task_token_secrets == (new, old)


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


@given(st.data())
def test_no_changed_text_is_a_token(data: st.DataObject) -> None:
    tokens = TaskTokens(Settings(task_token_secrets=(SECRET,)), None, lambda: 1_000.0)  # type: ignore[arg-type]
    creator = Caller("key:1", account="acme")
    made = at_once(tokens.issue(creator, [Scope.READ], Confinement(frozenset(["a" * 32])), 60)).text
    at = data.draw(st.integers(0, len(made) - 1))
    changed = made[:at] + data.draw(st.text(st.characters(codec="utf-8"), max_size=2)) + made[at + 1 :]
    found = at_once(tokens.read(changed))
    assert (found is not None) == (changed == made)


async def test_a_token_in_a_url_is_for_downloads_and_event_streams_only(shared: World) -> None:
    creator = await shared.key("in-a-url")
    token = await make_token(shared, creator, 'tag: "x"')
    root = shared.url.removesuffix("/graphql")
    query = {"query": "{ caller { name } }", "token": token}
    assert (await shared.client.get(shared.url, params=query)).status_code == 401
    assert (await shared.client.post(shared.url, params={"token": token}, json=query)).status_code == 401
    assert (await shared.client.get(f"{root}/metrics", params={"token": token})).status_code == 401
    for credential in (creator, shared.token("anna")):
        answer = await shared.client.get(f"{root}/blobs/{'a' * 32}/1/x", params={"token": credential})
        assert answer.status_code == 401
        assert "only a task token may be in a URL" in answer.json()["error"]
    streamed = await shared.client.get(shared.url, params=query, headers={"Accept": "text/event-stream"})
    assert "token:key:" in streamed.text


async def test_no_token_gets_into_a_log_an_error_or_the_audit_log(
    shared: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    creator = await shared.key("unseen")
    token = await make_token(shared, creator, 'tag: "x"')
    root = shared.url.removesuffix("/graphql")
    answers = [
        await shared.client.get(f"{root}{path}", params={"token": shown, "query": "{ nothing }"}, headers=headers)
        for path in ("/graphql", "/blobs/x", "/files/x", "/tables/x.csv", "/nowhere", "/")
        for shown in (token, token[:-1], creator)
        for headers in ({}, {"Accept": "text/event-stream"})
    ]
    admin = await shared.key("watching", frozenset({Scope.ADMIN}))
    async with asyncio.timeout(5):
        while "TOKEN_CREATED" not in (
            audited := (await shared.post(admin, "{ audit { edges { node { action code } } } }")).text
        ):
            await asyncio.sleep(0.05)
    own = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    for text in (audited, *own, *(answer.text for answer in answers)):
        assert token[:-1] not in text
        assert creator not in text


async def test_where_no_credential_is_required_a_token_confines_all_the_same(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with world(redis_server, tmp_path, authentication="none", tenants="shared") as made:
        ids = [(await made.submit("", name))["taskId"] for name in ("one", "two")]
        token = await make_token(made, "", f'taskIds: ["{ids[0]}"]')
        assert (await made.ask(token, of_task(ids[0])))["task"] is not None
        assert (await made.ask(token, of_task(ids[1])))["task"] is None
        assert (await made.post(token[:-2] + "aa", of_task(ids[0]))).status_code == 401
        short = await make_token(made, "", f'taskIds: ["{ids[0]}"], expiresIn: 1')
        async with dial(made.url, "graphql-transport-ws") as socket:
            await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {short}"}})
            assert (await receive(socket))["type"] == "connection_ack"
            await asyncio.sleep(1)
            await made.store.command("PUBLISH", made.store.calls.all_channel, KEYS_CHANGED)
            await closed(socket)
        guarded = replace(made.settings, authentication="required")
        async with api_node(guarded) as url:
            headers = {"Authorization": f"Bearer {token}"}
            assert (await made.client.post(url, json={"query": of_task(ids[0])}, headers=headers)).status_code == 401


async def test_all_tokens_of_a_creator_have_its_limits_together(redis_server: RedisServer, tmp_path: Path) -> None:
    async with world(redis_server, tmp_path, operations_per_minute=4, waiters_per_client=1) as made:
        creator = await made.key("limited")
        tokens = [await make_token(made, creator, f'tag: "user-{n}"') for n in range(2)]
        names = [(await made.ask(token, "{ caller { name tenant } }"))["caller"] for token in tokens]
        # Beside the creator itself, whom no page can use up.
        assert names == [{"name": f"token:key:{creator.split('_')[1]}", "tenant": "limited"}] * 2
        wait = 'subscription { taskResult(taskId: "' + "0" * 32 + '") { taskId } }'
        async with dial(made.url, "graphql-transport-ws") as socket:
            await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {tokens[0]}"}})
            assert (await receive(socket))["type"] == "connection_ack"
            await send(socket, {"id": "1", "type": "subscribe", "payload": {"query": wait}})
            refused = await first_item(made, tokens[1], wait)
        assert "TOO_MANY_SUBSCRIPTIONS" in json.dumps(refused)
        answers = [(await made.post(tokens[1], "{ caller { name } }")).text for _ in range(3)]
        assert "RATE_LIMITED" in answers[-1]
        assert (await made.ask(creator, "{ caller { name } }"))["caller"]["name"].startswith("key:")
