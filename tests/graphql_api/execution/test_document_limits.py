"""What a document may ask is bounded before it is validated, and whatever is allowed passes as before."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query, graphql, parse
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cluster.errors import DocumentTooLarge, SettingError
from cluster.settings import Settings, load_settings
from cluster.task_types.registry import load_registry
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import Context
from graphql_api.error_messages import shorten
from graphql_api.execution.compiled_selection import field_execution
from graphql_api.execution.document_cache import CachedDocument, DocumentCache, DocumentRejected
from graphql_api.execution.document_limits import (
    PLAIN_ITEMS_PER_VALUE,
    SCHEMA_COST,
    Limits,
    check_limits,
    check_list_cost,
    check_variables,
    measure_document,
)
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.graphql_core_internals import execute
from graphql_api.schema.builder import make_schema
from graphql_api.transport.json import json_bytes
from tests.api_node import api_node
from tests.system import Socket

LIMITS = Limits.of(Settings())
ALLOWED = "query Types { taskTypes { name } }"
HASH = hashlib.sha256(ALLOWED.encode()).hexdigest()
MD5, SHA1 = (hashlib.new(name, ALLOWED.encode()).hexdigest() for name in ("md5", "sha1"))


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


SCHEMA = make_schema(load_registry())._core


def served(documents: DocumentCache, text: str) -> CachedDocument:
    """The document as an operation finds it: parsed, validated, and kept if it may be."""
    document = documents.parse_cached(text)
    documents.validate(SCHEMA, document)
    return document


@examples(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from("a\u00e9\u4e2d\U0001f600"), st.integers(0, 9_000), st.integers(1, 99))))
def test_the_documents_that_are_kept_never_take_more_memory_than_the_cache_has(
    documents_sent: list[tuple[str, int, int]],
) -> None:
    documents = DocumentCache(Settings(), PersistedOperations(Settings()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphql_api.execution.document_cache.CACHE_BYTES", 300_000)
        for letter, comment, fields in documents_sent:
            with suppress(DocumentRejected):
                served(documents, "{" + " __typename" * fields + "}#" + letter * comment)
            kept = documents._documents.values()
            assert sum(document.weight for document in kept) == documents._bytes <= 300_000


@pytest.mark.parametrize("letter", ["a", "\U0001f600"])
def test_a_comment_counts_in_bytes_and_a_long_document_is_not_kept(letter: str) -> None:
    documents = DocumentCache(Settings(), PersistedOperations(Settings()))
    size = len(letter.encode())
    short, long = ("{ __typename }#" + letter * (length // size) for length in (7_000, 15_000))
    assert served(documents, short) is served(documents, short)
    assert served(documents, long) is not served(documents, long)
    assert documents._documents[short].weight > 3 * len(short.encode())
    with pytest.raises(DocumentRejected, match="at most 16000 bytes"):
        documents.parse_cached("{ __typename }#" + letter * (16_000 // size))


@pytest.mark.parametrize(
    "text",
    ['{ task(taskId: "%s") { state } }', "{ __typename }#\U0001f600%s"],
    ids=["string", "comment of wide characters"],
)
def test_a_long_text_takes_no_more_memory_than_it_counts_for(text: str) -> None:
    documents = DocumentCache(Settings(), PersistedOperations(Settings()))

    def kept(number: int) -> int:
        document = served(documents, text % str(number).ljust(7_900, "x"))
        operation = document.operation(None)
        operation.execution = field_execution(SCHEMA, operation.document, operation.node)
        return document.weight

    for number in range(3):
        kept(number)
    gc.collect()
    tracemalloc.start()
    try:
        counted = sum(kept(number) for number in range(100, 130))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] <= counted
    finally:
        tracemalloc.stop()


def test_only_a_valid_document_is_kept() -> None:
    documents = DocumentCache(Settings(), PersistedOperations(Settings()))
    for text in ("{ nothing }", "{ __typename } { taskTypes { name } }", "query A { a } query A { a }"):
        with pytest.raises(DocumentRejected):
            served(documents, text)
    assert not documents._documents


def test_a_persisted_document_is_kept_however_long_it_is(tmp_path: Path) -> None:
    text = "{ __typename }" + " " * 50_000
    file = tmp_path / "operations.json"
    file.write_text(json.dumps({hashlib.sha256(text.encode()).hexdigest(): text}))
    chosen = load_settings({"DASK_GRAPHQL_PERSISTED_OPERATIONS": str(file)})
    documents = DocumentCache(chosen, PersistedOperations(chosen))
    assert served(documents, text) is served(documents, text)


def test_a_name_in_a_document_is_short() -> None:
    """A response repeats it for each object of a list."""
    assert "200 characters in a name" in refusal("{" + "a" * 201 + ": cluster { waiting } }")
    assert "200 characters in a name" in refusal("{" + "a" * 201 + "}")


@given(st.text() | st.text("a' .", min_size=1_000) | st.lists(st.sampled_from(["a" * 500, "'b'"])).map(" ".join))
def test_a_message_repeats_at_most_200_characters_of_a_word(message: str) -> None:
    shown = shorten(message)
    assert len(shown) <= 2_001
    assert all(len(word) <= 201 for word in shown.split())
    if len(message) <= 200:
        assert shown == message


@pytest.fixture
async def closed(settings: Settings, tmp_path: Path) -> AsyncIterator[str]:
    """A node that allows some persisted operations, no introspection and no GraphiQL."""
    allowed = [ALLOWED, "{ cluster { workers { name } } }", "{ __schema { types { name } } }", "{ taskTypos { name } }"]
    file = tmp_path / "operations.json"
    file.write_text(json.dumps({hashlib.sha256(text.encode()).hexdigest(): text for text in allowed}))
    settings = replace(
        settings, persisted_operations=str(file), persisted_operations_only=True, introspection=False, graphiql=False
    )
    async with api_node(settings) as url:
        yield url


@pytest.mark.parametrize(
    "body",
    [
        {"documentId": f"sha256:{HASH}"},
        {"documentId": HASH},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}},
        {"query": ALLOWED},
    ],
)
async def test_a_persisted_operation_is_requested_by_its_hash(closed: str, body: dict[str, Any]) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.post(closed, json=body)).json()["data"]["taskTypes"][0]["name"] == "fibonacci"
        if "query" not in body:
            shown = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
            answer = await client.get(closed, params=shown)
            assert answer.json()["data"]["taskTypes"][0]["name"] == "fibonacci"
    async with Socket.open(closed) as socket:
        await socket.send({"id": "1", "type": "subscribe", "payload": body})
        assert json.loads(await socket.connection.recv())["payload"]["data"]["taskTypes"][0]["name"] == "fibonacci"


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        # relay-compiler, by default and with `algorithm`.
        ({MD5: ALLOWED}, MD5),
        ({SHA1: ALLOWED}, SHA1),
        # The client preset of GraphQL Code Generator 6.
        ({f"sha256:{HASH}": ALLOWED}, f"sha256:{HASH}"),
        (
            {
                "format": "apollo-persisted-query-manifest",
                "version": 1,
                "operations": [{"id": HASH, "name": "Q", "type": "query", "body": ALLOWED}],
            },
            HASH,
        ),
        (
            {"format": "apollo-persisted-query-manifest", "operations": [{"id": "my/Query-1", "body": ALLOWED}]},
            "my/Query-1",
        ),
    ],
)
def test_the_manifests_of_relay_codegen_and_apollo_are_read_as_they_are(
    tmp_path: Path, manifest: dict[str, Any], name: str
) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(manifest))
    persisted = PersistedOperations(load_settings({"DASK_GRAPHQL_PERSISTED_OPERATIONS": str(file)}))
    by_apollo = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": name}}}
    for request in ({"documentId": name}, {**by_apollo, "query": ""}, by_apollo):
        assert persisted.resolve(request)["query"] == ALLOWED


@pytest.mark.parametrize("body", [{"query": "{ taskTypes { version } }"}, {"documentId": "0" * 64}])
async def test_other_operations_are_refused_if_only_persisted_ones_are_allowed(
    closed: str, body: dict[str, Any]
) -> None:
    code = "PERSISTED_OPERATION_NOT_FOUND"
    async with httpx.AsyncClient() as client:
        answer = (await client.post(closed, json=body)).json()
        stream = await client.post(closed, json=body, headers={"Accept": "text/event-stream"})
    assert answer["errors"][0]["extensions"]["code"] == code
    assert code in stream.text
    async with Socket.open(closed) as socket:
        await socket.send({"id": "1", "type": "subscribe", "payload": body})
        assert json.loads(await socket.connection.recv())["payload"][0]["extensions"]["code"] == code


async def test_without_introspection_no_error_reveals_the_schema(closed: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = (await client.post(closed, json={"query": "{ __schema { types { name } } }"})).json()
        assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        misspelt = (await client.post(closed, json={"query": "{ taskTypos { name } }"})).text
    assert "taskTypes" not in misspelt


@pytest.mark.parametrize(
    ("text", "variables", "secret"),
    [
        ("mutation($i: [FibonacciInput!]!) { submitFibonacciMany(inputs: $i) { taskId } }", {"i": [{"m": 1}]}, "'n'"),
        ("query($s: TaskState) { tasks(state: $s) { edges { cursor } } }", {"s": "QUEUD"}, "QUEUED"),
        (
            "mutation($o: SubmitOptions) { submitFibonacci(n: 1, options: $o) { taskId } }",
            {"o": {"priorit": 1}},
            "priority",
        ),
        ("{ task { state } }", None, "taskId"),
        ("mutation { submitFibonacci { taskId } }", None, "n:"),
        ("{ taskTypes { nam } }", None, "TaskType"),
    ],
)
async def test_without_introspection_an_error_has_no_name_that_the_client_has_not_sent(
    text: str, variables: dict[str, Any] | None, secret: str
) -> None:
    shown = {}
    for introspection in (True, False):
        chosen = replace(Settings(), introspection=introspection)
        schema = make_schema(load_registry(), DocumentCache(chosen, PersistedOperations(chosen)))
        result = await schema.execute(text, variables, Context(None, known_caller=Caller("a")))  # type: ignore[arg-type]
        assert result.errors is not None
        shown[introspection] = " ".join(error.message for error in result.errors)
    assert secret in shown[True]
    assert secret not in shown[False]
    assert shown[False]


async def test_without_graphiql_a_browser_gets_no_page(closed: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(closed, headers={"Accept": "text/html"})
    assert answer.status_code in (400, 404)
    assert "<html" not in answer.text


@pytest.mark.parametrize(
    "text",
    [
        "[]", "{", '{"abc": "{ a }"}', '{"abc": 1}', json.dumps({"0" * 32: "{ a }"}),
        json.dumps({f"md5:{HASH}": ALLOWED}), '{"format": "apollo-persisted-query-manifest"}',
        '{"format": "apollo-persisted-query-manifest", "operations": [{"id": "a"}]}',
        json.dumps({"format": "apollo-persisted-query-manifest", "operations": [{"id": "0" * 64, "body": "{ a }"}]}),
    ],
)  # fmt: skip
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

    assert allowed([{"n": 1}] * 600)
    assert not allowed([{"n": 1}] * 700)
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


# Cost -----------------------------------------------------------------------------------------------------------------


def cost_of(text: str, **variables: Any) -> int:
    """The smallest DOCUMENT_COST with which an operation is allowed."""
    measured = measure_document(parse(text), {"digitsSlice"})
    low, high = 0, 10**9
    while low < high:
        middle = (low + high) // 2
        try:
            check_limits(measured, replace(LIMITS, cost=middle))
            check_list_cost(measured, variables, replace(LIMITS, cost=middle))
        except DocumentTooLarge:
            low = middle + 1
        else:
            high = middle
    return low


@pytest.mark.parametrize(
    ("arguments", "tasks"), [("first: 7", 7), ("", 1_000), ("first: $n", 1_000), ("first: 2000000", 1_000)]
)
def test_a_bulk_operation_costs_its_page_whatever_it_selects(arguments: str, tasks: int) -> None:
    for name in ("cancelTasks", "withdrawTasks", "retryTasks", "forgetTasks"):
        text = f"mutation($n: Int) {{ {name}(where: {{}}, {arguments}) {{ done }} }}"
        assert cost_of(text) == 10 + 3 * tasks + 1
    assert cost_of("{ failures { count } }") == 511


@given(st.integers(1, 1_000), st.integers(0, 5), st.sampled_from(["variable", "literal", "default"]))
@examples(max_examples=30)
def test_each_input_of_a_batch_costs_its_write_and_the_selection(inputs: int, fields: int, how: str) -> None:
    selection = " ".join(f"f{i}" for i in range(fields)) + " last"
    items = "[" + " 1" * inputs + "]"
    texts = {
        "variable": f"mutation($i: [X]) {{ submitMany(inputs: $i) {{ {selection} }} }}",
        "literal": f"mutation {{ submitMany(inputs: {items}) {{ {selection} }} }}",
        "default": f"mutation($i: [X] = {items}) {{ submitMany(inputs: $i) {{ {selection} }} }}",
    }
    given_variables = {"i": [1] * inputs} if how == "variable" else {}
    assert cost_of(texts[how], **given_variables) == 10 + inputs * (3 + fields + 1)


def test_each_id_of_a_subscription_costs_its_watch_and_the_selection_counts_once() -> None:
    text = "subscription($i: [ID!]!) { taskResults(taskIds: $i) { taskId result { x } } }"
    assert cost_of(text, i=["0"] * 500) == 10 + 500 * 3 + 1 + 10 + 1
    assert cost_of(text, i=["0"] * 1_000) < Settings().document_cost


@pytest.mark.parametrize("field", ["input", "result { x }", "partial { x }", "digitsSlice(offset: 0, length: 9)"])
def test_a_long_value_costs_as_much_as_a_read_and_counts_for_each_task_of_a_list(field: str) -> None:
    one = 10 + ("x" in field)
    assert cost_of(f"{{ task(taskId: 1) {{ {field} }} }}") == 10 + one
    assert cost_of(f"{{ tasks(first: 50) {{ edges {{ node {{ {field} }} }} }} }}") == 10 + 50 * (2 + one)
    many = f"mutation {{ submitMany(inputs: [1 2 3]) {{ task {{ {field} }} }} }}"
    assert cost_of(many) == 10 + 3 * (3 + 1 + one)


def test_the_schema_knows_which_fields_are_made_when_they_are_read() -> None:
    documents = DocumentCache(Settings(), PersistedOperations(Settings()))
    make_schema(load_registry(), documents)
    assert documents.result_fields == {"value", "digitsSlice"}


# Introspection --------------------------------------------------------------------------------------------------------

EVERYTHING = get_introspection_query(
    specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True,
    experimental_directive_deprecation=True, one_of=True,
)  # fmt: skip
ON_TYPE = "fragment F on __Type { name kind description fields { name args { name type { name } } type { name } } }"


def test_an_introspection_may_ask_twice_what_tools_ask() -> None:
    assert measure_document(parse(EVERYTHING)).schema_cost * 2 == pytest.approx(SCHEMA_COST, rel=0.1)
    for allowed in (EVERYTHING, f"{{ __schema {{ types {{ ...F }} }} }} {ON_TYPE}"):
        check_limits(measure_document(parse(allowed)), LIMITS)
    types = f'{{ {" ".join(f"""t{i}: __type(name: "Task") {{ ...F }}""" for i in range(99))} }} {ON_TYPE}'
    check_limits(measure_document(parse(types)), LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        "{ __schema { " + " ".join(f"t{i}: types {{ ...F }}" for i in range(100)) + " } } " + ON_TYPE,
        "{ " + " ".join(f"s{i}: __schema {{ types {{ ...F }} }}" for i in range(60)) + " } " + ON_TYPE,
        "{ ...Q } fragment Q on Query { __schema { "
        + " ".join(f"t{i}: types {{ ...F }}" for i in range(100))
        + " } } "
        + ON_TYPE,
        "{ __schema { types { fields { type { fields { " + " ".join(f"n{i}: name" for i in range(190)) + " } } } } } }",
        EVERYTHING.replace("__schema {", "__schema { a: types { ...FullType } b: types { ...FullType }", 1),
    ],
)
def test_an_introspection_that_repeats_itself_is_refused_for_its_cost(text: str) -> None:
    assert "points of cost for its introspection" in refusal(text)


async def test_an_introspection_is_executed_once_and_needs_the_scope_read(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = make_schema(load_registry())
    executions = 0

    def counted(executor: Any) -> Any:
        nonlocal executions
        executions += 1
        return execute(executor)

    monkeypatch.setattr("graphql_api.execution.operations.execute", counted)
    reader = Context(None, known_caller=Caller("reader", frozenset({Scope.READ})))  # type: ignore[arg-type]
    answers = await asyncio.gather(*(schema.execute(EVERYTHING, context_value=reader) for _ in range(5)))
    assert executions == 1
    first, *others = [json_bytes(answer.data) for answer in answers]
    assert all(other == first for other in others)
    assert json.loads(first) == (await graphql(schema._core, EVERYTHING)).data
    submitter = Context(None, known_caller=Caller("submitter", frozenset({Scope.SUBMIT})))  # type: ignore[arg-type]
    monkeypatch.setattr(Context, "audit_refusal", lambda *_: None)
    for text in (
        EVERYTHING,
        '{ t: __type(name: "Task") { name } }',
        "{ ...F } fragment F on Query { __schema { description } }",
    ):
        refused = await schema.execute(text, context_value=submitter)
        assert refused.data is None
        assert [(error.extensions or {})["code"] for error in refused.errors or ()] == ["FORBIDDEN"]
    named = "query($n: String!) { __type(name: $n) { name } }"
    for name in ("Task", "Submission"):
        found = await schema.execute(named, {"n": name}, reader)
        assert found.data == {"__type": {"name": name}}
