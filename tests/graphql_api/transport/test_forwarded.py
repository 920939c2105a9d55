"""An API behind proxies: which of their headers count, the prefix that it is served under, and the URL that its links
begin with."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from cluster.errors import SettingError
from cluster.settings import Settings, load_settings
from cluster.store.async_store import Store
from cluster.store.blob_url import open_blob_store
from cluster.task_types.registry import Registry, _registered
from dask_graphql import Blob, task
from graphql_api.app import create_app
from graphql_api.http.public_url import public_url
from graphql_api.request_path import path_of
from graphql_api.transport.forwarded import ForwardedHeaders
from tests.api_node import api_node
from tests.system import RedisServer

TASK_ID = "0" * 32
BLOB_KEY = f"{TASK_ID}/1/notes.txt"
CALLER = {"query": "{ caller { name } }"}


@pytest.fixture(scope="module")
def settings(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("forwarded"),
        log_level="WARNING",
    )


@pytest.fixture(scope="module")
async def proxied(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API node that trusts it as a proxy, and is served under a name of its own."""
    trusting = replace(settings, trusted_proxies="127.0.0.1", allowed_hosts=("api.example",))
    async with api_node(trusting) as url, httpx.AsyncClient(base_url=url.removesuffix("/graphql")) as client:
        yield client


def makes_a_blob(n: int) -> Blob:
    """Its result is written by the test."""
    raise AssertionError


@pytest.fixture(scope="module")
async def public(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API node that trusts no proxy, and knows its public URL. A task has made a blob."""
    known = replace(settings, public_url="https://api.example/tasks")
    task(makes_a_blob)
    registry = Registry()
    registry.add(_registered[__name__, "makes_a_blob"])
    store = Store(known)
    open_blob_store(known.blob_store_url).write(BLOB_KEY, b"text")
    await store.run(store.calls.submit(TASK_ID, "makes_a_blob", "1", b'{"n":1}'))
    await store.run(store.calls.start(TASK_ID, 1, "worker"))
    made = {"key": BLOB_KEY, "size_bytes": 4, "media_type": "text/plain"}
    await store.run(store.calls.finish(TASK_ID, 1, json.dumps(made).encode()))
    await store.close()
    async with api_node(known, registry) as url, httpx.AsyncClient(base_url=url.removesuffix("/graphql")) as client:
        yield client


async def test_a_page_of_the_name_that_a_trusted_proxy_forwards_may_use_the_api(proxied: httpx.AsyncClient) -> None:
    page = {"Origin": "https://api.example", "X-Forwarded-Host": "api.example", "X-Forwarded-Proto": "https"}
    assert (await proxied.post("/graphql", json=CALLER, headers=page)).status_code == 200
    other = {**page, "Origin": "https://evil.example"}
    refused = await proxied.post("/graphql", json=CALLER, headers=other)
    assert refused.status_code == 403
    error = refused.json()["errors"][0]
    assert error["extensions"]["code"] == "FOREIGN_ORIGIN"
    for part in ("'https://evil.example'", "'https://api.example'", "DASK_GRAPHQL_ALLOWED_ORIGINS"):
        assert part in error["message"]
    downgraded = {**page, "Origin": "http://api.example"}
    assert (await proxied.post("/graphql", json=CALLER, headers=downgraded)).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "api.example", "X-Forwarded-Host": "api.example"}, 200),
        # What the nearest proxy appended counts, not what a client wrote.
        ({"X-Forwarded-Host": "evil.example, api.example"}, 200),
        ({"X-Forwarded-Host": "api.example, evil.example"}, 421),
        # A load balancer that passes on the header of a page whose name was made to point to it.
        ({"Host": "evil.example", "X-Forwarded-Host": "api.example"}, 421),
        ({"X-Forwarded-Host": "a b"}, 400),
        ({"X-Forwarded-Prefix": "/tasks"}, 200),
        ({"X-Forwarded-Prefix": "//evil.example"}, 400),
        ({"X-Forwarded-Prefix": "tasks"}, 400),
        ({"X-Forwarded-Prefix": "/a\\b"}, 400),
        ({"X-Forwarded-Prefix": "/graphql"}, 400),
        ({"X-Forwarded-Prefix": "/a/../b"}, 400),
    ],
)
async def test_forwarded_hosts_and_prefixes_are_checked(
    proxied: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await proxied.post("/graphql", json=CALLER, headers=headers)
    assert answer.status_code == status
    if status == 421:
        assert "'evil.example'" in answer.json()["errors"][0]["message"]
        assert "DASK_GRAPHQL_ALLOWED_HOSTS" in answer.json()["errors"][0]["message"]


async def test_forwarded_headers_of_others_are_ignored(public: httpx.AsyncClient) -> None:
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "//evil", "X-Forwarded-Proto": "ftp"}
    assert (await public.post("/graphql", json=CALLER, headers=forged)).status_code == 200
    page = {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}
    assert (await public.post("/graphql", json=CALLER, headers=page)).status_code == 403


async def test_pages_of_the_public_url_may_use_the_api_whatever_host_a_proxy_sends(public: httpx.AsyncClient) -> None:
    own = {"Origin": "https://api.example"}
    assert (await public.post("/graphql", json=CALLER, headers=own)).status_code == 200
    assert (await public.post("/graphql", json=CALLER, headers={**own, "Host": "api.example"})).status_code == 200
    assert (await public.post("/graphql", json=CALLER, headers={"Origin": "http://api.example"})).status_code == 403


@pytest.mark.parametrize("prefix", ["", "/tasks"])
async def test_the_prefix_may_be_removed_by_the_proxy_or_not(public: httpx.AsyncClient, prefix: str) -> None:
    assert (await public.post(f"{prefix}/graphql", json=CALLER)).json()["data"]
    assert (await public.get(f"{prefix}/healthz")).status_code == 200
    assert (await public.get(f"{prefix}/nothing")).status_code == 404
    assert (await public.get(f"{prefix}/", headers={"Accept": "text/html"})).status_code == 200
    metrics = (await public.get(f"{prefix}/metrics")).text
    assert 'route="/healthz"' in metrics


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/graphql/", "/graphql"),
        ("/tasks/graphql/?query=%7B__typename%7D", "/tasks/graphql?query=%7B__typename%7D"),
        ("/tasks", "/tasks/"),
        ("/tasks/healthz/", "/tasks/healthz"),
    ],
)
async def test_a_slash_too_many_is_redirected_below_the_same_host_and_prefix(
    public: httpx.AsyncClient, path: str, location: str
) -> None:
    answer = await public.get(path)
    assert answer.status_code == 307
    assert answer.next_request is not None
    assert str(answer.next_request.url) == f"{str(public.base_url).rstrip('/')}{location}"
    assert "://" not in answer.headers["location"]


async def test_an_upload_is_named_below_the_prefix(public: httpx.AsyncClient) -> None:
    answer = await public.post("/files", content=b"x")
    assert answer.headers["location"].startswith("/tasks/files/sha256:")


async def test_the_path_of_a_blob_begins_with_the_prefix_and_is_served_there(public: httpx.AsyncClient) -> None:
    query = f'{{ task(taskId: "{TASK_ID}") {{ result {{ ... on MakesABlobResult {{ value {{ url }} }} }} }} }}'
    answer = (await public.post("/graphql", json={"query": query})).json()
    path = answer["data"]["task"]["result"]["value"]["url"]
    assert path == f"/tasks/blobs/{BLOB_KEY}"
    assert (await public.get(path)).text == "text"


@pytest.mark.parametrize("changes", [{"root_path": "/graphql"}, {"public_url": "https://api.example/blobs/x"}])
def test_a_node_whose_prefix_looks_like_a_route_of_its_own_does_not_start(
    settings: Settings, changes: dict[str, Any]
) -> None:
    with pytest.raises(SettingError, match=r"does not begin with .*/blobs"):
        create_app(replace(settings, **changes))


def scope_of(headers: Iterable[tuple[bytes, bytes]] = (), **more: Any) -> dict[str, Any]:
    return {
        "type": "http", "scheme": "http", "path": "/graphql", "headers": list(headers),
        "server": ("10.0.0.7", 8000), "client": ("10.0.0.1", 1), **more,
    }  # fmt: skip


class Served:
    """Stands in for the application, with what `public_url` reads of it."""

    def __init__(self, settings: Settings) -> None:
        self.state = self.node = self
        self.settings = settings


@pytest.mark.parametrize(
    ("changes", "headers", "more", "expected"),
    [
        ({}, [(b"host", b"localhost:8000")], {}, "http://localhost:8000"),
        ({}, [(b"host", b"api.example")], {"scheme": "wss"}, "https://api.example"),
        ({}, [], {}, "http://10.0.0.7:8000"),
        ({}, [], {"server": ("2001:db8::7", 80)}, "http://[2001:db8::7]:80"),
        ({}, [], {"server": ("/run/api.sock", None)}, "http://localhost"),
        ({"root_path": "/tasks"}, [(b"host", b"api.example")], {}, "http://api.example/tasks"),
        (
            {},
            [
                (b"host", b"10.0.0.7:8000"), (b"x-forwarded-host", b"api.example"), (b"x-forwarded-proto", b"https"),
                (b"x-forwarded-prefix", b"/tasks/"),
            ],
            {},
            "https://api.example/tasks",
        ),
        (
            {"public_url": "https://public.example/a"},
            [(b"host", b"internal"), (b"x-forwarded-prefix", b"/b")],
            {},
            "https://public.example/a",
        ),
    ],
)  # fmt: skip
async def test_the_public_url_of_a_request(
    changes: dict[str, str], headers: list[tuple[bytes, bytes]], more: dict[str, Any], expected: str
) -> None:
    settings = Settings(trusted_proxies="10.0.0.0/8", **changes)  # type: ignore[arg-type]
    seen = []

    async def served(scope: Any, _receive: Any, _send: Any) -> None:
        scope["app"] = Served(settings)
        seen.append(public_url(HTTPConnection(scope)))

    app: Any = ForwardedHeaders(served, settings, lambda host: host.startswith("10."), {"graphql"})
    await app(scope_of(headers, **more), None, None)
    assert seen == [expected]


@given(
    path=st.text("/ab", max_size=6).map(lambda text: f"/{text}"),
    prefix=st.sampled_from(["", "/a", "/a/b", "/ab"]),
    removed=st.booleans(),
)
async def test_a_path_is_found_below_any_prefix(path: str, prefix: str, removed: bool) -> None:
    settings = Settings(root_path=prefix)
    seen = []

    async def served(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append((scope["path"], path_of(scope)))

    # What the API serves does not begin with the prefix: it refuses such a prefix.
    inner = f"/own{path}"
    app: Any = ForwardedHeaders(served, settings, lambda _: False, {"own"})
    await app(scope_of(path=inner if removed else f"{prefix}{inner}"), None, None)
    assert seen == [(f"{prefix}{inner}", inner)]
