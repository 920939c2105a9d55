"""The first screen of both pages in a real browser, and a task from its form to its result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.async_api import Request, expect

from tests.browser import PATIENCE_MILLISECONDS, Windows, need_pages, needed_chromium, started
from tests.console.steps import base_of, see_state, submit
from tests.polling import until
from tests.system import System

expect.set_options(timeout=PATIENCE_MILLISECONDS)

pytestmark = [pytest.mark.browser, pytest.mark.vital]


@pytest.fixture
async def windows(system: System) -> AsyncIterator[Windows]:
    """Windows on node 0. At the end, none of them may have logged an error or contacted another origin."""
    need_pages()
    async with started(needed_chromium()) as browser:
        opened = Windows(browser, base_of(system))
        yield opened
        assert opened.faults == []


async def test_a_task_is_submitted_and_its_result_is_seen(windows: Windows) -> None:
    async with windows.open("/#/types/fibonacci") as page:
        await submit(page, "fibonacci", n="88")
        await see_state(page, "SUCCEEDED")
        number = page.get_by_role("region", name="fibonacci-value")
        await expect(number).to_have_text("1 100 087 778 366 101 931".replace(" ", "\u2009"))
        await expect(page.get_by_text("19 digits")).to_be_visible()
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Save all digits").click()
        assert Path(await (await download.value).path()).read_text() == "1100087778366101931"


@pytest.mark.parametrize("path", ["/", "/graphql"])
async def test_the_first_screen_logs_nothing_and_gets_all_that_it_asks_for(windows: Windows, path: str) -> None:
    async with windows.open("about:blank") as page:
        logged: list[str] = []
        refused: list[str] = []
        page.on("console", lambda message: logged.append(f"{message.type}: {message.text}"))
        page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
        unanswered: set[Request] = set()
        page.on("request", lambda request: unanswered.add(request))
        # Chromium does not always say when a body has ended, as of a script that a worker has.
        page.on("response", lambda answer: unanswered.discard(answer.request))
        page.on("requestfailed", lambda request: unanswered.discard(request))
        await page.goto(f"{windows.base}{path}")
        await expect(page.locator("#root > *").first).to_be_visible()
        with suppress(TimeoutError):
            await until(lambda: not unanswered)
        assert [request.url for request in unanswered] == []
        icon = await page.request.get(f"{windows.base}/favicon.ico")
        assert (icon.status, icon.headers["content-type"]) == (200, "image/x-icon")
        assert [text for text in logged if text.startswith(("error", "warning"))] == []
        assert refused == []
