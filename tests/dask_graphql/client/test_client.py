"""The Python client, sync and asyncio, against whole systems, broken links and an api that refuses."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import decimal
import doctest
import hashlib
import json
import logging
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
import uvicorn
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, field_validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from cluster.settings import Settings
from cluster.store.record import SubmissionOutcome
from cluster.store.tenant_policies import TenantPolicy
from cluster.task_types.registry import Registry, load_registry
from cluster.task_types.task_id import canonical_json
from cluster.task_types.task_type import Bound
from dask_graphql import (
    ApiUnavailable,
    AsyncClient,
    AsyncHandle,
    BadArguments,
    BigInt,
    Client,
    ClientError,
    IdMismatch,
    IdUnknown,
    Refused,
    ResultTimeout,
    SubmitOptions,
    TaskCancelled,
    TaskFailed,
    TaskType,
    UnknownTaskType,
)
from dask_graphql.client import result_waiter
from dask_graphql.client import resumed as client_resumed
from dask_graphql.client.codec import Blob
from dask_graphql.client.http_transport import blob_url
from dask_graphql.client.submit_command import output_record
from dask_graphql.client.task_types import DISCOVERY, Input, parse_task_types
from dask_graphql.dev_system import free_port
from graphql_api.auth.callers import Caller
from graphql_api.context import Context
from graphql_api.schema.builder import make_schema
from graphql_api.schema.id_derivation import is_derivable
from graphql_api.transport.json import parse_json
from tests.places import ROOT
from tests.system import TASKS, System
from tests.task_modules.samples import Colour, Point

FIB_90 = "b9a7c7263c0332d12e52f09809754586"
PAGE = ROOT / "docs" / "python-client.md"


@pytest.fixture
async def client(system: System) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(system.url) as opened:
        yield opened


@pytest.fixture
def sync_client(system: System) -> Iterator[Client]:
    with Client(system.url.removesuffix("/graphql")) as opened:
        yield opened


# Start ----------------------------------------------------------------------------------------------------------------


def test_importing_the_client_loads_neither_the_server_nor_dask() -> None:
    code = (
        "import sys; from dask_graphql import Client; "
        "print([name for name in ('strawberry', 'graphql', 'dask', 'distributed', 'redis', 'boto3', 'starlette',"
        " 'websockets') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert answer.stdout.strip() == "[]"


# Every method, sync and asyncio ---------------------------------------------------------------------------------------


async def test_a_task_is_submitted_and_its_result_awaited(client: AsyncClient) -> None:
    handle = await client.submit("fibonacci", n=90)
    assert handle.task_id == FIB_90
    assert handle.outcome in ("NEW", "JOINED", "CACHED")
    result = await handle.result(timeout=30)
    assert (result["value"], result["bit_length"], result["blob"]) == (2880067194370816120, 62, None)
    assert (await client.submit("fibonacci", n=90)).outcome == "CACHED"
    own = SubmitOptions(run_key="2026-01")
    assert await client.task_id("fibonacci", n=90, options=own) == "3bc7b21c103887f727d6761181eb52fd"
    [again] = await client.submit_many("fibonacci", [{"n": 90}], options=own)
    assert (again.task_id, again.outcome) == ("3bc7b21c103887f727d6761181eb52fd", "NEW")
    assert (await again.result(timeout=30))["value"] == result["value"]
    assert (await client.submit("fibonacci", n=90, options=own)).outcome == "CACHED"
    assert await handle.state() == handle.last_state == "SUCCEEDED"


def test_a_task_is_submitted_and_waited_for_without_asyncio(sync_client: Client) -> None:
    handle = sync_client.submit("fibonacci", n=91)
    assert handle.result(timeout=30)["value"] == 4660046610375530309
    assert handle.final()["state"] == handle.state() == handle.last_state == "SUCCEEDED"
    assert sync_client.task(handle.task_id).result(timeout=30) == handle.result()
    assert sync_client.task_id("fibonacci", n=91) == handle.task_id
    assert handle.task_id in repr(handle)
    assert sync_client.url.endswith("/graphql")


def test_many_are_submitted_mapped_and_taken_as_they_end_without_asyncio(sync_client: Client) -> None:
    inputs = [{"a": number, "b": number} for number in range(20)]
    handles = sync_client.submit_many("add", inputs)
    assert [handle.result(timeout=30) for handle in handles] == [2 * number for number in range(20)]
    assert list(sync_client.map("add", inputs)) == [2 * number for number in range(20)]
    ended = list(sync_client.as_completed(handles))
    assert sorted(handle.task_id for handle in ended) == sorted(handle.task_id for handle in handles)


async def test_many_are_mapped_and_taken_as_they_end(client: AsyncClient) -> None:
    inputs = [{"a": number, "b": 1} for number in range(700)]
    assert [result async for result in client.map("add", inputs)] == [number + 1 for number in range(700)]
    handles = await client.submit_many("add", inputs)
    assert len({handle.task_id async for handle in client.as_completed(handles)}) == 700
    assert client._websocket.connections == 1
    assert client._websocket._last_id < 10


def test_events_and_progress_are_followed_without_asyncio(sync_client: Client) -> None:
    handle = sync_client.submit("stepping", steps=2, options=SubmitOptions(recompute=True))
    events = list(handle.events())
    assert [event.seq for event in events] == list(range(events[0].seq, events[0].seq + len(events)))
    assert (events[-1].kind, handle.progress) == ("SUCCEEDED", 1.0)
    assert [event.seq for event in handle.events(after_seq=events[-2].seq)] == [events[-1].seq]
    for event in handle.events():
        assert event.at.tzinfo is not None
        break


async def test_a_slow_reader_gets_every_event(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_resumed, "BUFFER", 2)
    handle = await client.submit("stepping", steps=4, options=SubmitOptions(recompute=True))
    await handle.result(timeout=30)
    seen = []
    async for event in handle.events():
        seen.append(event.seq)
        await asyncio.sleep(0.02)
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert (await handle.final())["state"] == event.state == "SUCCEEDED"


async def test_a_task_is_cancelled(client: AsyncClient, tmp_path: Path) -> None:
    handle = await client.submit("gated", folder=str(tmp_path), n=1)
    with pytest.raises(ResultTimeout, match="did not end within"):
        await handle.result(timeout=0.2)
    assert await handle.cancel()
    with pytest.raises(TaskCancelled):
        await handle.result(timeout=30)


def test_a_task_is_cancelled_without_asyncio(sync_client: Client, tmp_path: Path) -> None:
    handle = sync_client.submit("gated", folder=str(tmp_path), n=1)
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.1)
    assert handle.cancel()
    with pytest.raises(TaskCancelled):
        handle.result(timeout=30)


async def test_a_failed_task_raises_with_its_code_message_and_type(client: AsyncClient) -> None:
    with pytest.raises(TaskFailed) as failed:
        await (await client.submit("failing", message="as told")).result(timeout=30)
    assert (failed.value.code, failed.value.message, failed.value.type) == ("TASK_FAILED", "as told", "ValueError")
    with pytest.raises(TaskFailed) as failed:
        await (await client.submit("refusing", code="TIDE_TOO_LOW")).result(timeout=30)
    assert failed.value.code == "TIDE_TOO_LOW"


async def test_the_children_the_parents_and_the_cost_of_a_task_are_read(client: AsyncClient) -> None:
    handle = await client.submit("sum_of_sums", n=3, b=101)
    assert await handle.result(timeout=30) == 306
    children = await handle.children()
    ids = [await client.task_id("add", a=a, b=101) for a in range(3)]
    assert [(child.task_id, child.name, child.state) for child in children] == [(it, "add", "SUCCEEDED") for it in ids]
    assert await handle.children(first=1) == children[:1]
    assert [it.task_id for it in await client.task(ids[0]).parents()] == [handle.task_id]
    assert await handle.parents() == []
    assert await handle.cost() is None  # a fleet of this machine costs nothing
    for ask in (AsyncHandle.children, AsyncHandle.parents, AsyncHandle.cost):
        with pytest.raises(Refused, match="was never submitted") as refused:
            await ask(client.task("e" * 32))
        assert refused.value.code == "TASK_NOT_FOUND"


async def test_a_submission_is_estimated_before_it_is_made(client: AsyncClient) -> None:
    options = SubmitOptions(run_key="estimated")
    before = await client.estimate("add", a=2**70, b=3, options=options)
    task_id = await client.task_id("add", a=2**70, b=3, options=options)
    assert (before.task_id, before.outcome, before.state) == (task_id, "NEW", None)
    assert await (await client.submit("add", a=2**70, b=3, options=options)).result(timeout=30) == 2**70 + 3
    after = await client.estimate("add", a=2**70, b=3, options=options)
    assert (after.outcome, after.run_p95_seconds, after.basis) == (
        "CACHED", 0, "Its result is kept: nothing would run.",
    )  # fmt: skip
    with pytest.raises(Refused, match="greater than or equal to 0") as refused:
        await client.estimate("fibonacci", n=-1)
    assert refused.value.code == "BAD_INPUT"


def test_families_and_estimates_without_asyncio(sync_client: Client) -> None:
    handle = sync_client.submit("sum_of_sums", n=2, b=102)
    assert handle.result(timeout=30) == 205
    [first, _] = handle.children()
    assert [it.task_id for it in handle.children(1)] == [first.task_id]
    assert [it.task_id for it in sync_client.task(first.task_id).parents()] == [handle.task_id]
    assert handle.cost() is None
    assert sync_client.estimate("sum_of_sums", n=2, b=102).outcome == "CACHED"


async def test_a_refusal_has_the_code_and_the_message_of_the_api(client: AsyncClient) -> None:
    with pytest.raises(Refused, match="greater than or equal to 0") as refused:
        await client.submit("fibonacci", n=-1)
    assert refused.value.code == "BAD_INPUT"
    with pytest.raises(Refused) as refused:
        await client.task("e" * 32).cancel()
    assert refused.value.code == "TASK_NOT_FOUND"
    with pytest.raises(Refused, match=r"inputs\[1\]"):
        await client.submit_many("fibonacci", [{"n": 1}, {"n": -1}])


async def test_unknown_task_types_and_arguments_are_refused_without_a_request(client: AsyncClient) -> None:
    with pytest.raises(UnknownTaskType, match="no task 'fibonaci'; it has add, "):
        await client.submit("fibonaci", n=1)
    with pytest.raises(BadArguments, match="no argument m; it has n"):
        await client.submit("fibonacci", m=1)
    with pytest.raises(BadArguments, match="needs the argument n"):
        await client.submit("fibonacci")
    with pytest.raises(BadArguments, match="32 lowercase hex digits"):
        client.task("nonsense")
    assert all(issubclass(kind, ClientError) for kind in (UnknownTaskType, BadArguments, Refused, ApiUnavailable))


async def test_objects_enums_and_blobs_become_python_values_and_back(client: AsyncClient, tmp_path: Path) -> None:
    points: list[Any] = [Point(x=1), {"x": 2, "y": 5}]
    handle = await client.submit("report", size=3_000_000, colour=Colour.BLUE, points=points)
    report = await handle.result(timeout=30)
    assert (report["colour"], report["points"]) == ("blue", [{"x": 1, "y": 3}, {"x": 2, "y": 5}])
    assert (report["text"].size_bytes, report["text"].media_type) == (3_000_000, "text/plain")
    assert await client.download(report["text"], tmp_path / "report.txt") == 3_000_000
    assert (tmp_path / "report.txt").read_bytes() == await client.read(report["text"]) == b"r" * 3_000_000
    again = await client.submit("report", size=3_000_000, colour="BLUE", points=[{"x": 1}, {"x": 2, "y": 5}])
    assert again.task_id == handle.task_id


def test_a_long_fibonacci_number_is_read_in_parts_and_as_a_whole(sync_client: Client, tmp_path: Path) -> None:
    handle = sync_client.submit("fibonacci", n=5_000_000)
    result = handle.result(timeout=60)
    assert result["value"] is None
    head = handle.read_field("digits_slice", offset=0, length=12)
    assert handle.read_field("digitsSlice", offset=0, length=12) == head
    whole = sync_client.read(result["blob"])
    assert whole.startswith(head.encode())
    assert hashlib.sha256(whole).hexdigest() == result["sha256"]
    with (tmp_path / "digits").open("wb") as file:
        assert sync_client.download(result["blob"], file) == result["digits"]
    with pytest.raises(BadArguments, match="no field 'digit'"):
        handle.read_field("digit")


async def test_a_task_may_be_waited_for_before_anybody_submits_it(client: AsyncClient, tmp_path: Path) -> None:
    early = client.task(await client.task_id("counted", folder=str(tmp_path), n=3))
    assert await early.state() is None
    waiting = asyncio.ensure_future(early.result(timeout=30))
    await asyncio.sleep(0)
    await client.submit("counted", folder=str(tmp_path), n=3)
    assert await waiting == 3


async def test_a_timeout_says_that_the_task_was_not_submitted(client: AsyncClient) -> None:
    with pytest.raises(ResultTimeout, match=f"{'1' * 32} was not submitted yet, or its record has expired"):
        await client.task("1" * 32).result(timeout=0.2)


@pytest.mark.slow
async def test_thousands_that_wait_one_by_one_share_a_few_subscriptions(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More callers than one socket may have operations (1,000), each coming by itself."""
    monkeypatch.setattr(result_waiter, "MAX_IDS", 200)
    async with AsyncClient(system.url) as client:
        handles = await client.submit_many("add", [{"a": number, "b": 10**6} for number in range(1200)])
        never = client.task("f" * 32)
        waits = []
        for handle in [*handles, *[never] * 30]:
            waits.append(asyncio.ensure_future(handle.result()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert await asyncio.gather(*waits[:1200]) == [number + 10**6 for number in range(1200)]
        assert max(len(bundles) for bundles in client._results._open.values()) < 60
        for wait in waits[1200:]:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert not client._websocket._subscriptions


def test_a_closed_client_says_so(system: System) -> None:
    client = Client(system.url)
    handle = client.task("f" * 32)
    failures: list[Exception] = []

    def wait() -> None:
        try:
            handle.result()
        except ClientError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    client.close()
    thread.join(10)
    client.close()
    assert [str(failure) for failure in failures] == ["the client is closed"]
    with pytest.raises(ClientError, match="closed"):
        client.submit("fibonacci", n=1)


# Ids ------------------------------------------------------------------------------------------------------------------


def types_of(registry: Registry) -> dict[str, TaskType]:
    """What a client of an api with this registry knows."""
    schema = make_schema(registry)
    node: Any = SimpleNamespace(registry=registry, settings=Settings())
    context: Any = Context(node, schema.wrappers, schema.json_writers, known_caller=Caller("test"))
    answer = asyncio.run(schema.execute(DISCOVERY, context_value=context))
    assert not answer.errors
    assert answer.data is not None
    return parse_task_types(json.loads(json.dumps(answer.data)))


@dataclass
class Window:
    begin: datetime.datetime
    labels: list[str]
    length: float = 1.5


class Corner(BaseModel):
    at: Point
    colour: Colour | None = None
    big: BigInt = 2**70


def everything(
    when: datetime.datetime,
    day: datetime.date,
    hour: datetime.time,
    price: decimal.Decimal,
    key: uuid.UUID,
    share: float,
    window_of_time: Window,
    corners: list[Corner],
    free: dict[str, Any] | None = None,
    flag: bool = True,
    size: BigInt = 2**60,
) -> int:
    """Takes a value of every kind."""
    return 1


def registry_of_everything() -> Registry:
    from cluster.task_types.declaration import declare

    registry = load_registry([TASKS])
    registry.add(declare(everything, "everything", "7", None, 0, None, None))
    return registry


REGISTRY = registry_of_everything()
TYPES = types_of(REGISTRY)
INT32 = st.integers(-(2**31), 2**31 - 1)
TIMES = st.datetimes(timezones=st.sampled_from([datetime.UTC, datetime.timezone(datetime.timedelta(hours=2))]))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
CORNERS = st.builds(
    Corner, at=st.builds(Point, x=INT32, y=INT32), colour=st.sampled_from([None, *Colour]), big=st.integers()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.text() | FLOATS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
EVERYTHING = st.fixed_dictionaries(
    {
        "when": TIMES,
        "day": st.dates(),
        "hour": st.times(),
        "price": st.decimals(allow_nan=False, allow_infinity=False, places=3),
        "key": st.uuids(),
        "share": FLOATS | st.integers(-(2**70), 2**70),
        "window_of_time": st.builds(Window, TIMES, st.lists(st.text(max_size=3), max_size=2), st.floats(0, 9)),
        "corners": st.lists(CORNERS, max_size=2),
    },
    optional={
        "free": st.dictionaries(st.text(max_size=4), JSON, max_size=3),
        "flag": st.booleans(),
        "size": st.integers(),
    },
)


@given(n=st.integers(0, 10**9))
def test_the_id_of_a_fibonacci_number_is_the_servers(n: int) -> None:
    assert TYPES["fibonacci"].bind({"n": n}).task_id() == REGISTRY["fibonacci"].bind({"n": n}).task_id


@given(a=st.integers(), b=st.none() | st.integers(), text=st.booleans())
def test_the_id_of_big_integers_and_of_defaults_is_the_servers(a: int, b: int | None, text: bool) -> None:
    arguments: dict[str, Any] = {"a": str(a) if text else a} | ({} if b is None else {"b": b})
    assert TYPES["add"].bind(arguments).task_id() == REGISTRY["add"].bind(arguments).task_id


@given(arguments=EVERYTHING)
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_the_id_of_any_input_is_the_servers(arguments: dict[str, Any]) -> None:
    """The server's part is whole: what the client sends goes through JSON, GraphQL's variables and the task type."""
    item = TYPES["everything"].bind(arguments)
    bound = asyncio.run(bound_by_the_api(item))
    assert canonical_json(item.plain) == bound.canonical_input
    assert item.task_id() == bound.task_id


SCHEMA = make_schema(REGISTRY)


async def bound_by_the_api(item: Input) -> Bound:
    """What an api node makes of the client's mutation, up to the store."""
    heard: list[Bound] = []

    async def submit(bound: list[Bound], options: Any) -> list[Any]:
        heard.extend(bound)
        return [SimpleNamespace(record=None, outcome=SubmissionOutcome.NEW) for _ in bound]

    limits = SimpleNamespace(batch_limit=10, submissions_per_minute=0, input_limit_bytes=65_536)
    policies = SimpleNamespace(of=lambda _: TenantPolicy())
    node: Any = SimpleNamespace(submissions=SimpleNamespace(submit=submit), settings=limits, policies=policies)
    types = {argument.graphql_name: argument.graphql_type for argument in item.task_type.arguments}
    head = ", ".join(f"${name}: {types[name]}" for name in item.wire)
    inner = ", ".join(f"{name}: ${name}" for name in item.wire)
    answer = await SCHEMA.execute(
        f"mutation({head}) {{ {item.task_type.mutation}({inner}) {{ outcome }} }}",
        variable_values=parse_json(json.dumps(item.wire), 100_000),
        context_value=Context(node, SCHEMA.wrappers, SCHEMA.json_writers, known_caller=Caller("test")),
    )
    assert not answer.errors, answer.errors
    [bound] = heard
    return bound


async def test_the_ids_of_random_inputs_are_those_of_a_running_api(client: AsyncClient) -> None:
    examples: list[tuple[str, dict[str, Any]]] = [
        ("add", {"a": 2**53}), ("add", {"a": -(2**53) - 1, "b": 10**5000}), ("estimate_pi", {"samples": 10}),
        ("failing", {"message": "\u00fc \U0001f600 \\ \""}), ("slow", {"folder": "/nowhere", "n": 1, "seconds": 0}),
        ("slow", {"folder": "/nowhere", "n": 1, "seconds": 2**60}), ("report", {"size": 1, "points": Point(x=1)}),
    ]  # fmt: skip
    for name, arguments in examples:
        expected = await client.task_id(name, **arguments)
        options = SubmitOptions(
            not_before=TOMORROW, start_before=TOMORROW + datetime.timedelta(hours=1), ttl_seconds=60
        )
        handle = await client.submit(name, options=options, **arguments)
        assert handle.task_id == expected, name
        await handle.cancel()


TOMORROW = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)


async def test_an_id_that_does_not_follow_from_the_input_raises(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dask_graphql.client.task_types.task_id", lambda *_: "0" * 32)
    with pytest.raises(IdMismatch, match=f"returned the task id {FIB_90}, but {'0' * 32} follows"):
        await client.submit("fibonacci", n=90)


async def test_ids_that_only_the_api_can_compute_are_accepted(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = {name: replace(kind, id_from_input=False) for name, kind in (await client.task_types()).items()}
    monkeypatch.setattr(client, "_task_types", types)
    monkeypatch.setattr("dask_graphql.client.task_types.task_id", lambda *_: "0" * 32)
    assert (await client.submit("fibonacci", n=90)).task_id == FIB_90
    with pytest.raises(IdUnknown, match="submit it to get its id"):
        await client.task_id("fibonacci", n=90)


class Trimmed(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def trim(cls, value: str) -> str:
        return value.strip()


@pytest.mark.parametrize(
    ("annotation", "plain"),
    [
        (int, True), (BigInt, True), (Annotated[int, Field(ge=0, le=9)], True), (list[Point] | None, True),
        (dict[str, Any], True), (Any, True), (Colour, True), (Window, True), (tuple[float, ...], True),
        (Annotated[str, Field(pattern="a+", max_length=9)], True),
        (set[int], False), (dict[str, int], False), (Trimmed, False), (list[Trimmed], False),
        (Annotated[str, StringConstraints(strip_whitespace=True)], False),
        (Annotated[int, AfterValidator(abs)], False), (Literal["a"], False),
    ],
)  # fmt: skip
def test_an_id_follows_from_the_input_unless_validation_may_rewrite_it(annotation: Any, plain: bool) -> None:
    assert is_derivable(annotation) is plain


# Lost connections -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_no_result_is_lost_while_the_api_and_redis_are_killed_and_started_again(tmp_path: Path) -> None:
    """200 callers wait over an api that takes 50 ids at once; every one of them gets its result."""
    async with (
        System(tmp_path, min_workers=2, max_workers=2, batch_limit=50) as system,
        AsyncClient(system.url) as client,
    ):
        inputs = [{"folder": str(tmp_path), "n": n, "seconds": 0.08} for n in range(200)]
        handles = await client.submit_many("slow", inputs)
        assert len({handle.task_id for handle in handles}) == 200
        waits = [asyncio.ensure_future(handle.result()) for handle in handles]
        events = asyncio.ensure_future(collect(handles[-1]))
        await first_end(waits, 10)

        await system.kill("api0")
        late = asyncio.ensure_future(client.submit("fibonacci", n=17))
        await system.start("api")
        assert (await (await late).result(timeout=60))["value"] == 1597
        await first_end(waits, 60)

        system.redis.kill()
        system.redis.start()
        await first_end(waits, 110)

        # On a busy machine all may have ended by now, and nobody connects again.
        connections = 2 + any(not wait.done() for wait in waits)
        system.children["api0"].process.send_signal(signal.SIGTERM)
        await system.children["api0"].process.wait()
        await system.start("api")

        async with asyncio.timeout(90):
            assert await asyncio.gather(*waits) == list(range(200))
            assert (await events)[-1] == "SUCCEEDED"
        assert client._websocket.connections >= connections
        for handle in handles:
            assert (await handle.final())["state"] == "SUCCEEDED"


async def collect(handle: AsyncHandle) -> list[str]:
    """The kinds of all events, whose numbers have no gap."""
    events = [event async for event in handle.events()]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.kind for event in events]


async def first_end(waits: Sequence[asyncio.Future[Any]], count: int) -> None:
    """Returns when so many have their result."""
    async with asyncio.timeout(60):
        while sum(wait.done() for wait in waits) < count:
            await asyncio.wait([wait for wait in waits if not wait.done()], return_when=asyncio.FIRST_COMPLETED)


@pytest.mark.slow
async def test_a_hanging_connection_to_the_api_is_closed_and_reopened(tmp_path: Path) -> None:
    """The link stays open and nobody answers: pings notice it."""
    async with (
        System(tmp_path, min_workers=1, max_workers=1) as system,
        AsyncClient(system.url, ping_seconds=0.5) as client,
    ):
        handle = await client.submit("gated", folder=str(tmp_path), n=1)
        waiting = asyncio.ensure_future(handle.result())
        await connected(client, 1)
        api = system.children["api0"].process
        api.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(20):
            while client._websocket._outgoing is not None:
                await asyncio.sleep(0.02)
        api.send_signal(signal.SIGCONT)
        await connected(client, 2)
        (tmp_path / "gate-1").touch()
        assert await asyncio.wait_for(waiting, 30) == 1


async def connected(client: AsyncClient, times: int) -> None:
    async with asyncio.timeout(30):
        while client._websocket.connections < times or client._websocket._outgoing is None:
            await asyncio.sleep(0.01)


async def test_an_unavailable_api_raises_after_the_clients_patience() -> None:
    async with AsyncClient(f"http://127.0.0.1:{free_port()}", patience_seconds=0.7) as client:
        with pytest.raises(ApiUnavailable, match=r"did not respond for 0\.7 s"):
            await client.submit("fibonacci", n=1)
        with pytest.raises(ApiUnavailable, match=r"did not respond for 0\.7 s"):
            await client.task(FIB_90).result()
        with pytest.raises(ApiUnavailable):
            await anext(client.task(FIB_90).events())
    async with AsyncClient("ftp://example.invalid") as client:
        with pytest.raises(ApiUnavailable, match="is not the URL of an api"):
            await client.submit("fibonacci", n=1)


@pytest.mark.slow
async def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    async with (
        System(tmp_path, min_workers=1, max_workers=1, queue_limit=20) as system,
        AsyncClient(system.url) as client,
    ):
        inputs = [{"folder": str(tmp_path), "n": n, "seconds": 0.02} for n in range(40)]
        parts = [inputs[start : start + 10] for start in range(0, 40, 10)]
        handles = [handle for part in parts for handle in await client.submit_many("slow", part)]
        async with asyncio.timeout(60):
            assert [await handle.result() for handle in handles] == list(range(40))
        impatient = AsyncClient(system.url, patience_seconds=0.5)
        await client.submit_many("gated", [{"folder": str(tmp_path), "n": n} for n in range(18)])
        with pytest.raises(Refused) as refused:
            await impatient.submit_many("gated", [{"folder": str(tmp_path), "n": n} for n in range(50, 69)])
        assert refused.value.code == "QUEUE_FULL"
        await impatient.close()


class CuttingProxy:
    """Passes connections on to a port, and cuts each of them after so many bytes of the answer."""

    def __init__(self, target: int, limit: int) -> None:
        self.target, self.limit = target, limit
        self.connections = 0
        self.port = free_port()

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)

        async def up() -> None:
            while data := await reader.read(65536):
                up_writer.write(data)

        asking = asyncio.ensure_future(up())
        left = self.limit
        while left > 0 and (data := await up_reader.read(min(left, 65536))):
            writer.write(data)
            await writer.drain()
            left -= len(data)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        for end in (writer, up_writer):
            end.close()


async def test_a_download_resumes_where_its_connection_broke(system: System, tmp_path: Path) -> None:
    async with CuttingProxy(system.ports[0], 700_000) as proxy, AsyncClient(f"http://127.0.0.1:{proxy.port}") as client:
        handle = await client.submit("fibonacci", n=11_000_000)
        result = await handle.result(timeout=60)
        assert await client.download(result["blob"], tmp_path / "digits") == result["digits"] > 2_000_000
        assert hashlib.sha256((tmp_path / "digits").read_bytes()).hexdigest() == result["sha256"]
        assert proxy.connections >= 4
        gone = Blob(f"/blobs/{'e' * 32}/1/none", 5, "text/plain")
        with pytest.raises(Refused) as refused:
            await client.read(gone)
        assert refused.value.code == "BLOB_NOT_FOUND"


# An api that refuses --------------------------------------------------------------------------------------------------


class Scripted:
    """An api that answers what the test tells it, over real sockets, and remembers what it heard."""

    def __init__(self) -> None:
        self.answers: list[Response] = []
        self.close_code = 0
        self.authorizations: list[str | None] = []
        self.greetings: list[Any] = []
        self.said: list[str] = []
        self.url = ""

    async def http(self, request: Request) -> Response:
        self.authorizations.append(request.headers.get("authorization"))
        return self.answers.pop(0)

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept(subprotocol="graphql-transport-ws")
        self.greetings.append(await socket.receive_json())
        if self.close_code:
            await socket.close(self.close_code, "not you")
            return
        await socket.send_json({"type": "ping"})
        await socket.send_json({"type": "connection_ack"})
        await socket.send_json({"type": "ping", "payload": {}})
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                message = await socket.receive_json()
                self.said.append(message["type"])
                if message["type"] == "subscribe":
                    record = {"taskId": FIB_90, "name": "gone", "state": "FAILED", "attempt": 1, "progress": None}
                    error = {"code": "TIMEOUT", "message": "too long", "type": None}
                    data = {"taskResults": record | {"error": error}}
                    await socket.send_json({"id": message["id"], "type": "next", "payload": {"data": data}})
                    await socket.send_json({"id": message["id"], "type": "complete"})


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    api = Scripted()
    app = Starlette(routes=[Route("/graphql", api.http, methods=["POST"]), WebSocketRoute("/graphql", api.socket)])
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=port, log_config=None, log_level=logging.CRITICAL, lifespan="off", ws="websockets-sansio"
        )
    )
    api.url = f"http://127.0.0.1:{port}/graphql"
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield api
    server.should_exit = True
    await serving


def no_types() -> Response:
    return JSONResponse({"data": {"caller": {"taskIdSalt": None}, "taskTypes": []}})


def errors(code: str, **extensions: Any) -> dict[str, Any]:
    return {"errors": [{"message": "not now", "extensions": {"code": code, **extensions}}]}


@pytest.mark.slow
async def test_a_request_is_repeated_while_a_proxy_or_the_api_refuses_temporarily(scripted: Scripted) -> None:
    scripted.answers = [
        Response("no upstream", 502), Response("", 503), Response("", 504), Response("", 429, {"Retry-After": "1"}),
        JSONResponse(errors("SERVICE_UNAVAILABLE")), JSONResponse(errors("RATE_LIMITED", retryAfterSeconds=1), 429),
        no_types(),
    ]  # fmt: skip
    async with AsyncClient(scripted.url) as client:
        began = asyncio.get_running_loop().time()
        assert await client.task_types() == {}
        assert asyncio.get_running_loop().time() - began >= 2
    assert scripted.answers == []
    assert scripted.authorizations == [None] * 7


async def test_the_token_is_sent_with_every_request_and_in_connection_init(scripted: Scripted) -> None:
    scripted.answers = [no_types()]
    async with AsyncClient(scripted.url, token="s3cret") as client:
        assert (await client.task(FIB_90).final())["error"]["code"] == "TIMEOUT"
        await asyncio.sleep(0)
    assert scripted.authorizations == ["Bearer s3cret"]
    assert scripted.greetings == [{"type": "connection_init", "payload": {"authorization": "Bearer s3cret"}}]
    assert scripted.said[0] in ("pong", "subscribe")
    assert "pong" in scripted.said


async def test_a_permanent_refusal_raises_at_once(scripted: Scripted) -> None:
    scripted.answers = [JSONResponse(errors("UNAUTHENTICATED"), 401), Response("<html>no such page", 404)]
    scripted.close_code = 4403
    async with AsyncClient(scripted.url) as client:
        with pytest.raises(Refused) as refused:
            await client.task_types()
        assert refused.value.code == "UNAUTHENTICATED"
        with pytest.raises(Refused, match="no such page") as refused:
            await client.task_types()
        assert refused.value.code == "HTTP_404"
        with pytest.raises(Refused, match="not you") as refused:
            await client.task(FIB_90).result()
        assert refused.value.code == "SOCKET_4403"
        assert len(scripted.greetings) == 1


def test_a_blob_is_requested_below_the_path_where_a_proxy_serves_the_api() -> None:
    assert blob_url("http://host:8000/graphql", "/blobs/a") == "http://host:8000/blobs/a"
    assert blob_url("https://host/api/graphql", "/blobs/a") == "https://host/api/blobs/a"
    assert blob_url("https://host/api/graphql", "/api/blobs/a") == "https://host/api/blobs/a"
    assert blob_url("https://host/graphql", "https://bucket/a?sig=1") == "https://bucket/a?sig=1"


def test_the_command_prints_objects_without_graphql_type_names() -> None:
    record = {
        "taskId": FIB_90, "name": "report", "state": "SUCCEEDED", "attempt": 1, "progress": 1.0, "error": None,
        "result": {"__typename": "Report", "text": {"__typename": "Blob", "url": "/blobs/x"},
                   "points": [{"__typename": "Point", "x": 1}]},
    }  # fmt: skip
    assert json.dumps(output_record(record)) == (
        f'{{"taskId": "{FIB_90}", "name": "report", "state": "SUCCEEDED", "attempt": 1, "error": null, "result": '
        '{"typename": "Report", "text": {"url": "/blobs/x"}, "points": [{"x": 1}]}}'
    )


# The page -------------------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_are_true(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text().replace("http://127.0.0.1:8000", system.url.removesuffix("/graphql"))
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) > 15
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert runner.run(test, out=told.append).failed == 0, "".join(told)
