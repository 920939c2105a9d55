"""What holds for all pages: contrast, names, widths, the keyboard, addresses of nothing."""

from __future__ import annotations

import asyncio
import re
from typing import Final, Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser import Windows, all_findings
from tests.console.steps import see_state, sign_in
from tests.node import environment
from tests.system import System

pytestmark = pytest.mark.browser


async def test_an_address_of_nothing_shows_nothing_else_in_its_place_and_old_ones_lead_on(windows: Windows) -> None:
    async with windows.open("/#/types/nope") as page:
        await expect(page.get_by_role("heading", name="There is no such task type")).to_be_visible()
        await expect(page.get_by_role("form")).to_have_count(0)
        await page.goto(f"{windows.base}/#/submit/fibonacci?from=1")
        await page.wait_for_url(re.compile(r"#/types/fibonacci\?from=1$"))
        for path in ("nowhere", "100%"):
            await page.goto(f"{windows.base}/#/{path}")
            await expect(page.locator("code", has_text=path)).to_be_visible()
        await page.goto(f"{windows.base}/#/constructor")
        await page.reload()
        await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()


WIDTHS: Final[dict[int, tuple[Literal["light", "dark"], ...]]] = {
    1440: ("light",),
    768: (),
    390: ("dark",),
    320: (),
}
"""The schemes in which axe looks at a page of each width: both, and both layouts, once each. Colours come from the same
tokens in either layout, and 320 px has the layout of 390."""


async def checked(page: Page, what: str) -> list[str]:
    """What is wrong with the page that a window shows, at each width, with everything unfolded."""
    await page.evaluate("document.querySelectorAll('main details').forEach(part => { part.open = true })")
    found = []
    for width, schemes in WIDTHS.items():
        await page.set_viewport_size({"width": width, "height": 900})
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{what} is wider than {width} px")
        for scheme in schemes:
            await page.emulate_media(color_scheme=scheme)
            found += [f"{what}, {width} px, {scheme}: {finding}" for finding in await all_findings(page)]
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_page_has_anything_that_axe_finds_or_scrolls_sideways(windows: Windows, pages_system: System) -> None:
    await asyncio.to_thread(environment)
    calls = ("submitMakeTable(rows: 120)", "submitMakeGrid(shape: [3, 4, 5])", "submitCounting(upto: 120)",
             'submitFailing(message: "for axe")', 'submitFamilyNested(group: "axe", depth: 2)')  # fmt: skip
    tasks = []
    for call in calls:
        submitted = await pages_system.ask(f"mutation {{ task: {call} {{ taskId }} }}")
        tasks.append(f"tasks/{submitted['task']['taskId']}")
        await pages_system.result(submitted["task"]["taskId"], "state")
    found = []
    async with windows.open("/#/types/echo_everything", reduced_motion="reduce") as page:
        await page.get_by_role("button", name="Set maybe").click()
        found += await checked(page, "echo_everything")
        for path in ("types", "types/digest_file", *tasks, "tasks", "cluster", "audit", "usage", "nowhere"):
            await page.goto(f"{windows.base}/#/{path}")
            await expect(
                page.get_by_role("heading", level=1).or_(page.get_by_role("heading", level=2)).first
            ).to_be_visible()
            await expect(page.locator("main .loading, main [aria-busy=true]")).to_have_count(0)
            found += await checked(page, path)
        await page.get_by_role("button", name=re.compile("account and settings")).click()
        found += await checked(page, "the account's menu")
        await page.keyboard.press("Escape")
        await sign_in(page)
        found += await checked(page, "the dialog to sign in")
    assert found == []


async def test_a_task_is_submitted_by_keyboard_alone(windows: Windows) -> None:
    async with windows.open("/#/types/fibonacci") as page:
        await expect(page.get_by_label(re.compile(r"^n\b"))).to_be_focused()
        await page.keyboard.type("91")
        await page.keyboard.press("Enter")
        await see_state(page, "SUCCEEDED")
    async with windows.open("/#/tasks") as page:
        await expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
