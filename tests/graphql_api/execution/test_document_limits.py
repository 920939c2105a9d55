"""What a document may ask is bounded before it is validated, and whatever is allowed passes as before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query, parse
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DocumentTooLarge, SettingError
from cluster.settings import Settings, load_settings
from graphql_api.execution.document_cache import DocumentCache, DocumentRejected
from graphql_api.execution.document_limits import (
    PLAIN_ITEMS_PER_VALUE,
    Limits,
    check_limits,
    check_variables,
    measure_document,
)
from graphql_api.execution.persisted_operations import PersistedOperations
from tests.system import Socket, System

LIMITS = Limits.of(Settings())
ALLOWED = "query Types { taskTypes { name } }"
HASH = hashlib.sha256(ALLOWED.encode()).hexdigest()


def refusal(text: str) -> str:
    with pytest.raises(DocumentTooLarge) as caught:
        check_limits(measure_document(parse(text)), LIMITS)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{ a " + "{ a " * 20 + "}" * 21, "20 nested fields"),
        ("{" + "".join(f" a{i}: b" for i in range(201)) + "}", "200 aliases"),
        ("{ a " + "@skip(if: true) " * 51 + "}", "50 directives"),
        ("{" + " a" * 101 + "}", "5000 pairs of fields"),
        ("{ a(x: [" + "1 " * 1_001 + "]) }", "1000 items in a list"),
        ("{" + " ...f" * 201 + "} fragment f on Query { a }", "200 fragment spreads"),
        ("{ tasks(first: 100) { " + " ".join(f"f{i}" for i in range(101)) + " } }", "10000 points of cost"),
        (
            "query($n: Int) { tasks(first: $n) { " + " ".join(f"f{i}" for i in range(101)) + " } }",
            "10000 points of cost",
        ),
    ],
)
def test_each_limit_refuses_what_exceeds_it_and_is_named(text: str, words: str) -> None:
    assert f"at most {words}" in refusal(text)


def test_a_fragment_bomb_is_measured_once_and_refused_for_its_cost() -> None:
    bomb = "".join(f"fragment f{i} on Query {{ ...f{i + 1} ...f{i + 1} }} " for i in range(60))
    assert "points of cost" in refusal("{ ...f0 } " + bomb + "fragment f60 on Query { a }")


def test_recursive_fragments_are_left_to_validation() -> None:
    text = "{ ...a } fragment a on Query { x ...b } fragment b on Query { y ...a ...nowhere }"
    check_limits(measure_document(parse(text)), LIMITS)


def test_what_real_clients_send_is_allowed() -> None:
    check_limits(
        measure_document(parse(get_introspection_query(descriptions=True, input_value_deprecation=True))), LIMITS
    )
    fields = "taskId name state attempt seq progress submittedAt startedAt finishedAt result { __typename }"
    check_limits(
        measure_document(parse(f"{{ tasks(first: 100) {{ edges {{ cursor node {{ {fields} }} }} }} }}")), LIMITS
    )


JSON = st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def values_of(value: Any) -> tuple[int, int]:
    """How many values there are, but for the plain items of lists, and how many of those."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    items = 0 if isinstance(value, dict) else sum(not isinstance(item, list | dict) for item in inner)
    counts = [values_of(item) for item in inner]
    return len(inner) - items + sum(count for count, _ in counts), items + sum(more for _, more in counts)


def refused(variables: dict[str, Any], limit: int) -> bool:
    try:
        check_variables(variables, Limits(tokens=1, depth=1, aliases=1, cost=1, list_items=1, values=limit))
    except DocumentTooLarge:
        return True
    return False


@pytest.mark.slow
@given(variables=st.dictionaries(st.text(), JSON), limit=st.integers(1, 50))
def test_the_values_of_the_variables_are_counted_at_any_depth(variables: dict[str, Any], limit: int) -> None:
    count, items = values_of(variables)
    assert refused(variables, limit) == (count + items // PLAIN_ITEMS_PER_VALUE > limit)


def test_one_input_may_be_a_long_but_bounded_list_of_numbers() -> None:
    assert not refused({"values": [0.5] * 20_000}, Settings().variable_values)
    assert not refused({"inputs": [{"values": [0.5] * 50}] * 1_000}, Settings().variable_values)
    assert refused({"values": [0.5] * 200_000}, Settings().variable_values)
    assert refused({"rows": [{"x": 1}] * 20_000}, Settings().variable_values)


def test_the_document_cache_is_bounded_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_api.execution.document_cache.CACHE_TOKENS", 10_000)
    documents = DocumentCache(Settings(), PersistedOperations(Settings()))
    for i in range(300):
        documents.parse_cached("{" + " ".join(f"f{i}_{j}" for j in range(100)) + "}")
    assert 5_000 < documents._tokens <= 10_000
    assert sum(kept.tokens for kept in documents._documents.values()) == documents._tokens
    again = documents.parse_cached("{ a }")
    assert documents.parse_cached("{ a }") is again


@pytest.fixture(scope="module")
async def closed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system that allows two persisted operations, no introspection and no GraphiQL."""
    folder = tmp_path_factory.mktemp("closed")
    allowed = [ALLOWED, "{ cluster { workers { name } } }", "{ __schema { types { name } } }", "{ taskTypos { name } }"]
    file = folder / "operations.json"
    file.write_text(json.dumps({hashlib.sha256(text.encode()).hexdigest(): text for text in allowed}))
    async with System(
        folder, persisted_operations=str(file), persisted_operations_only=True, introspection=False, graphiql=False,
        min_workers=0, max_workers=1,
    ) as running:  # fmt: skip
        yield running


@pytest.mark.parametrize(
    "body",
    [
        {"documentId": f"sha256:{HASH}"},
        {"documentId": HASH},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}},
        {"query": ALLOWED},
    ],
)
async def test_a_persisted_operation_is_requested_by_its_hash(closed: System, body: dict[str, Any]) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.post(closed.url, json=body)).json()["data"]["taskTypes"][0]["name"] == "fibonacci"
        if "query" not in body:
            shown = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
            answer = await client.get(closed.url, params=shown)
            assert answer.json()["data"]["taskTypes"][0]["name"] == "fibonacci"
    async with Socket.open(closed.url) as socket:
        await socket.send({"id": "1", "type": "subscribe", "payload": body})
        assert json.loads(await socket.connection.recv())["payload"]["data"]["taskTypes"][0]["name"] == "fibonacci"


@pytest.mark.parametrize("body", [{"query": "{ taskTypes { version } }"}, {"documentId": "0" * 64}])
async def test_other_operations_are_refused_if_only_persisted_ones_are_allowed(
    closed: System, body: dict[str, Any]
) -> None:
    code = "PERSISTED_OPERATION_NOT_FOUND"
    async with httpx.AsyncClient() as client:
        answer = (await client.post(closed.url, json=body)).json()
        stream = await client.post(closed.url, json=body, headers={"Accept": "text/event-stream"})
    assert answer["errors"][0]["extensions"]["code"] == code
    assert code in stream.text
    async with Socket.open(closed.url) as socket:
        await socket.send({"id": "1", "type": "subscribe", "payload": body})
        assert json.loads(await socket.connection.recv())["payload"][0]["extensions"]["code"] == code


async def test_without_introspection_no_error_reveals_the_schema(closed: System) -> None:
    answer = await closed.post("{ __schema { types { name } } }")
    assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    misspelt = await closed.post("{ taskTypos { name } }")
    assert "taskTypes" not in json.dumps(misspelt)


async def test_without_graphiql_a_browser_gets_no_page(closed: System) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(closed.url, headers={"Accept": "text/html"})
    assert answer.status_code in (400, 404)
    assert "<html" not in answer.text


@pytest.mark.parametrize("text", ["[]", "{", '{"abc": "{ a }"}', '{"abc": 1}'])
def test_an_invalid_file_of_operations_stops_the_node(tmp_path: Path, text: str) -> None:
    file = tmp_path / "operations.json"
    file.write_text(text)
    with pytest.raises(SettingError, match="DASK_GRAPHQL_PERSISTED_OPERATIONS"):
        PersistedOperations(load_settings({"DASK_GRAPHQL_PERSISTED_OPERATIONS": str(file)}))


MANY = "mutation($i: [FibonacciInput!]!) { submitFibonacciMany(inputs: $i) { outcome task { result { __typename } } } }"


def test_the_selection_of_a_many_mutation_counts_for_each_input() -> None:
    documents = DocumentCache(Settings(), PersistedOperations(Settings()))

    def allowed(inputs: object, text: str = MANY) -> bool:
        with suppress(DocumentRejected):
            documents.parse_cached(text, {"i": inputs})
            return True
        return False

    assert allowed([{"n": 1}] * 700)
    assert not allowed([{"n": 1}] * 800)
    assert allowed({"n": 1})
    # What clients send for a full batch: plain fields.
    assert allowed([{"n": 1}] * 1_000, MANY.replace("result { __typename }", "taskId state attempt submittedAt"))
    twice = MANY.replace("{ submit", "{ one: submit").replace(
        "} } }", "} } two: submitFibonacciMany(inputs: $i) { taskId } }"
    )
    assert "two:" in twice
    assert not allowed([{"n": 1}] * 712, twice)
    spelled = "mutation { submitFibonacciMany(inputs: [" + "{n: 1} " * 250 + "]) { task { result { __typename } } } }"
    assert "points of cost" not in spelled
    check_limits(measure_document(parse(spelled)), LIMITS)
    dear = spelled.replace("__typename", " ".join(f"f{i}" for i in range(40)))
    assert "points of cost" in refusal(dear)
