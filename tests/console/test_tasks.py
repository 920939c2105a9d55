"""The list of tasks."""

from __future__ import annotations

import re
from typing import Final

import pytest
from playwright.async_api import expect

from tests.browser import Windows
from tests.console.steps import see_state
from tests.system import System

FIB_90: Final = "b9a7c7263c0332d12e52f09809754586"
PICTURES: Final = "tests.task_modules.pictures"
PHONE: Final = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


async def test_the_list_is_live_and_filtered(windows: Windows, pages_system: System) -> None:
    async with windows.open("/#/tasks") as page:
        await page.get_by_role("button", name="FAILED").click()
        await page.get_by_label("Task type").select_option("refusing")
        await expect(page.get_by_text("No tasks.")).to_be_visible()
        await pages_system.ask(
            'mutation { submitRefusing(code: "TIDE_TOO_LOW") { taskId } submitFibonacci(n: 3) { taskId } }'
        )
        lines = page.get_by_role("listitem")
        await expect(lines).to_have_count(1)
        await expect(lines).to_contain_text("TIDE_TOO_LOW")


async def test_what_the_list_shows_stands_in_the_address(windows: Windows, pages_system: System) -> None:
    await pages_system.ask('mutation { submitRefusing(code: "TIDE_TOO_HIGH") { taskId } }')
    async with windows.open("/#/tasks") as page:
        await page.get_by_role("button", name="FAILED").click()
        await page.get_by_label("Task type").select_option("refusing")
        await expect(page).to_have_url(re.compile(r"#/tasks\?state=FAILED&type=refusing$"))
        await page.get_by_role("listitem").filter(has_text="TIDE_TOO_HIGH").click()
        await see_state(page, "FAILED")
        await page.go_back()
        for _ in range(2):
            await expect(page.get_by_role("button", name="FAILED")).to_have_attribute("aria-pressed", "true")
            await expect(page.get_by_label("Task type")).to_have_value("refusing")
            await expect(page.get_by_role("listitem").filter(has_text="TIDE_TOO_HIGH")).to_have_count(1)
            await page.reload()
