"""A real browser for the tests of the web pages, and windows that report faults of a page."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, async_playwright
from playwright.sync_api import sync_playwright

from graphql_api.http.pages import DIST
from tests.node import CLIENTS
from tests.outside import missing

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_MILLISECONDS: Final = 20_000
"""How long a window waits for something that must appear. Only a failure takes this long."""
GRAVE: Final = ("serious", "critical")
"""Impacts of axe-core findings that no page may have."""


@functools.cache
def chromium() -> str | None:
    """The path of a Chromium: the machine's, or the one that Playwright installed; None if there is neither."""
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found
    # In a new thread, because Playwright's blocking interface refuses a thread that runs an event loop.
    with ThreadPoolExecutor(1) as pool:
        path = pool.submit(_playwrights_chromium).result()
    return path if os.access(path, os.X_OK) else None


def _playwrights_chromium() -> str:
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def needed_chromium() -> str:
    """The path of a Chromium; if there is none, the test is skipped, or fails under TESTS_STRICT."""
    return chromium() or missing("no Chromium on this machine: scripts/install-browser.sh brings one")


def need_pages() -> None:
    """Skips the test, or fails it under TESTS_STRICT, if the web pages are not built."""
    if not (DIST / "index.html").exists():
        missing("the pages are not built: make console")


@contextlib.asynccontextmanager
async def started(path: str) -> AsyncIterator[Browser]:
    """A headless browser. As root, Chromium only runs without its sandbox."""
    async with async_playwright() as playwright:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = await playwright.chromium.launch(
            executable_path=path, args=[*sandbox, "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        await browser.close()


class Windows:
    """Opens windows of a page, and records faults that no page may have.

    Attributes:
        base: the api's address, without a path.
        faults: errors on the consoles of the windows, exceptions, and requests to other origins.
        expected: parts of console errors that a test brings about itself.
    """

    def __init__(self, browser: Browser, base: str) -> None:
        self._browser = browser
        self.base = base
        self.faults: list[str] = []
        self.expected: tuple[str, ...] = ()

    @contextlib.asynccontextmanager
    async def open(self, path: str = "/", *, base: str = "", **options: Any) -> AsyncIterator[Page]:
        """A new window with its own session, on a path of an api node; `options` are Playwright's."""
        base = base or self.base
        context = await self._browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        page = await context.new_page()
        page.on("console", lambda message: self._fault(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._fault(str(error)))
        page.on("request", lambda request: self._check_origin(base, request.url))
        page.on("websocket", lambda socket: self._check_origin(base, socket.url))
        await page.goto(path if path == "about:blank" else f"{base}{path}")
        try:
            yield page
        finally:
            await context.close()

    def _check_origin(self, base: str, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(base).netloc:
            self._fault(f"a request to {url}")

    def _fault(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.faults.append(text)


async def grave_findings(page: Page) -> list[str]:
    """The axe-core findings on the current page that keep people from using it."""
    return [finding for impact, finding in await _findings(page) if impact in GRAVE]


async def all_findings(page: Page) -> list[str]:
    """Every axe-core finding on the current page."""
    return [finding for _, finding in await _findings(page)]


async def _findings(page: Page) -> list[tuple[str, str]]:
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate((CLIENTS / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found: dict[str, Any] = await page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return list(_described(found["violations"]))


def _described(violations: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for item in violations:
        places = [node["html"][:120] for node in item["nodes"][:3]]
        yield item["impact"], f"{item['impact']}: {item['id']}: {item['help']}: {json.dumps(places)}"


if __name__ == "__main__":
    sys.exit(0 if chromium() else 1)
