"""What a caller sends and asks for is bounded in bytes, on every transport."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadCursor, BadInput
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.task_types.declaration import NAME, check_name, declare
from cluster.task_types.registry import Registry, load_registry
from graphql_api.schema.paging import make_cursor, parse_cursor
from tests.api_node import api_node
from tests.sockets import dial, receive, send

pytestmark = pytest.mark.slow

Answer = dict[str, Any]
Door = Callable[[str, str, dict[str, Any]], Coroutine[Any, Any, Answer]]


@dataclass
class Echo:
    text: str


def echo(text: str, n: int = 0) -> Echo:
    """Returns its text."""
    return Echo(text)


def letter(text: str) -> Echo:
    """Takes more than others."""
    return Echo(text)


def registry() -> Registry:
    made = load_registry()
    made.add(declare(echo))
    made.add(declare(letter, input_limit=5_000))
    return made


async def over_http(url: str, query: str, variables: dict[str, Any]) -> Answer:
    async with httpx.AsyncClient(timeout=30) as client:
        answer: Answer = (await client.post(url, json={"query": query, "variables": variables})).json()
    return answer


async def over_event_stream(url: str, query: str, variables: dict[str, Any]) -> Answer:
    async with httpx.AsyncClient(timeout=30) as client:
        body = {"query": query, "variables": variables}
        answer = await client.post(url, json=body, headers={"Accept": "text/event-stream"})
    items: list[Answer] = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    return items[0]


async def over_socket(url: str, query: str, variables: dict[str, Any], legacy: bool = False) -> Answer:
    async with dial(url, "graphql-ws" if legacy else "graphql-transport-ws") as socket:
        payload = {"query": query, "variables": variables}
        await send(socket, {"type": "connection_init"})
        assert (await receive(socket))["type"] == "connection_ack"
        await send(socket, {"type": "start" if legacy else "subscribe", "id": "1", "payload": payload})
        while True:
            message = await receive(socket)
            if message.get("id") == "1":
                found: Answer | list[Answer] = message["payload"]
                return {"errors": found} if isinstance(found, list) else found


async def over_legacy_socket(url: str, query: str, variables: dict[str, Any]) -> Answer:
    return await over_socket(url, query, variables, legacy=True)


DOORS = [over_http, over_event_stream, over_socket, over_legacy_socket]


@pytest.fixture
async def url(settings: Settings) -> AsyncIterator[str]:
    chosen = replace(
        settings, input_limit_bytes=1_000, inline_limit_bytes=100_000, answer_bytes=250_000, legacy_websocket=True
    )
    async with api_node(chosen, registry()) as url:
        yield url


def refusal(answer: Answer) -> dict[str, Any]:
    [error] = answer["errors"]
    return {"message": error["message"], **error["extensions"]}


# Inputs ---------------------------------------------------------------------------------------------------------------


async def test_an_input_beyond_the_limit_is_refused_on_every_transport(url: str, store: Store) -> None:
    one = "mutation($t: String!) { submitEcho(text: $t) { taskId } }"
    many = "mutation($i: [EchoInput!]!) { submitEchoMany(inputs: $i) { taskId } }"
    for door in DOORS:
        refused = refusal(await door(url, one, {"t": "x" * 1_000}))
        assert (refused["code"], refused["limit"]) == ("BAD_INPUT", 1_000)
        assert "at most 1000 bytes" in refused["message"]
        refused = refusal(await door(url, many, {"i": [{"text": "a"}, {"text": "x" * 1_000}]}))
        assert (refused["code"], refused["limit"], refused["index"]) == ("BAD_INPUT", 1_000, 1)
    assert sum((await store.counts()).values()) == 0
    assert "errors" not in await over_http(url, one, {"t": "x" * 900})
    letters = "mutation($t: String!) { submitLetter(text: $t) { taskId } }"
    assert "errors" not in await over_http(url, letters, {"t": "x" * 4_900})
    assert refusal(await over_http(url, letters, {"t": "x" * 5_000}))["limit"] == 5_000
    shown = await over_http(url, "{ taskTypes { name inputLimitBytes } }", {})
    limits = {item["name"]: item["inputLimitBytes"] for item in shown["data"]["taskTypes"]}
    assert limits == {"fibonacci": 1_000, "echo": 1_000, "letter": 5_000}


@given(text=st.text(st.characters(exclude_categories=["Cs"])), limit=st.integers(10, 80))
def test_the_limit_of_an_input_counts_the_bytes_of_its_canonical_json(text: str, limit: int) -> None:
    task_type = declare(letter)
    size = len(task_type.bind({"text": text}).canonical_input)
    if size <= limit:
        task_type.bind({"text": text}, limit_bytes=limit)
    else:
        with pytest.raises(BadInput, match=f"at most {limit} bytes of JSON, not {size}"):
            task_type.bind({"text": text}, limit_bytes=limit)


async def test_a_task_cannot_be_put_off_for_longer_than_the_limit(url: str) -> None:
    query = 'mutation($d: DateTime!) { submitEcho(text: "a", options: { notBefore: $d }) { taskId } }'
    now = datetime.datetime.now(datetime.UTC)
    for door in DOORS:
        for late in ("9999-12-31T00:00:00Z", (now + datetime.timedelta(days=30, minutes=1)).isoformat()):
            refused = refusal(await door(url, query, {"d": late}))
            assert (refused["code"], refused["limit"]) == ("BAD_INPUT", 30)
    assert "errors" not in await over_http(url, query, {"d": (now + datetime.timedelta(days=29)).isoformat()})


# Names ----------------------------------------------------------------------------------------------------------------


async def test_a_text_that_is_no_name_never_reaches_redis(url: str, store: Store) -> None:
    async def received() -> int:
        return await counted(store, "total_net_input_bytes")

    # The node loads its scripts once, before the first list.
    assert "errors" not in await over_http(url, "{ tasks { totalCount } }", {})
    # Text that hardly compresses: what does is refused before it is read.
    long = "".join(map(str, range(60_000)))[:300_000]
    before = await received()
    for door in DOORS:
        for argument, code in (("name", "BAD_INPUT"), ("after", "BAD_CURSOR")):
            query = f"query($n: String) {{ tasks({argument}: $n) {{ edges {{ cursor }} }} }}"
            refused = refusal(await door(url, query, {"n": long}))
            assert refused["code"] == code
            assert len(refused["message"]) < 500
        refused = refusal(await door(url, "query($i: ID!) { task(taskId: $i) { taskId } }", {"i": long}))
        assert (refused["code"], len(refused["message"]) < 500) == ("BAD_TASK_ID", True)
    assert await received() - before < 300_000
    # A task type that is registered no more may still have records.
    listed = await over_http(url, '{ tasks(name: "of_an_earlier_release") { edges { cursor } } }', {})
    assert listed["data"]["tasks"]["edges"] == []


@given(st.text(max_size=150) | st.from_regex(NAME, fullmatch=True))
def test_only_the_form_of_a_name_is_a_name(text: str) -> None:
    if NAME.fullmatch(text) and len(text) <= 100:
        assert check_name(text) == text
    else:
        with pytest.raises(BadInput):
            check_name(text)


@given(st.integers(0, 2**53), st.from_regex(r"[0-9a-f]{32}", fullmatch=True), st.text())
def test_only_what_this_api_made_is_a_cursor(score: int, task_id: str, text: str) -> None:
    assert parse_cursor(make_cursor((score, task_id))) == (score, task_id)
    with suppress(BadCursor):
        assert parse_cursor(text)[0] < 10**16


# Answers --------------------------------------------------------------------------------------------------------------

TEXT = "{ result { ... on Echo { text } } }"
LONG = 90_000
"""Length of a result: two of them fit into an answer, three do not."""


async def ended(store: Store, *results: bytes, name: str = "echo", **arguments: Any) -> list[str]:
    """Tasks that have succeeded with these results."""
    ids = []
    for n, result in enumerate(results):
        given = arguments or {"text": "a", "n": n}
        bound = registry()[name].bind(given)
        await store.run(store.calls.submit(bound.task_id, name, "1", bound.canonical_input))
        await store.run(store.calls.start(bound.task_id, 1, "w"))
        assert await store.run(store.calls.finish(bound.task_id, 1, result))
        ids.append(bound.task_id)
    return ids


def text_of(length: int) -> bytes:
    return b'{"text":"%s"}' % (b"x" * length)


async def counted(store: Store, name: str) -> int:
    """A counter of Redis's own."""
    info: bytes = await store.command("INFO", "stats")
    return int(info.decode().partition(f"\n{name}:")[2].split()[0])


class Traffic:
    """What Redis sends, by its own count."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def sent(self) -> int:
        return await counted(self._store, "total_net_output_bytes")


async def test_an_answer_beyond_the_limit_is_refused_as_a_whole_on_every_transport(url: str, store: Store) -> None:
    [task_id] = await ended(store, text_of(LONG))
    document = "query($i: ID!) {{ task(taskId: $i) {{ taskId {} }} }}"
    twice, thrice = (
        document.format(" ".join(f"t{i}: result {{ ... on Echo {{ text }} }}" for i in range(times)))
        for times in (2, 3)
    )
    inside = document.format("result { ... on Echo { a: text b: text c: text } }")
    for door in DOORS:
        for query in (thrice, inside):
            answer = await door(url, query, {"i": task_id})
            assert answer["data"] is None
            refused = refusal(answer)
            assert (refused["code"], refused["limit"]) == ("ANSWER_TOO_LARGE", 250_000)
            assert "more than 250000 bytes" in refused["message"]
        answer = await door(url, twice, {"i": task_id})
        assert "errors" not in answer
        assert len(answer["data"]["task"]["t1"]["text"]) == LONG


async def test_a_page_is_measured_before_it_is_read(url: str, store: Store) -> None:
    await ended(store, *[text_of(LONG)] * 20)
    traffic = Traffic(store)
    before = await traffic.sent()
    for door in DOORS:
        refused = refusal(await door(url, f"{{ tasks(first: 100) {{ edges {{ node {TEXT} }} }} }}", {}))
        assert refused["code"] == "ANSWER_TOO_LARGE"
        assert "more than 250000 bytes of inputs and results" in refused["message"]
        # Two pages that fit are too much for one answer.
        page = f"tasks(first: 2) {{ edges {{ node {TEXT} }} }}"
        assert refusal(await door(url, f"{{ a: {page} b: {page} }}", {}))["code"] == "ANSWER_TOO_LARGE"
    assert await traffic.sent() - before < len(DOORS) * 2.5 * LONG
    listed = await over_http(url, "{ tasks(first: 100) { edges { node { taskId state } } } }", {})
    assert len(listed["data"]["tasks"]["edges"]) == 20


async def test_inputs_count_and_a_list_reads_them_only_if_it_shows_them(settings: Settings, store: Store) -> None:
    for n in range(30):
        bound = registry()["echo"].bind({"text": "x" * 60_000, "n": n})
        await store.run(store.calls.submit(bound.task_id, "echo", "1", bound.canonical_input))
    traffic = Traffic(store)
    async with api_node(replace(settings, answer_bytes=2_000_000), registry()) as url:
        before = await traffic.sent()
        for _ in range(5):
            listed = await over_http(url, "{ tasks(first: 100) { edges { node { taskId state } } } }", {})
            assert len(listed["data"]["tasks"]["edges"]) == 30
        aliases = (
            "{ a: tasks(first: 30) { edges { node { input } } } b: tasks(first: 30) { edges { node { input } } } }"
        )
        assert await traffic.sent() - before < 200_000
        assert refusal(await over_http(url, aliases, {}))["code"] == "ANSWER_TOO_LARGE"
        shown = await over_http(url, "{ tasks(first: 30) { edges { node { input } } } }", {})
        assert len(shown["data"]["tasks"]["edges"][7]["node"]["input"]["text"]) == 60_000


async def test_equal_inputs_of_a_batch_are_read_once(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await ended(store, text_of(10_000), text="a")
    reads: list[str] = []
    read = Store.read

    async def counted(self: Store, task_id: str) -> Any:
        reads.append(task_id)
        return await read(self, task_id)

    monkeypatch.setattr(Store, "read", counted)
    query = f"mutation($i: [EchoInput!]!) {{ submitEchoMany(inputs: $i) {{ outcome task {TEXT} }} }}"
    answer = await over_http(url, query, {"i": [{"text": "a"}] * 20})
    assert [item["outcome"] for item in answer["data"]["submitEchoMany"]] == ["CACHED"] * 20
    assert len(reads) == 1
    refused = await over_http(url, query, {"i": [{"text": "a"}] * 100})
    assert (refused["data"], refusal(refused)["code"]) == (None, "ANSWER_TOO_LARGE")
    assert len(reads) == 2


async def test_a_mutation_whose_answer_is_too_large_was_carried_out(url: str, store: Store) -> None:
    await ended(store, text_of(LONG), text="a")
    call = 'submitEcho(text: "a") { task { result { ... on Echo { text } } } }'
    query = f'mutation {{ a: {call} b: {call} c: {call} d: submitEcho(text: "new") {{ taskId }} }}'
    assert refusal(await over_http(url, query, {}))["code"] == "ANSWER_TOO_LARGE"
    assert (await store.counts())["QUEUED"] == 1  # type: ignore[index]


async def test_slices_count_and_are_not_all_read_at_once(url: str, store: Store) -> None:
    record = {"n": 400_000, "digits": 83_600, "bit_length": 1, "sha256": "", "text": "7" * 83_600, "blob": None}
    [task_id] = await ended(store, json.dumps(record).encode(), name="fibonacci", n=400_000)
    slices = " ".join(f"s{i}: digitsSlice(offset: {i}, length: 80000)" for i in range(100))
    query = f"query($i: ID!) {{ task(taskId: $i) {{ result {{ ... on FibonacciResult {{ {slices} }} }} }} }}"
    for door in DOORS:
        assert refusal(await door(url, query, {"i": task_id}))["code"] == "ANSWER_TOO_LARGE"


async def test_each_item_of_a_subscription_has_a_limit_of_its_own(url: str, store: Store) -> None:
    ids = await ended(store, *[text_of(length) for length in (LONG, 10_000, LONG, LONG)])
    fields = "taskId result { ... on Echo { a: text b: text c: text } }"
    query = f"subscription($i: [ID!]!) {{ taskResults(taskIds: $i) {{ {fields} }} }}"
    async with httpx.AsyncClient(timeout=30) as client:
        body = {"query": query, "variables": {"i": ids}}
        answer = await client.post(url, json=body, headers={"Accept": "text/event-stream"})
    items = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert sorted("errors" in item for item in items) == [False, True, True, True]
    assert {refusal(item)["code"] for item in items if "errors" in item} == {"ANSWER_TOO_LARGE"}
    small = query.replace("b: text c: text", "")
    async with dial(url, "graphql-transport-ws") as socket:
        await send(socket, {"type": "connection_init"})
        await send(socket, {"type": "subscribe", "id": "1", "payload": {"query": small, "variables": {"i": ids}}})
        got = []
        while (message := await receive(socket))["type"] != "complete":
            got.append(message)
    assert {item["payload"]["data"]["taskResults"]["taskId"] for item in got[1:]} == set(ids)
