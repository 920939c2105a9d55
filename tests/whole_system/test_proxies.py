"""The configurations of docs/proxies.md, each run: pages, sockets and streams through a proxy in a real browser."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.async_api import Browser, expect

from cluster.settings import load_settings
from dask_graphql.dev_system import free_port
from tests.api_node import api_node
from tests.browser import PATIENCE_MILLISECONDS, Windows, need_pages, needed_chromium, started
from tests.proxies import TRANSPORTS, blocks, caddy, nginx, variables, vite
from tests.system import RedisServer, System

NAME: Final = "api.localhost"
"""A name that browsers resolve to loopback, but that is not one of loopback's own names to a node."""
PROXIES: Final = {
    "nginx": (nginx, "nginx", 0, ""),
    "nginx under a path": (nginx, "nginx", 1, "/tasks"),
    "Caddy": (caddy, "Caddy", 0, ""),
    "Caddy under a path": (caddy, "Caddy", 0, "/tasks"),
}

expect.set_options(timeout=PATIENCE_MILLISECONDS)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    need_pages()
    async with started(needed_chromium()) as running:
        yield running


@pytest.mark.parametrize("proxy", PROXIES)
async def test_pages_sockets_and_streams_work_behind_a_proxy_as_the_page_sets_it_up(
    browser: Browser, redis_server: RedisServer, tmp_path: Path, proxy: str
) -> None:
    start, title, number, prefix = PROXIES[proxy]
    block = blocks(title, title.lower() if title == "nginx" else "caddyfile")[number]
    port = free_port()
    settings = load_settings(
        variables(blocks(title, "sh")[number], NAME, port), redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}", data_dir=tmp_path / "data", log_level="WARNING",
    )  # fmt: skip
    base = f"http://{NAME}:{port}{prefix}/"
    async with api_node(settings) as url, start(block, NAME, port, httpx.URL(url).port or 0, tmp_path):
        windows = Windows(browser, f"http://{NAME}:{port}")
        async with windows.open(f"{prefix}/#/types/fibonacci") as page:
            form = page.get_by_role("form", name="fibonacci")
            await form.get_by_label("n").first.fill("90")
            await form.get_by_role("button", name="Run", exact=True).click()
            await expect(page.get_by_role("status", name="State")).to_have_text("Queued")
            assert page.url.startswith(f"{base}#/types/fibonacci/")
            assert await page.evaluate(TRANSPORTS, base) == [200, "connection_ack", ["clusterChanges"], 200]
            await page.get_by_role("navigation", name="Pages").get_by_role("link", name="GraphiQL").click()
            await expect(page.get_by_role("tab", name="Cluster")).to_be_visible()
            assert page.url == f"{base}graphql"
        assert windows.faults == []
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}{prefix}", headers={"Host": f"{NAME}:{port}"}
        ) as api:
            await check_requests(api, prefix)


async def check_requests(api: httpx.AsyncClient, prefix: str) -> None:
    """What no browser sends, through the proxy."""
    uploaded = await api.post("/files", content=b"x" * 2_000_000)
    assert uploaded.status_code == 201
    assert uploaded.headers["location"].startswith(f"{prefix}/files/sha256:")
    query = {"query": "{ caller { name } }"}
    foreign = await api.post("/graphql", json=query, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert foreign.json()["errors"][0]["extensions"]["code"] == "FOREIGN_ORIGIN"
    # A client's own words are not believed.
    forged = {"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil"}
    answer = await api.post("/graphql", json=query, headers=forged)
    assert answer.json()["data"]["caller"]["name"] == "address:127.0.0.1"
    redirected = await api.get("/graphql/")
    assert redirected.status_code == 307
    assert httpx.URL(str(redirected.url)).join(redirected.headers["location"]).path == f"{prefix}/graphql"


@pytest.mark.slow
async def test_the_clients_of_the_docs_run_in_a_browser_behind_vite(
    browser: Browser, system: System, tmp_path: Path
) -> None:
    [block] = blocks("Vite", "js")
    async with vite(block, httpx.URL(system.url).port or 0, tmp_path) as url:
        for script in ("graphql-ws.mjs", "graphql-sse.mjs", "apollo.mjs", "urql.mjs"):
            windows = Windows(browser, url)
            windows.expected = ("400 (Bad Request)",)  # the query that is refused
            async with windows.open(f"/browser.html?{script}") as page:
                waiting = await page.wait_for_function("globalThis.seen")
                seen: Any = await waiting.json_value()
                assert seen["result"]["taskResult"]["state"] == "SUCCEEDED", script
            assert windows.faults == []
