"""Blobs in a real browser: pictures and texts are shown, and nothing that a task made runs at the api's origin."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import pytest
from playwright.async_api import Browser, Route

from cluster.settings import load_settings
from cluster.store.async_store import Store
from cluster.store.blob_url import open_blob_store
from cluster.task_types.registry import Registry, _registered
from dask_graphql import Blob, task
from tests.api_node import api_node
from tests.browser import need_pages, needed_chromium, started
from tests.system import RedisServer
from tests.task_modules.pictures import DOT

pytestmark = pytest.mark.browser

SCRIPT: Final = """
document.title = 'ran';
fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'},
                   body: JSON.stringify({query: 'mutation { submitFibonacci(n: 1) { taskId } }'})});
"""
PDF: Final = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
FILES: Final = {
    "page.html": ("text/html", f"<!doctype html><p>page</p><script>{SCRIPT}</script>".encode()),
    "drawing.svg": ("image/svg+xml", f'<svg xmlns="http://www.w3.org/2000/svg"><script>{SCRIPT}</script></svg>'.encode()),
    "feed.xml": ("application/xml", b'<x xmlns:h="http://www.w3.org/1999/xhtml"><h:script>1</h:script></x>'),
    "dot.png": ("image/png", DOT),
    "notes.txt": ("text/plain; charset=utf-8", b"<script>document.title = 'ran'</script> notes"),
    "paper.pdf": ("application/pdf", PDF),
}  # fmt: skip


def shelf(n: int) -> list[Blob]:
    """Files of many kinds."""
    raise AssertionError("its results are written by the test")


@dataclass
class Shelf:
    """An api node with one task that made all of FILES, a browser, and a site whose pages may use the api."""

    url: str
    app: str
    folder: str
    browser: Browser


@asynccontextmanager
async def other_site() -> AsyncIterator[str]:
    """The address of an empty page on another port, which is another origin."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = b"<!doctype html>"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + page)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.fixture(scope="module")
async def app() -> AsyncIterator[str]:
    async with other_site() as url:
        yield url


@pytest.fixture(scope="module")
async def files(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory, app: str) -> AsyncIterator[Shelf]:
    need_pages()
    path = needed_chromium()
    task(shelf)
    registry = Registry()
    registry.add(_registered[__name__, "shelf"])
    settings = load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("shelf"),
        allowed_origins=(app.rstrip("/"),),
        log_level="WARNING",
    )
    task_id, store, blobs = "0" * 32, Store(settings), open_blob_store(settings.blob_store_url)
    made = []
    for name, (media_type, content) in FILES.items():
        key = f"{task_id}/1/{name}"
        blobs.write(key, content)
        made.append({"key": key, "size_bytes": len(content), "media_type": media_type})
    await store.run(store.calls.submit(task_id, "shelf", "1", b'{"n":1}'))
    await store.run(store.calls.start(task_id, 1, "worker"))
    await store.run(store.calls.finish(task_id, 1, json.dumps(made).encode()))
    await store.close()
    async with api_node(settings, registry) as url, started(path) as browser:
        base = url.removesuffix("/graphql")
        yield Shelf(base, app, f"{base}/blobs/{task_id}/1", browser)


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "feed.xml"])
async def test_what_may_contain_scripts_is_downloaded(files: Shelf, name: str) -> None:
    page = await files.browser.new_page()
    await page.goto(f"{files.url}/healthz")
    async with page.expect_download() as download:
        await page.evaluate("url => { window.location = url }", f"{files.folder}/{name}")
    assert (await download.value).suggested_filename == name
    assert page.url == f"{files.url}/healthz"
    await page.close()


@pytest.mark.parametrize("name", ["page.html", "drawing.svg"])
async def test_a_script_in_a_blob_does_not_run_even_where_the_blob_is_shown(files: Shelf, name: str) -> None:
    """A browser, or a proxy, that ignores Content-Disposition."""
    page = await files.browser.new_page()
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.method) if request.method == "POST" else None)

    async def inline(route: Route) -> None:
        response = await route.fetch()
        await route.fulfill(response=response, headers={**response.headers, "content-disposition": "inline"})

    await page.route("**/blobs/**", inline)
    await page.goto(f"{files.folder}/{name}")
    assert await page.title() != "ran"
    assert posted == []
    assert await page.evaluate("window.origin") == "null"
    await page.close()


async def test_pictures_and_texts_are_shown(files: Shelf) -> None:
    page = await files.browser.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    await page.goto(f"{files.folder}/dot.png")
    assert await page.evaluate("document.images[0].naturalWidth") == 1
    await page.goto(f"{files.folder}/notes.txt")
    assert await page.inner_text("body") == FILES["notes.txt"][1].decode()
    assert await page.title() != "ran"
    assert faults == []
    await page.close()


async def test_a_page_of_an_allowed_site_reads_blobs_and_data_with_the_headers_that_frontends_send(
    files: Shelf,
) -> None:
    page = await files.browser.new_page()
    await page.goto(files.app)
    read = """([url, headers]) => fetch(url, {headers}).then(
        async response => [response.status, response.headers.get('content-range'), await response.text()],
        error => [0, String(error), ''])"""
    traced = {
        "authorization": "Bearer x", "traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "a=1",
        "baggage": "b=2", "sentry-trace": "3", "x-request-id": "4",
        "apollo-require-preflight": "true", "x-apollo-operation-name": "Q",
    }  # fmt: skip
    notes = await page.evaluate(read, [f"{files.folder}/notes.txt", {**traced, "range": "bytes=0-7"}])
    size = len(FILES["notes.txt"][1])
    assert notes == [206, f"bytes 0-7/{size}", "<script>"]
    for path in ("/graphql?query={__typename}", "/readyz", "/tables/none.parquet", "/files/none", "/arrays/none"):
        status, _, text = await page.evaluate(read, [f"{files.url}{path}", traced])
        assert status != 0, text
    await page.close()


async def test_a_page_of_the_api_embeds_pictures_and_other_sites_do_not(files: Shelf) -> None:
    page = await files.browser.new_page()
    load = """url => new Promise(done => {
        const picture = new Image(); picture.onload = () => done(true); picture.onerror = () => done(false);
        picture.src = url; })"""
    await page.goto(files.url)
    assert await page.evaluate(load, f"{files.folder}/dot.png")
    async with other_site() as foreign:
        await page.goto(foreign)
        assert await page.evaluate(load, f"{files.url}/favicon.ico"), "what any site may embed"
        assert not await page.evaluate(load, f"{files.folder}/dot.png")
        send = "url => fetch(url, {mode: 'no-cors'}).then(response => response.type, error => `refused: ${error}`)"
        assert "refused" in await page.evaluate(send, f"{files.folder}/notes.txt")
    await page.close()
