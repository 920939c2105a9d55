"""The page of schedules: what it tells, and what people do there."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser import Windows
from tests.console.steps import see_state
from tests.console.test_everybody import checked
from tests.system import System

pytestmark = [pytest.mark.browser, pytest.mark.slow]


async def test_a_schedule_is_paused_resumed_and_run_now(windows: Windows, pages_system: System) -> None:
    await pages_system.ask(
        'mutation { setSchedule(name: "nightly", schedule: {task: "fibonacci", input: {n: 71}, cron: "30 2 * * *", '
        'timeZone: "Europe/Berlin"}) { name } }'
    )
    async with windows.open("/#/schedules", reduced_motion="reduce") as page:
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name="nightly"))
        await expect(row).to_contain_text("30 2 * * * Europe/Berlin")
        await expect(row).to_contain_text("Not yet")
        assert await checked(page, "schedules") == []
        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.get_by_role("button", name="Pause nightly").click()
        await expect(row).to_contain_text("Paused")
        await page.get_by_role("button", name="Resume nightly").click()
        await expect(page.get_by_role("button", name="Pause nightly")).to_be_visible()
        await page.get_by_role("button", name="Run now: nightly").click()
        await page.get_by_role("button", name="Open", exact=True).click()
        await page.wait_for_url(re.compile(r"#/tasks/[0-9a-f]{32}$"))
        await see_state(page, "SUCCEEDED")
    await pages_system.ask('mutation { deleteSchedule(name: "nightly") }')
