"""`href`: downloads by a URL alone, each for one thing and a short time."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pandas as pd
import pytest

from cluster.data.data_sink import DataSink
from cluster.settings import Settings, load_settings
from cluster.store.async_store import Store
from cluster.store.blob_url import open_blob_store
from cluster.task_types.registry import Registry, _registered
from cluster.worker.outcome import Succeeded, encode
from dask_graphql import Array, Blob, Table, task
from graphql_api.auth.callers import Scope
from graphql_api.auth.keys import create_key
from tests.api_node import api_node
from tests.system import RedisServer
from tests.task_modules.pictures import DOT

TASK_ID: Final = "0" * 32
FRAME: Final = pd.DataFrame({"a": [1, 2], "b": ["x", "=y"]})
LINKS: Final = """{ task(taskId: "TASK_ID") { result { ... on Yield {
  picture { url href(expiresIn: 60) } page { href }
  table { href csv: href(format: CSV) arrow: href(format: ARROW) parts { href } }
  array { href } } } } }""".replace("TASK_ID", TASK_ID)


@dataclass
class Yield:
    picture: Blob
    page: Blob
    table: Table
    array: Array


def harvest(n: int) -> Yield:
    """Some of everything."""
    raise AssertionError("its result is written by the test")


class Api:
    """An api node with one task that made all kinds of data."""

    def __init__(self, url: str, key: str, client: httpx.AsyncClient) -> None:
        self.url, self.key, self.client = url, key, client

    async def ask(self, query: str, token: str = "") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token or self.key}"}
        answer = (await self.client.post(self.url, json={"query": query}, headers=headers)).json()
        assert "errors" not in answer, answer
        return answer["data"]  # type: ignore[no-any-return]

    async def links(self, token: str = "") -> dict[str, Any]:
        return (await self.ask(LINKS, token))["task"]["result"]  # type: ignore[no-any-return]


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Api]:
    task(harvest)
    registry = Registry()
    registry.add(_registered[__name__, "harvest"])
    store, blobs = Store(settings), open_blob_store(settings.blob_store_url)
    picture, page = f"{TASK_ID}/1/a dot.png", f"{TASK_ID}/1/page.html"
    blobs.write(picture, DOT)
    blobs.write(page, b"<script>1</script>")
    value = Yield(
        Blob(picture, len(DOT), "image/png"),
        Blob(page, 18, "text/html"),
        FRAME,
        np.arange(3),  # type: ignore[arg-type]
    )
    sink = DataSink(blobs, f"{TASK_ID}/1", lambda _: iter(()))
    made = encode(registry["harvest"], value, 100_000, sink)
    assert isinstance(made, Succeeded), made
    key, _ = await create_key(store, "owner", "acme", frozenset({Scope.READ, Scope.SUBMIT}), None)
    await store.run(store.calls.submit(TASK_ID, "harvest", "1", b'{"n":1}'))
    await store.run(store.calls.start(TASK_ID, 1, "worker"))
    await store.run(store.calls.finish(TASK_ID, 1, made.result))
    await store.close()
    async with api_node(settings, registry) as url, httpx.AsyncClient() as client:
        yield Api(url, key, client)


@pytest.fixture(scope="module")
async def api(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    settings = load_settings(
        {}, redis_url=redis_server.url, key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("links"), authentication="required", log_level="WARNING",
    )  # fmt: skip
    async with serving(settings) as made:
        yield made


async def test_each_link_downloads_without_a_header_and_may_be_embedded(api: Api) -> None:
    links = await api.links()
    picture = await api.client.get(links["picture"]["href"])
    assert (picture.status_code, picture.content) == (200, DOT)
    assert picture.headers["content-disposition"].startswith("inline")
    assert picture.headers["cross-origin-resource-policy"] == "cross-origin"
    assert picture.headers["referrer-policy"] == "no-referrer"
    page = await api.client.get(links["page"]["href"])
    assert page.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in page.headers["content-security-policy"]
    part = await api.client.get(links["picture"]["href"], headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, DOT[:4])
    assert (await api.client.head(links["picture"]["href"])).status_code == 200
    for read, link in (
        (pd.read_parquet, links["table"]["href"]),
        (pd.read_csv, links["table"]["csv"]),
        (pd.read_parquet, links["table"]["parts"][0]["href"]),
    ):
        assert list((await asyncio.to_thread(read, link))["a"]) == [1, 2]
    assert (await api.client.get(links["table"]["arrow"])).status_code == 200
    assert np.load(io.BytesIO((await api.client.get(links["array"]["href"])).content)).tolist() == [0, 1, 2]
    # A page that asks again draws the same picture.
    pairs = [(await api.links(), await api.links()) for _ in range(2)]
    # Between one of the pairs the time may have come for a new link.
    assert any(first["picture"] == second["picture"] for first, second in pairs)


async def test_a_link_is_for_one_download_and_for_nothing_else(api: Api) -> None:
    links = await api.links()
    token = parse_qs(urlsplit(links["picture"]["href"]).query)["token"][0]
    root = api.url.removesuffix("/graphql")
    others = [
        urlsplit(links["page"]["href"]).path, urlsplit(links["table"]["csv"]).path, f"/blobs/{TASK_ID}/1/other",
        f"/blobs/{TASK_ID}/1/page.html/%2e%2e/a%20dot.png", "/files/sha256:" + "0" * 64, "/metrics",
    ]  # fmt: skip
    for path in others:
        assert (await api.client.get(f"{root}{path}", params={"token": token})).status_code in (401, 404), path
    headers = {"Authorization": f"Bearer {token}"}
    for query in ("{ caller { name } }", LINKS):
        answer = await api.client.post(api.url, json={"query": query}, headers=headers)
        assert answer.status_code == 401
    streamed = {"query": "{ caller { name } }", "token": token}
    assert (await api.client.get(api.url, params=streamed, headers={"Accept": "text/event-stream"})).status_code == 401
    assert (await api.client.post(links["picture"]["href"])).status_code in (401, 405)


async def test_a_foreign_page_embeds_nothing_by_a_token_that_the_server_does_not_use(api: Api) -> None:
    url = f"{api.url.removesuffix('graphql')}blobs/{TASK_ID}/1/a%20dot.png"
    answer = await api.client.get(url, params={"token": "dgt_x"}, headers={"Authorization": f"Bearer {api.key}"})
    assert (answer.status_code, answer.headers["cross-origin-resource-policy"]) == (200, "same-origin")
    assert (await api.client.get(url, params={"token": "dgt_x"})).headers[
        "cross-origin-resource-policy"
    ] == "same-origin"


async def test_a_task_token_makes_links_that_end_with_it(api: Api) -> None:
    made = await api.ask(f'mutation {{ createTaskToken(taskIds: ["{TASK_ID}"], expiresIn: 4) {{ token }} }}')
    token = made["createTaskToken"]["token"]
    link = (await api.links(token))["page"]["href"]
    assert (await api.client.get(link)).status_code == 200
    refused = await api.client.post(
        api.url, json={"query": LINKS.replace("60", "100000")}, headers={"Authorization": f"Bearer {token}"}
    )
    assert refused.json()["errors"][0]["extensions"]["argument"] == "expiresIn"
    await asyncio.sleep(4)
    assert (await api.client.get(link)).status_code == 401


async def test_a_file_has_a_link(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "text/plain"}
    root = api.url.removesuffix("/graphql")
    sent = (await api.client.post(f"{root}/files?name=a.txt", content=b"text", headers=headers)).json()
    query = f'{{ file(fileId: "{sent["id"]}") {{ fileId name sizeBytes mediaType url href }} }}'
    found = (await api.ask(query))["file"]
    assert (found["name"], found["sizeBytes"], found["mediaType"]) == ("a.txt", "4", "text/plain")
    assert found["url"] == f"/files/{sent['id']}"
    answer = await api.client.get(found["href"])
    assert (answer.content, answer.headers["content-disposition"]) == (b"text", 'inline; filename="a.txt"')
    assert (await api.ask(query.replace(sent["id"], "sha256:" + "0" * 64)))["file"] is None
