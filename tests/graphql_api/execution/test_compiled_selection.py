"""Operations of one plain field: a compiled reader answers what graphql-core would answer, and runs no field twice."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from graphql import DocumentNode, Executor, OperationDefinitionNode, parse, validate
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cluster.errors import BadInput
from cluster.settings import Settings
from cluster.store.record import Event, EventKind, Record, SubmissionOutcome, TaskState
from cluster.store.replies import SubmitReply
from cluster.store.tenant_policies import TenantPolicy
from cluster.task_types.registry import load_registry
from cluster.task_types.task_type import Bound
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import Context
from graphql_api.execution.compiled_selection import EventExecution, event_execution, field_execution
from graphql_api.graphql_core_internals import execute_event
from graphql_api.schema.builder import make_schema
from graphql_api.schema.task_type_description import TaskTypeType
from tests.operations import selection
from tests.system import TASKS

REGISTRY = load_registry((TASKS, "tests.task_modules.odd"))
SCHEMA = make_schema(REGISTRY)
CORE = SCHEMA._schema
BLOB = {"key": "ab/report.txt", "size_bytes": 3, "media_type": "text/plain"}
RESULTS: dict[str, Any] = {
    "fibonacci": {"n": 9, "digits": 2, "bit_length": 6, "sha256": "86be", "text": "34"},
    "add": "7",
    "counted": 4,
    "growing": [1, 2, 3],
    "estimate_pi": {"pi": 3.0, "samples": 8},
    "find_place": {"x_axis": 1},
    "find_landmark": {"x_axis": 2, "label": "there"},
    "list_landmarks": [{"x_axis": 3}, {"x_axis": 4, "label": "here"}],
    "grow": {"value": 1, "children": [{"value": 2}, {"value": 3, "parent": {"value": 4}}]},
    "measure": {"mean": 1.5, "rows": [[1.0], [2.0]], "counts": [3], "by_name": {"std": 0.5}, "largest": 7},
    "report": {"text": BLOB, "colour": "red", "points": [{"x": 1, "y": 2}, {"x": 3, "y": -4}]},
}
"""What records hold of some task types."""


class Away:
    """A store in which nothing is found."""

    async def read(self, _: str) -> None:
        return None


class Submissions:
    """Answers every submission with one record, or an error, and notes what was submitted."""

    def __init__(self, answer: Record | Exception | None = None) -> None:
        self.answer = answer
        self.submitted: list[Any] = []

    async def submit(self, bound: list[Bound], options: Any) -> list[SubmitReply]:
        self.submitted.append(([(item.task_id, item.canonical_input) for item in bound], options))
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return [SubmitReply(SubmissionOutcome.CACHED, False, self.answer) for _ in bound]


def context(submissions: Submissions) -> Context:
    node: Any = SimpleNamespace(
        registry=REGISTRY, store=Away(), blobs=None, submissions=submissions, webhooks=None,
        policies=SimpleNamespace(of=lambda _: TenantPolicy()),
        settings=replace(Settings(), batch_limit=3),
    )  # fmt: skip
    return Context(node, SCHEMA.wrappers, SCHEMA.json_writers, known_caller=Caller("somebody", frozenset(Scope)))


CONTEXT = context(Submissions())


@st.composite
def records(draw: st.DrawFn) -> Record:
    name = draw(st.sampled_from([*RESULTS, "gone"]))
    state = draw(st.sampled_from([TaskState.SUCCEEDED, *TaskState]))
    odd = draw(st.sampled_from([b"7.5", b"null", b'"x"', None]))
    error = {"code": "TASK_FAILED", "message": "é", "type": None}
    time = st.none() | st.integers(0, 2_000_000_000_000)
    return replace(
        of(name),
        state=state,
        submitted_at=draw(time) or 0,
        started_at=draw(time),
        expires_at=draw(time),
        progress=draw(st.none() | st.floats(0, 1)),
        worker=draw(st.none() | st.just("w")),
        error=orjson.dumps(error) if state in (TaskState.FAILED, TaskState.CANCELLED) else None,
        result=orjson.dumps(RESULTS.get(name, 1)) if draw(st.integers(0, 5)) else odd,
    )


def of(name: str) -> Record:
    """A record of a task that succeeded."""
    return Record(
        "0" * 32, name, "1", b'{"n":90}', TaskState.SUCCEEDED, 1, 3, 1, 2, 3, None, 1.0, 0, None, 1, "w", 0, 0, "", "",
        None, orjson.dumps(RESULTS.get(name, 1)),
    )  # fmt: skip


def executor(document: DocumentNode, chosen: Context, variables: dict[str, Any] | None = None) -> Executor[Any]:
    built = Executor.build(CORE, document, context_value=chosen, raw_variable_values=variables)
    assert not isinstance(built, list)
    return built


def answers(text: str, root: Any) -> tuple[Any, Any]:
    """What a reader makes of an event, and what graphql-core makes of it."""
    document = parse(text)
    [operation] = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    built = executor(document, CONTEXT)

    def answer(execution: EventExecution) -> Any:
        return asyncio.run(finished(execution(built, root)))

    return answer(event_execution(CORE, document, operation)), answer(execute_event)


async def finished(result: Any) -> Any:
    result = await result if inspect.isawaitable(result) else result
    # As bytes, since the order of the fields belongs to the answer.
    return orjson.dumps(result.data), [error.formatted for error in result.errors or ()]


def read_only(text: str) -> str:
    """The answer of a reader that must not turn to graphql-core, which such an executor would break."""
    document = parse(text)
    [operation] = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    broken: Any = SimpleNamespace(context_value=CONTEXT)
    return orjson.dumps(event_execution(CORE, document, operation)(broken, task(of("fibonacci"))).data).decode()


def task(record: Record) -> Any:
    made: Any = CORE.type_map["Task"].extensions["strawberry-definition"].origin
    return made(record=record)


def event(record: Record) -> Any:
    made: Any = CORE.type_map["TaskEvent"].extensions["strawberry-definition"].origin
    return made(event=Event(3, EventKind.PROGRESS, record.state, 1, 5, 0.5, "half"), record=record)


@settings(deadline=None)
@given(st.randoms(use_true_random=False), records())
def test_a_reader_returns_what_graphql_core_returns(chance: Random, record: Record) -> None:
    for root, field, kind in ((task, "taskResult", "Task"), (event, "taskEvents", "TaskEvent")):
        text = f'subscription {{ {field}(taskId: "{"0" * 32}") {selection(CORE.type_map[kind], chance, 4)} }}'
        # Two fields of one name, and wrong values of arguments, are refused before they come here.
        assume(not validate(CORE, parse(text)))
        ours, theirs = answers(text, root(record))
        assert ours == theirs, text


@pytest.mark.parametrize(
    "asked",
    [
        "{ state state }",
        "{ result { __typename ... on FibonacciResult { value } } result { ... on FibonacciResult { digits } } }",
        "{ ...Some state } fragment Some on Task { taskId ... { name } ... on Task { again: name } result { ...Value }}"
        " fragment Value on TaskOutput { __typename ... on FibonacciResult { value digits } }",
        "{ state @skip(if: true) name @include(if: true) result @skip(if: false) { __typename } }",
        "{ ... @include(if: false) { state } name }",
        "{ result { ... on CountedResult { counted: value } } error { code } expiresAt input }",
    ],
)
def test_fields_are_merged_and_fragments_are_spread(asked: str) -> None:
    for name in RESULTS:
        ours, theirs = answers(f'subscription {{ it: taskResult(taskId: "x") {asked} }}', task(of(name)))
        assert ours == theirs
        assert theirs[1] == []


def test_a_plain_selection_is_read_without_graphql_core() -> None:
    asked = "{ taskId state finishedAt result { __typename ... on FibonacciResult { value } } error { code message } }"
    assert read_only(f"subscription($i: ID!) {{ taskResult(taskId: $i) {asked} }}") == (
        '{"taskResult":{"taskId":"00000000000000000000000000000000","state":"SUCCEEDED",'
        '"finishedAt":"1970-01-01T00:00:00.003000Z","result":{"__typename":"FibonacciResult",'
        '"value":"34"},"error":null}}'
    )


@settings(deadline=None)
@given(st.randoms(use_true_random=False), records() | st.sampled_from([BadInput("no", limit=1), ValueError("odd")]))
def test_a_compiled_mutation_has_the_same_response_and_runs_once(chance: Random, answer: Record | Exception) -> None:
    field = chance.choice(["submitFibonacci(n: 3)", "submitFibonacciMany(inputs: [{n: 1}, {n: 2}])", "submitAdd(a: 1)"])
    text = f"mutation {{ {field} {selection(CORE.type_map['Submission'], chance, 5)} }}"
    document = parse(text)
    assume(not validate(CORE, document))
    [operation] = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    both = []
    for execution in (field_execution(CORE, document, operation), lambda built: built.execute_operation()):
        submissions = Submissions(answer)
        both.append((asyncio.run(finished(execution(executor(document, context(submissions))))), submissions.submitted))
    assert both[0] == both[1], text


def test_task_types_are_described_once_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[str] = []
    of_task_type = TaskTypeType.of

    def counted(task_type: Any, schema: Any, settings: Any) -> TaskTypeType:
        described.append(task_type.name)
        return of_task_type(task_type, schema, settings)

    monkeypatch.setattr(TaskTypeType, "of", counted)
    schema = make_schema(REGISTRY)
    for _ in range(2):
        found = asyncio.run(schema.execute("{ taskTypes { name } }", context_value=CONTEXT))
        assert [item["name"] for item in (found.data or {})["taskTypes"]] == list(REGISTRY)
    assert described == list(REGISTRY)


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("mutation($n: Int!) { submitFibonacci(n: $n) { taskId outcome task { state } } }", {"n": 3}),
        ("mutation($n: Int!) { submitFibonacci(n: $n) { task { result { __typename } } } }", {"n": 3}),
        ("mutation($n: Int) { submitFibonacci(n: $n) { taskId } }", {}),
        ("mutation { submitEstimatePi(samples: 3) { taskId } }", {}),
        ("mutation($s: Int) { submitEstimatePi(samples: 3, seed: $s) { taskId } }", {"s": None}),
        ("mutation { submitEstimatePiMany(inputs: [{samples: 3}, {samples: 3, seed: 2}]) { taskId } }", {}),
        ("mutation { submitEstimatePiMany(inputs: {samples: 3}) { taskId } }", {}),
        ("mutation { submitFibonacci(n: 3, options: {recompute: true, priority: 2}) { taskId } }", {}),
        ("mutation { submitFibonacci(n: 3, options: null) { taskId } }", {}),
        ("mutation { submitFibonacci(n: 3, options: {priority: 101}) { taskId } }", {}),
        ("mutation($n: Int!) { submitFibonacci(n: $n) { taskId } }", {"n": -1}),
        ("mutation($i: [FibonacciInput!]!) { it: submitFibonacciMany(inputs: $i) { taskId } }", {"i": [{"n": 1}] * 3}),
        ("mutation($i: [FibonacciInput!]!) { it: submitFibonacciMany(inputs: $i) { taskId } }", {"i": [{"n": 1}] * 4}),
        ("mutation { submitFibonacci(n: 1) { taskId } other: submitAdd(a: 3) { taskId } }", {}),
        ("query($id: ID!) { task(taskId: $id) { state } }", {"id": "0" * 32}),
        ("query($id: ID!) { task(taskId: $id) { state } }", {"id": "no id"}),
        ("query { caller { name scopes tenant } }", {}),
        ("query { taskTypes { name arguments { name default } } }", {}),
        ("query { __typename }", {}),
        ('query { __type(name: "Task") { name } }', {}),
    ],
)
@pytest.mark.parametrize("result", [b'{"n":9,"digits":2,"bit_length":6,"sha256":"86be","text":"34"}', b'"unreadable"'])
def test_operations_of_real_clients_have_the_same_responses(
    query: str, variables: dict[str, Any], result: bytes
) -> None:
    document = parse(query)
    [operation] = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    both = []
    for execution in (field_execution(CORE, document, operation), lambda built: built.execute_operation()):
        submissions = Submissions(replace(of("fibonacci"), result=result))
        built = executor(document, context(submissions), variables)
        both.append((asyncio.run(finished(execution(built))), submissions.submitted))
    assert both[0] == both[1]
