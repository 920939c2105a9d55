"""A subscription without a task of asyncio is sent the messages that one with a task is sent, and leaves as little."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.waiters import Waiters
from cluster.observability import metrics
from cluster.settings import Settings
from cluster.store.record import Record, TaskState
from cluster.task_types.registry import load_registry
from graphql_api.auth.callers import EVERYTHING, Caller, Scope
from graphql_api.context import Context
from graphql_api.execution.response_cache import ResponseCache
from graphql_api.schema.builder import make_schema
from graphql_api.transport.direct_subscription import DirectSubscription
from graphql_api.transport.graphql_transport_ws import GraphQLTransportWsSession
from graphql_api.transport.legacy_graphql_ws import LegacyGraphQLWsSession
from graphql_api.transport.websocket_session import WebSocketSession

TASK_ID = "0123456789abcdef" * 2
REGISTRY = load_registry()
SCHEMA = make_schema(REGISTRY)
FIBONACCI = REGISTRY["fibonacci"]
RECORD = Record(
    TASK_ID, "fibonacci", "1", b'{"n":90}', TaskState.SUCCEEDED, 1, 3, 1, 2, 3, None, 1.0, 0, None, 1, "w", 0, 0, "",
    "", None, FIBONACCI.output.dump(FIBONACCI.function(n=90)),
)  # fmt: skip
DOCUMENTS = (
    "subscription($id: ID!) { taskResult(taskId: $id) { state result { ... on FibonacciResult { value } } } }",
    "subscription A($id: ID!) { mine: taskResult(taskId: $id) { taskId output error { code } } }",
    "subscription($id: ID!) { taskResult(taskId: $id) { ...F } } fragment F on Task { attempt seq submittedAt }",
    "subscription($id: ID!) { taskResult(taskId: $id) @skip(if: false) { state } }",
    'subscription($id: ID! = "0") { taskResult(taskId: $id) { state @include(if: true) } }',
    "subscription($id: ID!) { taskResult(taskId: $id) { state cost { amount } } }",
    "subscription($id: ID!) { taskResult(taskId: $id) { result { ... on FibonacciResult "
    "{ digitsSlice(offset: 0, length: 2) } } } }",
    "subscription($id: String!) { taskResult(taskId: $id) { state } }",
    "subscription($id: ID!) { taskResult(task: $id) { state } }",
    "subscription($id: ID!) { taskResult { state } }",
    f'subscription($id: ID!) {{ taskResult(taskId: "{TASK_ID}") {{ state }} }}',
    "subscription($id: ID!, $no: Int) { taskResult(taskId: $id) { state } }",
)
VARIABLES: tuple[Any, ...] = (
    {"id": TASK_ID}, {"id": "odd"}, {"id": 7}, {"id": None}, {"id": TASK_ID, "no": 1}, {}, {"ID": TASK_ID}, None,
)  # fmt: skip
RECORDS = (
    RECORD,
    replace(RECORD, state=TaskState.FAILED, result=None, error=b'{"code":"TASK_FAILED","message":"no"}'),
    replace(RECORD, state=TaskState.CANCELLED, result=None),
    replace(RECORD, result=None),
    replace(RECORD, result=b'{"odd":1}'),
    replace(RECORD, tenant="other"),
)


@dataclass
class Recorder:
    """A connection, and what was sent on it. A blocked one takes messages only by `send`, which waits."""

    blocked: bool
    sent: list[str]

    def send_texts(self, *texts: bytes) -> bool:
        if not self.blocked:
            self.sent += [text.decode() for text in texts]
        return not self.blocked

    async def send(self, message: dict[str, str]) -> None:
        await asyncio.sleep(0)
        self.sent.append(message["text"])


@dataclass(frozen=True)
class Case:
    """A subscription, and what it meets."""

    document: str
    variables: Any
    name: str | None
    record: Record
    caller: Caller
    blocked: bool
    kind: type[WebSocketSession]
    node_limit: int
    account_limit: int
    answer_bytes: int


CALLERS = (
    Caller("address:1.2.3.4", account="address:1.2.3.4"),
    Caller("key", tenant="acme", account="acme"),
    Caller("key", account="acme", scopes=EVERYTHING - {Scope.READ, Scope.ADMIN}),
)
CASES = st.builds(
    Case,
    st.sampled_from(DOCUMENTS), st.sampled_from(VARIABLES), st.sampled_from([None, "", "A", "B"]),
    st.sampled_from(RECORDS), st.sampled_from(CALLERS), st.booleans(),
    st.sampled_from([GraphQLTransportWsSession, LegacyGraphQLWsSession]),
    st.sampled_from([9, 9, 0]), st.sampled_from([9, 9, 0]), st.sampled_from([10**6, 10**6, 40]),
)  # fmt: skip


async def messages(case: Case) -> tuple[list[str], float]:
    """What a client is sent, and how many operations are counted."""
    deliveries = ResultDelivery(SimpleNamespace(), "node", case.node_limit, print)  # type: ignore[arg-type]
    whole = replace(case.record, result=RECORD.result)
    deliveries.results = SimpleNamespace(complete=lambda _: asyncio.sleep(0, whole))  # type: ignore[assignment]
    waiters = Waiters(case.account_limit)
    node: Any = SimpleNamespace(
        settings=Settings(), deliveries=deliveries, waiters=waiters, registry=REGISTRY, blobs=None,
        operation_rates=SimpleNamespace(take=lambda *_: 0), audit=SimpleNamespace(refused=lambda *_: None),
    )  # fmt: skip
    context = Context(node, SCHEMA.wrappers, SCHEMA.json_writers, known_caller=case.caller, public_url="http://api")
    connection: Any = Recorder(case.blocked, [])
    session = case.kind(connection, SCHEMA, context, None, None, 9, 1_000)  # type: ignore[arg-type]
    payload = {"query": case.document, "variables": case.variables, "operationName": case.name}
    before = metrics.OPERATIONS.labels("subscription")._value.get()
    await session.start("1", payload)
    for _ in range(40):
        await asyncio.sleep(0)
        deliveries._topics.on_read(TASK_ID, case.record, 1)
    session.stop("1")
    for _ in range(10):
        await asyncio.sleep(0)
    assert (deliveries.subscribers, deliveries.watched_tasks) == (0, 0)
    assert not waiters._count
    return connection.sent, metrics.OPERATIONS.labels("subscription")._value.get() - before


@hypothesis_settings(deadline=None)
@given(CASES)
def test_the_messages_are_those_of_an_operation_with_a_task(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SCHEMA, "_answer_bytes", case.answer_bytes)
        patch.setattr(SCHEMA, "_response_cache", ResponseCache())
        with patch.context() as with_tasks:
            with_tasks.setattr(DirectSubscription, "begin", lambda *_: None)
            expected = asyncio.run(messages(case))
        patch.setattr(SCHEMA, "_response_cache", ResponseCache())
        assert asyncio.run(messages(case)) == expected
        assert asyncio.run(messages(case)) == expected, "the response is in the cache"


@pytest.mark.parametrize("document", DOCUMENTS[:3])
async def test_a_plain_subscription_needs_no_task(document: str) -> None:
    case = Case(document, {"id": TASK_ID}, None, RECORD, CALLERS[0], False, GraphQLTransportWsSession, 9, 9, 10**6)
    await messages(case)  # the first one compiles the document
    begun: list[DirectSubscription | None] = []
    begin = DirectSubscription.begin

    def noted(*given: Any) -> DirectSubscription | None:
        begun.append(begin(*given))
        return begun[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DirectSubscription, "begin", noted)
        sent, _ = await messages(case)
    assert begun[0] is not None
    assert [json.loads(text)["type"] for text in sent] == ["next", "complete"]
