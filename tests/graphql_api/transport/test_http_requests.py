"""HTTP requests: media types and statuses, compressed bodies, origins, resumed event streams."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from graphql_api.transport.negotiation import GRAPHQL, JSON, media_type
from tests.system import System

TYPES = json.dumps({"query": "{ taskTypes { name } }"}).encode()
IS_JSON = {"Content-Type": "application/json"}


async def post(system: System, content: bytes = TYPES, **headers: str) -> httpx.Response:
    shown = {**IS_JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with httpx.AsyncClient() as client:
        return await client.post(system.url, content=content, headers=shown)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/html", JSON),
        (GRAPHQL, GRAPHQL),
        (f"{JSON}, {GRAPHQL}", JSON),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{JSON};q=0.5, {GRAPHQL}", GRAPHQL),
        (f"{GRAPHQL};charset=utf-8, {JSON};q=0.9", GRAPHQL),
        (f"{GRAPHQL};q=0.1, */*;q=0.9", JSON),
        (f"*/*, {GRAPHQL}", GRAPHQL),
        (f"{GRAPHQL};q=0", JSON),
        (f"{GRAPHQL};q=x, {JSON};q=0.1", JSON),
    ],
)
def test_the_response_has_the_media_type_that_the_client_prefers(accept: str, chosen: str) -> None:
    assert media_type(accept) == chosen


@given(st.text())
def test_any_accept_header_leads_to_a_media_type(accept: str) -> None:
    assert media_type(accept) in (JSON, GRAPHQL)


@pytest.mark.parametrize("query", ["{", "{ nothing }", "query($n: Int!) { cluster { waiting } }"])
async def test_the_status_of_a_refused_document_depends_on_the_media_type(system: System, query: str) -> None:
    body = json.dumps({"query": query}).encode()
    new, old = await post(system, body, Accept=GRAPHQL), await post(system, body, Accept=JSON)
    assert (new.status_code, old.status_code) == (400, 200)
    assert new.headers["content-type"].startswith(GRAPHQL)
    assert "data" not in new.json()
    assert new.json() == old.json()


async def test_a_partial_result_is_ok_with_either_media_type(system: System) -> None:
    body = json.dumps({"query": '{ task(taskId: "x") { name } taskTypes { name } }'}).encode()
    for accept in (GRAPHQL, JSON):
        answer = await post(system, body, Accept=accept)
        assert answer.status_code == 200
        assert answer.json()["data"]["task"] is None
        assert answer.json()["data"]["taskTypes"]


@pytest.mark.parametrize(
    ("method", "headers", "status", "more"),
    [
        ("PUT", {}, 405, {"allow": "GET, HEAD, POST"}),
        ("DELETE", {}, 405, {"allow": "GET, HEAD, POST"}),
        ("POST", {"Content-Type": "text/plain"}, 415, {}),
        ("POST", {"Content-Type": "application/x-www-form-urlencoded"}, 415, {}),
        ("POST", {"Content-Type": "multipart/form-data; boundary=x"}, 415, {}),
        ("POST", {}, 415, {}),
        ("POST", {**IS_JSON, "Content-Encoding": "br"}, 415, {"accept-encoding": "gzip, deflate"}),
        ("POST", {**IS_JSON, "Content-Encoding": "gzip"}, 400, {}),
    ],
)
async def test_a_request_that_is_not_graphql_over_http_gets_a_well_formed_refusal(
    system: System, method: str, headers: dict[str, str], status: int, more: dict[str, str]
) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.request(method, system.url, content=TYPES, headers=headers)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    for name, value in more.items():
        assert answer.headers[name] == value


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_body_is_read(system: System, coding: str, compress: Any) -> None:
    answer = await post(system, compress(TYPES), Content_Encoding=coding)
    assert answer.json()["data"]["taskTypes"]


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_decompression_bomb_is_refused_without_being_decompressed(
    system: System, coding: str, compress: Any
) -> None:
    bomb = compress(b" " * 400_000_000)
    assert len(bomb) < 500_000
    answer = await post(system, bomb, Content_Encoding=coding)
    assert answer.status_code == 413
    cut = await post(system, compress(TYPES)[:-5], Content_Encoding=coding)
    assert cut.status_code == 400


async def test_a_long_response_is_compressed_for_clients_that_accept_it(system: System) -> None:
    query = json.dumps({"query": "{ __schema { types { name description fields { name description } } } }"}).encode()
    compressed = await post(system, query, Accept_Encoding="gzip")
    plain = await post(system, query, Accept_Encoding="identity")
    assert compressed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert compressed.json() == plain.json()
    assert {"Accept", "Accept-Encoding"} <= {part.strip() for part in compressed.headers["vary"].split(",")}
    assert int(compressed.headers["content-length"]) < int(plain.headers["content-length"]) / 3


async def socket_status(url: str, origin: str | None) -> int:
    headers = {"Origin": origin} if origin else {}
    try:
        address = url.replace("http", "ws", 1)
        async with connect(address, subprotocols=["graphql-transport-ws"], additional_headers=headers):  # type: ignore[list-item]
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_pages_of_other_sites_are_refused_on_every_transport_unless_allowed(system: System) -> None:
    own = system.url.removesuffix("/graphql")
    for origin, status in ((None, 200), (own, 200), ("https://app.example", 200), ("https://evil.example", 403),
                           ("http://app.example", 403), ("null", 403)):  # fmt: skip
        shown = {"Origin": origin} if origin else {}
        assert (await post(system, TYPES, **shown)).status_code == status
        stream = json.dumps({"query": "{ taskTypes { name } }"}).encode()
        assert (await post(system, stream, Accept="text/event-stream", **shown)).status_code == status
        assert await socket_status(system.url, origin) == (101 if status == 200 else 403)


async def test_a_head_request_gets_the_headers_of_a_get(system: System) -> None:
    async with httpx.AsyncClient() as client:
        for params, headers in (
            ({"query": "{ taskTypes { name } }"}, {}),
            ({}, {"Accept": "text/html"}),
            ({"query": "{ nothing }"}, {"Accept": GRAPHQL}),
            ({}, {}),
        ):
            get = await client.get(system.url, params=params, headers=headers)
            head = await client.head(system.url, params=params, headers=headers)
            assert (head.status_code, head.content) == (get.status_code, b"")
            for name in ("content-type", "content-length", "vary"):
                assert head.headers.get(name) == get.headers.get(name)
        stream = {"query": "subscription { clusterChanges { workers { name } } }"}
        head = await client.head(system.url, params=stream, headers={"Accept": "text/event-stream"})
        assert head.status_code == 400


async def test_cors_headers_name_the_allowed_sites(system: System) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, authorization"}
    async with httpx.AsyncClient() as client:
        allowed = await client.options(system.url, headers={"Origin": "https://app.example", **ask})
        refused = await client.options(system.url, headers={"Origin": "https://evil.example", **ask})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    answer = await post(system, Origin="https://app.example")
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-expose-headers"] == "*"


async def events_of(system: System, task_id: str, **headers: str) -> list[tuple[str, str]]:
    """The ids and kinds of a whole stream of taskEvents."""
    query = json.dumps({"query": f'subscription {{ taskEvents(taskId: "{task_id}") {{ seq kind }} }}'}).encode()
    answer = await post(system, query, Accept="text/event-stream", **headers)
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if fields.get("event") == "next":
            event = json.loads(fields["data"])["data"]["taskEvents"]
            assert fields["id"] == str(event["seq"])
            found.append((fields["id"], event["kind"]))
    return found


async def test_an_event_stream_resumes_after_the_last_event_that_was_received(system: System) -> None:
    submitted = await system.ask("mutation { submitFibonacci(n: 7321) { taskId } }")
    task_id = submitted["submitFibonacci"]["taskId"]
    await system.result(task_id)
    whole = await events_of(system, task_id)
    assert [kind for _, kind in whole][-1] == "SUCCEEDED"
    assert await events_of(system, task_id, Last_Event_ID=whole[0][0]) == whole[1:]
    assert await events_of(system, task_id, Last_Event_ID="nonsense") == whole
    assert await events_of(system, task_id, Last_Event_ID="9" * 30) == whole


async def test_a_mutation_by_get_is_refused_even_as_an_event_stream(system: System) -> None:
    query = "mutation { submitFibonacci(n: 7333) { taskId } }"
    async with httpx.AsyncClient() as client:
        answer = await client.get(system.url, params={"query": query}, headers={"Accept": "text/event-stream"})
    # An EventSource would connect again after an error in the stream.
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "send a mutation, or a run<Name>, by POST" in answer.text
    assert "taskId" not in answer.text
