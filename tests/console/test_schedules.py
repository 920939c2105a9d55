"""The page of schedules: what it tells, and what people do there."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import expect

from tests.browser import Windows
from tests.console.steps import see_state
from tests.console.test_everybody import checked
from tests.node import environment
from tests.system import System

pytestmark = [pytest.mark.browser, pytest.mark.slow]


async def test_a_schedule_is_set_changed_paused_run_now_and_deleted(windows: Windows, pages_system: System) -> None:
    await asyncio.to_thread(environment)
    async with windows.open("/#/schedules?new=fibonacci", reduced_motion="reduce") as page:
        await page.get_by_label("Name", exact=True).fill("nightly")
        await page.get_by_label(re.compile("^n ")).fill("71")
        await page.get_by_label("Cron").fill("60 2 * * *")
        upcoming = page.get_by_role("status", name="Next runs")
        await expect(upcoming).to_contain_text("cron is five fields")
        await page.get_by_label("Cron").fill("30 2 * * *")
        await page.get_by_label("Time zone").fill("Europe/Berlin")
        await expect(upcoming.get_by_role("listitem")).to_have_count(5)
        assert await checked(page, "a new schedule") == []
        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.get_by_role("button", name="Save").click()
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name="nightly"))
        await expect(row).to_contain_text("30 2 * * * Europe/Berlin")
        await expect(row).to_contain_text("Not yet")
        assert await checked(page, "schedules") == []
        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.get_by_role("button", name="Pause nightly").click()
        await expect(row).to_contain_text("Paused")
        await row.get_by_role("link", name="nightly").click()
        # What is stored is in the form; a change of it leaves it paused.
        await expect(page.get_by_label(re.compile("^n "))).to_have_value("71")
        await page.get_by_role("button", name="At an interval").click()
        await page.get_by_label("Every", exact=True).fill("90")
        await page.get_by_label("Every, unit").select_option("minutes")
        await page.get_by_label("While the run before is open").select_option("Run both")
        await page.get_by_role("button", name="Save").click()
        await expect(row).to_contain_text("Every 1 h 30 min")
        await expect(row).to_contain_text("Paused")
        await page.get_by_role("button", name="Resume nightly").click()
        await expect(page.get_by_role("button", name="Pause nightly")).to_be_visible()
        await page.get_by_role("button", name="Run now: nightly").click()
        await page.get_by_role("button", name="Open", exact=True).click()
        await page.wait_for_url(re.compile(r"#/tasks/[0-9a-f]{32}$"))
        await see_state(page, "SUCCEEDED")
        await page.goto(f"{windows.base}/#/schedules/nightly")
        await page.get_by_role("button", name="Delete").click()
        await page.get_by_role("button", name="Delete the schedule").click()
        await expect(page.get_by_text("Nothing is scheduled")).to_be_visible()
    found = await pages_system.ask("{ schedules { name } }")
    assert found == {"schedules": []}
