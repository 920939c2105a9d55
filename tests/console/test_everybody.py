"""What holds for all pages: contrast, names, widths, the keyboard, addresses of nothing."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import pytest
from playwright.async_api import expect

from tests.browser import Windows, grave_findings
from tests.console.steps import see_state, sign_in
from tests.node import environment
from tests.system import System

FIB_90: Final = "b9a7c7263c0332d12e52f09809754586"
PICTURES: Final = "tests.task_modules.pictures"
PHONE: Final = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


async def test_an_address_of_nothing_shows_nothing_else_in_its_place_and_old_ones_lead_on(windows: Windows) -> None:
    async with windows.open("/#/types/nope") as page:
        await expect(page.get_by_role("heading", name="There is no such task type")).to_be_visible()
        await expect(page.get_by_role("form")).to_have_count(0)
        await page.goto(f"{windows.base}/#/submit/fibonacci?from=1")
        await page.wait_for_url(re.compile(r"#/types/fibonacci\?from=1$"))
        await page.goto(f"{windows.base}/#/nowhere")
        await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()


@pytest.mark.slow
async def test_no_page_has_what_keeps_people_from_using_it(windows: Windows, pages_system: System) -> None:
    await asyncio.to_thread(environment)
    calls = ("submitMakeTable(rows: 120)", "submitMakeGrid(shape: [3, 4, 5])", "submitCounting(upto: 120)")
    data_tasks = []
    for call in calls:
        submitted = await pages_system.ask(f"mutation {{ task: {call} {{ taskId }} }}")
        data_tasks.append(f"tasks/{submitted['task']['taskId']}")
        await pages_system.result(submitted["task"]["taskId"], "state")
    for scheme in ("light", "dark"):
        async with windows.open("/#/types/echo_everything", color_scheme=scheme, viewport=PHONE) as page:
            await page.get_by_role("button", name="Set maybe").click()
            await page.get_by_text("Options: priority").click()
            assert await grave_findings(page) == []
            for path in ("types/fibonacci", "types/digest_file", f"tasks/{FIB_90}", *data_tasks, "tasks", "cluster"):
                await page.goto(f"{windows.base}/#/{path}")
                await expect(page.get_by_role("heading", level=1)).to_be_visible()
                if path in data_tasks:
                    shown = page.locator(".grid td, .heat, .data pre")
                    await expect(shown.first).to_be_visible()
                assert await grave_findings(page) == [], path
                wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
                assert not wide, f"{path} is wider than a phone"
            await sign_in(page)
            assert await grave_findings(page) == []


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
