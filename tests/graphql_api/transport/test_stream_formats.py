"""Subscriptions over HTTP by Apollo's multipart protocol. (Event streams: test_http_requests, test_odd_requests.)"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strawberry.types import ExecutionResult

from cluster.settings import load_settings
from graphql_api.transport import stream_formats
from graphql_api.transport.negotiation import EVENTS, GRAPHQL, JSON, MULTIPART, streamed_type
from graphql_api.transport.stream_formats import FORMATS
from tests.api_node import api_node
from tests.system import RedisServer

APOLLO = f"multipart/mixed;boundary=graphql;subscriptionSpec=1.0,{GRAPHQL},{JSON};q=0.9"
WAITING = 'subscription { taskResult(taskId: "00000000000000000000000000000000") { state } }'


@pytest.fixture(scope="module")
async def url(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    settings = load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("multipart"),
        log_level="WARNING",
    )
    async with api_node(settings) as url:
        yield url


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (APOLLO, MULTIPART),
        ('multipart/mixed;subscriptionSpec="1.0"', MULTIPART),
        ("Multipart/Mixed; SubscriptionSpec=1.0, application/json", MULTIPART),
        (f"multipart/mixed;subscriptionSpec=1.0;q=0.5, {EVENTS}", EVENTS),
        (f"multipart/mixed;subscriptionSpec=1.0, {EVENTS};q=0.5", MULTIPART),
        ("multipart/mixed;subscriptionSpec=1.0;q=0", None),
        ("multipart/mixed;subscriptionSpec=2.0", None),
        ("multipart/mixed;deferSpec=20220824", None),
        ("multipart/mixed", None),
        ("*/*", None),
    ],
)
def test_the_type_of_a_stream_is_the_best_of_those_that_are_named(accept: str, chosen: str | None) -> None:
    assert streamed_type(accept) == chosen


def parts_of(body: bytes) -> list[object]:
    """The JSON of each complete part, read as Apollo's clients do: up to the boundary that follows it."""
    preamble, *parts = body.split(b"\r\n--graphql")
    assert preamble == b""
    found = []
    for part in parts[:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        assert head == b"\r\nContent-Type: application/json"
        found.append(json.loads(content))
    return [*found, parts[-1]]


async def test_a_subscription_is_streamed_in_parts_and_ended_with_the_last_boundary(url: str) -> None:
    async with httpx.AsyncClient() as client:
        refused = {"query": 'subscription { taskResult(taskId: "x") { state } }'}
        answer = await client.post(url, json=refused, headers={"Accept": APOLLO})
        query = await client.post(url, json={"query": "{ __typename }"}, headers={"Accept": APOLLO})
    assert answer.headers["content-type"] == 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
    assert answer.headers["x-accel-buffering"] == "no"
    beginning, item, end = parts_of(answer.content)
    assert beginning == {}
    assert item["payload"]["errors"][0]["extensions"]["code"] == "BAD_TASK_ID"  # type: ignore[index]
    assert end == b"--\r\n"
    assert query.headers["content-type"].startswith(GRAPHQL)


async def test_an_idle_stream_has_heartbeats_and_is_not_held_back_by_compression(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = replace(FORMATS[MULTIPART], idle_seconds=0.05)
    monkeypatch.setattr("graphql_api.transport.http_endpoint.FORMATS", {**FORMATS, MULTIPART: often})
    body = b""
    async with (
        httpx.AsyncClient(headers={"Accept": APOLLO, "Accept-Encoding": "gzip"}) as client,
        client.stream("POST", url, json={"query": WAITING}) as answer,
    ):
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(parts_of(body)) > 3:
                break
    assert parts_of(body)[:3] == [{}, {}, {}]


@given(st.recursive(st.text() | st.none(), lambda inner: st.lists(inner, max_size=3)))
def test_no_value_contains_the_boundary(value: object) -> None:
    part = FORMATS[MULTIPART].item(ExecutionResult({"value": value}, None, None), None)
    assert part.count(stream_formats._BOUNDARY) == 1
    assert part.endswith(stream_formats._BOUNDARY)


def test_a_revoked_credential_ends_a_stream_with_an_error() -> None:
    [last] = parts_of(FORMATS[MULTIPART].beginning + FORMATS[MULTIPART].revoked)[1:-1]
    assert last["payload"] is None  # type: ignore[index]
    assert last["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"  # type: ignore[index]
