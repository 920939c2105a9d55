"""A page of another site, as docs/clients.md has it: its server makes a token, and the page does the rest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from playwright.async_api import expect

from tests.browser import needed_chromium, started
from tests.places import ROOT
from tests.system import RedisServer
from tests.tenants import world

PAGE = (ROOT / "docs" / "clients.md").read_text().partition("## Browsers without a backend")[2]


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


class Shop(ThreadingHTTPServer):
    """Somebody's own server, which has a key: it gives its page, and a token for its user."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.api = self.key = ""

    def token(self) -> str:
        body = {"query": block("graphql")}
        answer = httpx.post(self.api, json=body, headers={"Authorization": f"Bearer {self.key}"}).json()
        return str(answer["data"]["createTaskToken"]["token"])


class Answers(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        page = block("html").replace("https://api.example.com/graphql", self.server.api)
        body = self.server.token() if self.path == "/token" else page if self.path == "/" else ""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain" if self.path == "/token" else "text/html")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@contextmanager
def shop() -> Iterator[Shop]:
    with Shop() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.browser
@pytest.mark.slow
async def test_the_page_shows_progress_and_picture_with_nothing_but_a_token(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    path = needed_chromium()
    assert len(block("html").splitlines()) < 25
    with shop() as server:
        async with world(redis_server, tmp_path, allowed_origins=(server.url,)) as api, started(path) as browser:
            server.api, server.key = api.url, await api.key("shop")
            page = await browser.new_page()
            faults: list[str] = []
            page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: faults.append(str(error)))
            await page.goto(server.url)
            listed = '{ tasks(where: {tag: "user-7"}) { nodes { taskId state } } }'
            async with asyncio.timeout(20):
                while not (nodes := (await api.ask(server.key, listed))["tasks"]["nodes"]):
                    await asyncio.sleep(0.05)
            task_id = nodes[0]["taskId"]
            await api.store.run(api.store.calls.start(task_id, 1, "worker"))
            await api.store.run(api.store.calls.progress(task_id, 1, 0.4))
            await expect(page.locator("#bar")).to_have_js_property("value", 0.4)
            await api.end(task_id)
            await expect(page.locator("#bar")).to_have_js_property("value", 1)
            picture = page.locator("#picture")
            assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
            assert faults == []
