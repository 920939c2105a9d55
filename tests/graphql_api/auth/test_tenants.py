"""Tenants are kept apart on every way in, whatever they are called; and what a credential without `read` may see."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.store.keys import Keys
from cluster.store.record import TaskState
from graphql_api.auth.callers import (
    EVERYTHING,
    JWT_PREFIX,
    Scope,
    address_caller_name,
    jwt_caller_name,
    stored_tenant_name,
    tenant_name,
)
from graphql_api.auth.keys import ApiKey
from tests.sockets import dial, receive, send
from tests.system import RedisServer
from tests.tenants import USER, World, world

HOSTILE: Final = (
    "bank:n:portrait", "bank:*", "bank:s:SUCCEEDED", "bank:n:portrait:s:SUCCEEDED", "bank%3An%3Aportrait", "bank|*",
    "bank bank", "bank\nbank", "jwt/bank", "jwt/jwt/bank", "key:bank", "*", ":", "{bank}", "bank\0", "bänk", "BANK",
)  # fmt: skip
"""Names of tenants that look like parts of a key in Redis, or like another tenant's name."""


@pytest.fixture(scope="module")
async def shared(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(redis_server, tmp_path_factory.mktemp("tenants")) as made:
        yield made


# Names ----------------------------------------------------------------------------------------------------------------

names = st.text(max_size=12) | st.lists(
    st.sampled_from(
        [":", "n", "s", "t", "*", "|", "/", " ", "%", "3A", "jwt", "bank", "SUCCEEDED", "portrait", "{", "}"]
    )
).map("".join)


def lists_of(tenant: str) -> set[str]:
    """The keys of all lists of a tenant in one shard, as the scripts and the queries name them."""
    kinds = product([None, *TaskState], [None, "n", "s", "bank", "portrait"])
    return {Keys("dg").index_key("0", state, name, tenant) for state, name in kinds}


@given(names, names)
@example("bank", "bank:n:portrait")
@example("bank", "bank:s:SUCCEEDED")
@example("a b", "a%20b")
def test_no_two_tenants_have_a_list_in_common(one: str, other: str) -> None:
    made = []
    for text in (one, other):
        try:
            name = tenant_name(text)
        except ValueError:
            return
        # What separates the members of `expiry`, and the parts of a key, occurs in no name.
        assert re.fullmatch(r"[\w.~@%-]+", name, re.ASCII)
        assert stored_tenant_name(name) == name
        made.append(name)
    if one != other:
        assert not lists_of(made[0]) & lists_of(made[1])
    for key_tenant, jwt_tenant in product(made, made):
        assert not lists_of(key_tenant) & lists_of(JWT_PREFIX + jwt_tenant)
    everyones = {Keys("dg").index_key("0", state, name) for state, name in product([None, *TaskState], [None, "t"])}
    assert not everyones & (lists_of(made[0]) | lists_of(JWT_PREFIX + made[0]))


@pytest.mark.parametrize("text", ["", "x" * 129, "ü" * 22, "\ud800"])
def test_a_name_that_cannot_be_a_tenant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        tenant_name(text)


def test_the_tenant_of_a_key_that_earlier_code_stored_is_held_to_the_form() -> None:
    stored = {"name": "x", "hash": "", "tenant": "bank:n:echo|%20@", "scopes": [], "created_at": 0, "expires_at": None}
    assert ApiKey.load("0" * 12, json.dumps(stored).encode()).tenant == "bank%3An%3Aecho%7C%20@"


@given(st.text(max_size=300), st.text(max_size=300))
@example("a" * 200, "a" * 201)
def test_the_names_of_callers_are_as_different_as_their_subjects(one: str, other: str) -> None:
    try:
        made = [jwt_caller_name(one), jwt_caller_name(other)]
    except ValueError:
        return
    assert all(re.fullmatch(r"jwt:[\w.~@%-]{1,117}", name, re.ASCII) for name in made)
    assert (made[0] == made[1]) == ((one or "none") == (other or "none"))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("::1", "address:::1"),
        ("<script>a b", "address:unknown"),
        ("", "address:unknown"),
        ("1.2.3.4:key", "address:unknown"),
        ("fe80::1%" + "a" * 10_000, "address:unknown"),
    ],
)
def test_a_caller_without_a_credential_is_named_by_its_network(address: str, name: str) -> None:
    assert address_caller_name(address) == name


# Every way in ---------------------------------------------------------------------------------------------------------


FILTERS: Final = {
    "all": "first: 100",
    "state": "first: 100, state: SUCCEEDED",
    "name": 'first: 100, name: "portrait"',
    "both": 'first: 100, state: SUCCEEDED, name: "portrait"',
    "where": 'last: 100, where: {states: [SUCCEEDED], names: ["portrait"]}',
    "text": 'last: 100, orderBy: OLDEST_FIRST, where: {text: "portrait"}',
}
PAGE: Final = "{ edges { node { taskId input } } totalCount }"
LISTS: Final = " ".join(
    [
        "{ cluster { tasks { state count } }",
        *(f"{alias}: tasks({text}) {PAGE}" for alias, text in FILTERS.items()),
        "}",
    ]
)
"""`tasks` with every filter, and the number of tasks in each state."""


async def listed(world: World, token: str) -> tuple[set[frozenset[str]], int]:
    """The different sets of ids in a caller's lists, and how many SUCCEEDED tasks it is told of."""
    data = await world.ask(token, LISTS)
    ids = {frozenset(edge["node"]["taskId"] for edge in data[alias]["edges"]) for alias in FILTERS}
    # What is counted is what is listed; a search for a text counts nothing.
    assert {data[alias]["totalCount"] for alias in FILTERS} == {len(data["all"]["edges"]), None}
    return ids, next(item["count"] for item in data["cluster"]["tasks"] if item["state"] == "SUCCEEDED")


async def test_no_tenant_reads_anything_of_another_by_its_name(shared: World) -> None:
    victim = shared.token("bank")
    task_id = (await shared.submit(victim))["taskId"]
    blob = await shared.end(task_id)
    callers = [shared.token(name) for name in HOSTILE] + [await shared.key(name) for name in ("bank", *HOSTILE[:6])]
    for token in callers:
        # Each has a task of its own, so that lists of both kinds exist.
        own = await shared.submit(token)
        assert own["outcome"] == "NEW"
        assert own["taskId"] != task_id
        await shared.end(own["taskId"])
        assert await listed(shared, token) == ({frozenset([own["taskId"]])}, 1)
        assert (await shared.ask(token, f'{{ task(taskId: "{task_id}") {{ state }} }}'))["task"] is None
        assert await blob_status(shared, token, blob) == 404
    assert await listed(shared, victim) == ({frozenset([task_id])}, 1)
    assert await blob_status(shared, victim, blob) == 200
    [everything], count = await listed(shared, await shared.key("root", frozenset({Scope.ADMIN})))
    assert len(everything) == count == len(callers) + 1


async def blob_status(world: World, token: str, key: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return (await world.client.get(world.url.replace("graphql", f"blobs/{key}"), headers=headers)).status_code


async def test_a_list_shows_no_foreign_record_even_if_an_index_has_its_id(shared: World) -> None:
    one, other = await shared.key("one-list"), await shared.key("other-list")
    foreign = (await shared.submit(one))["taskId"]
    own = (await shared.submit(other))["taskId"]
    key = shared.store.calls.index_key(foreign[0], None, None, "other-list")
    await shared.store.command("ZADD", key, 1, foreign)
    shown = await shared.ask(other, "{ tasks { edges { node { taskId } } } }")
    assert [edge["node"]["taskId"] for edge in shown["tasks"]["edges"]] == [own]


SUBSCRIPTIONS: Final = (
    'subscription {{ taskResult(taskId: "{}") {{ taskId state }} }}',
    'subscription {{ taskResults(taskIds: ["{}"]) {{ taskId state }} }}',
    'subscription {{ taskEvents(taskId: "{}") {{ taskId kind }} }}',
)


@pytest.mark.parametrize(
    ("protocol", "start", "item"),
    [("graphql-transport-ws", "subscribe", "next"), ("graphql-ws", "start", "data")],
)
async def test_a_foreign_task_is_waited_for_like_an_unknown_one(
    shared: World, protocol: str, start: str, item: str
) -> None:
    victim, other = await shared.key("bank"), await shared.key("waiting")
    text = f"{protocol}-waits"
    ended, open_, own = [
        (await shared.submit(token, name))["taskId"]
        for token, name in ((victim, f"{text}-1"), (victim, f"{text}-2"), (other, text))
    ]
    await shared.end(ended)
    async with dial(shared.url, protocol) as socket:
        await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {other}"}})
        while (await receive(socket))["type"] != "connection_ack":
            pass
        for task_id in (ended, open_, "0" * 32):
            for number, query in enumerate(SUBSCRIPTIONS):
                payload = {"query": query.format(task_id)}
                await send(socket, {"id": f"{task_id}-{number}", "type": start, "payload": payload})
        await send(socket, {"id": "own", "type": start, "payload": {"query": SUBSCRIPTIONS[0].format(own)}})
        await shared.end(open_)
        await shared.end(own)
        # The own task ended last, so that whatever the others had to say would have come before it.
        while (message := await receive(socket))["type"] in ("ka", "ping"):
            pass
        assert (message["id"], message["type"]) == ("own", item)
        assert message["payload"]["data"]["taskResult"] == {"taskId": own, "state": "SUCCEEDED"}


@pytest.mark.parametrize("query", SUBSCRIPTIONS)
async def test_an_event_stream_of_a_foreign_task_is_silent(shared: World, query: str) -> None:
    victim, other = await shared.key("bank"), await shared.key("streaming")
    foreign = (await shared.submit(victim, "streamed"))["taskId"]
    await shared.end(foreign)
    headers = {"Authorization": f"Bearer {other}", "Accept": "text/event-stream", "Last-Event-ID": "3"}
    async with shared.client.stream(
        "POST", shared.url, json={"query": query.format(foreign)}, headers=headers
    ) as stream:
        # Not 204, which tells who names the number of the last event that the task has ended with it.
        assert stream.status_code == 200
        own = (await shared.submit(other, "streamed"))["taskId"]
        await shared.end(own)
        ended = await shared.post(other, SUBSCRIPTIONS[0].format(own), Accept="text/event-stream")
        assert "SUCCEEDED" in ended.text
        reader = stream.aiter_text()
        assert await anext(reader) == ":\n\n"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(reader)


@pytest.mark.parametrize("mutation", ["cancelTask", "withdrawTask"])
async def test_a_foreign_task_cannot_be_ended_and_the_refusal_is_that_of_an_unknown_one(
    shared: World, mutation: str
) -> None:
    victim, other = await shared.key("bank"), await shared.key("ending")
    foreign = (await shared.submit(victim, mutation))["taskId"]
    refusals = [
        await shared.refusal(other, f'mutation {{ {mutation}(taskId: "{task_id}") {{ state }} }}')
        for task_id in (foreign, "0" * 32)
    ]
    assert refusals[0]["code"] == "TASK_NOT_FOUND"
    assert refusals[0]["message"].replace(foreign, "0" * 32) == refusals[1]["message"]
    assert (await shared.ask(victim, f'{{ task(taskId: "{foreign}") {{ state }} }}'))["task"]["state"] == "QUEUED"


async def test_keys_and_tokens_of_one_name_share_a_tenant_only_if_a_setting_says_so(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with world(redis_server, tmp_path, jwt_tenants_share_keys=True) as joined:
        by_key = await joined.submit(await joined.key("bank"))
        by_token = await joined.submit(joined.token("bank"))
    assert (by_key["outcome"], by_token) == ("NEW", {"taskId": by_key["taskId"], "outcome": "JOINED"})


@pytest.mark.parametrize("subject", [None, True, ["bank"], {"a": 1}, 1.5, "", "x" * 129])
async def test_a_token_whose_tenant_is_no_name_is_refused(shared: World, subject: Any) -> None:
    # PyJWT itself refuses a `sub` that is no text; other claims may be anything.
    assert (await shared.post(shared.token(subject), "{ caller { name } }")).status_code == 401


# Scopes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "selection", ["input", "worker", "error { code }", "result { __typename }", "partial { __typename }"]
)
async def test_what_a_task_got_and_gave_needs_the_scope_read(shared: World, selection: str) -> None:
    owner = await shared.key("apart")
    task_id = (await shared.submit(owner, f"hidden {selection}"))["taskId"]
    await shared.end(task_id)
    for scope, query in (
        (
            Scope.SUBMIT,
            f'mutation {{ submitPortrait(name: "hidden {selection}") {{ task {{ ... {{ x: {selection} }} }} }} }}',
        ),
        (
            Scope.CANCEL,
            f'mutation {{ cancelTask(taskId: "{task_id}") {{ ...F }} }} fragment F on Task {{ {selection} }}',
        ),
    ):
        key = await shared.key("apart", frozenset({scope}))
        refused = await shared.refusal(key, query)
        assert (refused["code"], refused["scope"]) == ("FORBIDDEN", "read"), query
        assert "errors" not in (await shared.post(owner, query)).json()
    writer = await shared.key("apart", frozenset({Scope.SUBMIT}))
    seen = await shared.submit(writer, f"hidden {selection}", "outcome task { taskId name state submittedAt }")
    assert (seen["outcome"], seen["task"]["state"]) == ("CACHED", "SUCCEEDED")


async def test_a_refused_selection_submits_and_cancels_nothing(shared: World) -> None:
    owner = await shared.key("unread")
    writer, canceller = [await shared.key("unread", frozenset({scope})) for scope in (Scope.SUBMIT, Scope.CANCEL)]
    many = 'mutation { submitPortraitMany(inputs: [{name: "unread"}]) { task { input } } }'
    assert (await shared.refusal(writer, many))["code"] == "FORBIDDEN"
    submitted = await shared.submit(owner, "unread")
    assert submitted["outcome"] == "NEW"
    cancel = f'mutation {{ cancelTask(taskId: "{submitted["taskId"]}") {{ state input }} }}'
    assert (await shared.refusal(canceller, cancel))["code"] == "FORBIDDEN"
    [state] = [(await shared.ask(owner, f'{{ task(taskId: "{submitted["taskId"]}") {{ state }} }}'))["task"]]
    assert state == {"state": "QUEUED"}


async def test_a_priority_above_zero_needs_its_scope(shared: World) -> None:
    def mutation(priority: int) -> str:
        return f'mutation {{ submitPortrait(name: "p{priority}", options: {{priority: {priority}}}) {{ outcome }} }}'

    user = await shared.key("hurried")
    assert await shared.refusal(user, mutation(1)) == {
        "message": "this requires the scope 'priority'; the credential has cancel, read, submit",
        "code": "FORBIDDEN",
        "scope": "priority",
    }
    await shared.ask(user, mutation(0))
    await shared.ask(user, mutation(-5))
    for scopes in (USER | {Scope.PRIORITY}, frozenset({Scope.ADMIN}), EVERYTHING):
        await shared.ask(await shared.key(f"hurried-{len(scopes)}", scopes), mutation(100))


async def test_a_response_that_is_made_once_for_all_names_nobody_to_callers_of_other_tenants(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with world(redis_server, tmp_path, tenants="shared") as open_:
        anna, eve = await open_.key("acme"), await open_.key("evil")
        task_id = (await open_.submit(anna))["taskId"]
        await open_.end(task_id)
        fragment = "fragment F on Task { ... { by: submittedBy } }"
        query = f'subscription {{ taskResult(taskId: "{task_id}") {{ ...F }} }} {fragment}'
        for token, shown in ((anna, '"by":"acme"'), (eve, '"by":null'), (anna, '"by":"acme"')):
            assert shown in (await open_.post(token, query, Accept="text/event-stream")).text


async def test_addresses_that_clients_forward_are_not_believed(redis_server: RedisServer, tmp_path: Path) -> None:
    query, made_up = {"query": "{ caller { name } }"}, ("192.0.2.1", "<script>a b", "key:1")
    for proxies, names in (
        ("", {"address:127.0.0.1"}),
        ("127.0.0.1", {"address:192.0.2.1", "address:unknown"}),
    ):
        async with world(
            redis_server, tmp_path, authentication="none", tenants="shared", trusted_proxies=proxies
        ) as open_:
            answers = [
                await open_.client.post(open_.url, json=query, headers={"X-Forwarded-For": address})
                for address in made_up
            ]
        assert {answer.json()["data"]["caller"]["name"] for answer in answers} == names


async def test_a_scope_is_checked_before_the_arguments(shared: World) -> None:
    reader = await shared.key("prying", frozenset({Scope.READ}))
    for bad in (
        'mutation { submitPortrait(name: "x", options: {priority: 900}) { taskId } }',
        "mutation { submitFibonacci(n: -1) { taskId } }",
        "mutation { submitFibonacciMany(inputs: [{n: -1}]) { taskId } }",
        'mutation { cancelTask(taskId: "no id") { taskId } }',
    ):
        assert (await shared.refusal(reader, bad))["code"] == "FORBIDDEN", bad


async def test_arguments_that_are_refused_count_against_the_rate(redis_server: RedisServer, tmp_path: Path) -> None:
    async with world(redis_server, tmp_path, submissions_per_minute=2) as limited:
        user = await limited.key("guessing")
        codes = [
            (await limited.refusal(user, "mutation { submitFibonacci(n: -1) { taskId } }"))["code"] for _ in range(3)
        ]
    assert codes == ["BAD_INPUT", "BAD_INPUT", "RATE_LIMITED"]
