"""The page of a task."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import expect

from cluster.task_types.task_id import task_id
from tests.browser import Windows
from tests.console.steps import base_of, see_state, submit
from tests.system import System

FIB_90: Final = "b9a7c7263c0332d12e52f09809754586"
PICTURES: Final = "tests.task_modules.pictures"
PHONE: Final = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


async def test_progress_is_seen_as_it_is_made(windows: Windows) -> None:
    async with windows.open("/#/types/stepping") as page:
        await submit(page, "stepping", steps="14")
        bar = page.locator(".task").get_by_role("progressbar")
        await expect(bar).to_have_attribute("value", re.compile(r"^0\.[0-4]"))
        await expect(bar).to_have_attribute("value", re.compile(r"^0\.[5-9]"))
        await expect(page.get_by_text(re.compile("about .* left"))).to_be_visible()
        await see_state(page, "SUCCEEDED")


async def test_what_a_task_prints_is_seen_while_it_runs_and_afterwards(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/types/talking") as page:
        await submit(page, "talking", folder=str(tmp_path), n="3")
        log = page.get_by_role("list", name="Log")
        await expect(log.get_by_role("listitem")).to_contain_text(["prints 3", "WARNING logs 3"])
        (tmp_path / "go").touch()
        await see_state(page, "SUCCEEDED")
        await expect(log.get_by_role("listitem")).to_contain_text(["prints 3", "WARNING logs 3", "the end"])


async def test_a_failure_is_shown_with_its_code_and_message(windows: Windows) -> None:
    async with windows.open("/#/types/failing") as page:
        await submit(page, "failing", message="the tide is too low")
        await see_state(page, "FAILED")
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("TASK_FAILED")
        await expect(alert).to_contain_text("ValueError: the tide is too low")
        await alert.get_by_text("Traceback", exact=True).click()
        await expect(alert.get_by_role("region", name="Traceback")).to_contain_text("samples.py")


async def test_a_running_task_is_cancelled(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/types/gated") as page:
        await submit(page, "gated", folder=str(tmp_path), n="1")
        await see_state(page, "RUNNING")
        await page.get_by_role("button", name="Cancel").click()
        await see_state(page, "CANCELLED")
        await expect(page.get_by_role("region", name="Timeline")).to_contain_text("CANCELLED was cancelled")


async def test_the_earlier_result_is_shown_until_there_is_a_new_one(
    windows: Windows, pages_system: System, tmp_path: Path
) -> None:
    (tmp_path / "gate-4").touch()
    query = """mutation($folder: String!, $options: SubmitOptions) {
      submitGated(folder: $folder, n: 4, options: $options) { taskId } }"""
    asked = {"folder": str(tmp_path)}
    found = (await pages_system.ask(query, asked))["submitGated"]["taskId"]
    await pages_system.result(found)
    (tmp_path / "gate-4").unlink()
    await pages_system.ask(query, asked | {"options": {"recompute": True}})
    async with windows.open(f"/#/tasks/{found}") as page:
        await see_state(page, "RUNNING")
        hint = page.get_by_text("result of an earlier run")
        await expect(hint).to_be_visible()
        (tmp_path / "gate-4").touch()
        await see_state(page, "SUCCEEDED")
        await expect(hint).not_to_be_visible()


async def test_the_timeline_shows_every_attempt(windows: Windows) -> None:
    async with windows.open("/#/types/estimate_pi") as page:
        # It divides by zero, and has two retries.
        await submit(page, "estimate_pi", samples="0")
        await see_state(page, "FAILED")
        line = page.get_by_role("region", name="Timeline")
        await expect(line.get_by_text("RETRY")).to_have_count(2)
        await expect(line.get_by_role("img")).to_have_accessible_name(
            re.compile("^waited .*, attempt 1 ran .*, waited .*, attempt 2 ran .*, waited .*, attempt 3 ran ")
        )


async def test_two_windows_on_two_nodes_see_one_task(windows: Windows, pages_system: System, tmp_path: Path) -> None:
    async with (
        windows.open("/#/types/gated") as first,
        windows.open("/#/tasks", base=base_of(pages_system, 1)) as second,
    ):
        await submit(first, "gated", folder=str(tmp_path), n="2")
        await see_state(first, "RUNNING")
        line = second.get_by_role("link").filter(has_text=str(tmp_path))
        await expect(line).to_contain_text("RUNNING")
        await line.click()
        await see_state(second, "RUNNING")
        (tmp_path / "gate-2").touch()
        for page in (first, second):
            await see_state(page, "SUCCEEDED")
            await expect(page.get_by_role("region", name="Result")).to_contain_text("2")
        # Another client recomputes it, and the open page shows that.
        await first.get_by_label("run again").check()
        await submit(first, "gated")
        await expect(first.get_by_text("RECOMPUTED")).to_be_visible()
        await see_state(first, "SUCCEEDED")


async def test_a_page_waits_through_a_restart_of_its_api_node(
    windows: Windows, pages_system: System, tmp_path: Path
) -> None:
    windows.expected = ("net::ERR_", "WebSocket connection")
    async with windows.open("/#/types/gated", base=base_of(pages_system, 1)) as page:
        await submit(page, "gated", folder=str(tmp_path), n="3")
        await see_state(page, "RUNNING")
        await pages_system.kill("api1")
        await expect(page.get_by_text("No connection to the server")).to_be_visible()
        (tmp_path / "gate-3").touch()
        await pages_system.start("api", 1)
        await see_state(page, "SUCCEEDED")
        await expect(page.get_by_text("No connection to the server")).to_be_hidden()
        await expect(page.locator(".events li")).to_have_count(3)


async def test_a_link_opens_the_same_task_later_on_another_node(windows: Windows, pages_system: System) -> None:
    got = await pages_system.ask("mutation { submitFibonacci(n: 1000) { taskId } }")
    task = got["submitFibonacci"]["taskId"]
    for link in (f"/#/tasks/{task}", f"/#task={task}"):
        async with windows.open(link, base=base_of(pages_system, 1)) as page:
            await see_state(page, "SUCCEEDED")
            await expect(page.get_by_role("heading", name="fibonacci(n: 1000)")).to_be_visible()
            await expect(page).to_have_title("SUCCEEDED fibonacci(n: 1000)")
            await expect(page.get_by_text("209 digits")).to_be_visible()


async def test_a_page_waits_for_a_task_that_nobody_submitted_yet(windows: Windows, pages_system: System) -> None:
    task = task_id("fibonacci", "1", b'{"n":77}')
    async with windows.open(f"/#/tasks/{task}") as page:
        await expect(page.get_by_text("not submitted yet, or expired")).to_be_visible()
        await pages_system.ask("mutation { submitFibonacci(n: 77) { taskId } }")
        await see_state(page, "SUCCEEDED")


async def test_a_long_input_and_a_long_error_fit_on_the_page(windows: Windows, pages_system: System) -> None:
    submitted = await pages_system.ask(
        "mutation($text: String!) { submitFailing(message: $text) { taskId } }", {"text": "x" * 3000}
    )
    for width in (320, 1280):
        viewport = {"width": width, "height": 700}
        async with windows.open(f"/#/tasks/{submitted['submitFailing']['taskId']}", viewport=viewport) as page:
            await see_state(page, "FAILED")
            await expect(page.locator(".events")).to_contain_text("x" * 100)
            assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), width
            heading = await page.get_by_role("heading", level=1).bounding_box()
            assert heading is not None
            assert heading["height"] < 100


async def test_a_task_that_is_computed_again_counts_its_waits_and_attempts_anew(
    windows: Windows, pages_system: System
) -> None:
    again = "mutation { submitFibonacci(n: 83, options: {recompute: true}) { taskId } }"
    for _ in range(2):
        task_id = (await pages_system.ask(again))["submitFibonacci"]["taskId"]
        await pages_system.result(task_id)
    async with windows.open(f"/#/tasks/{task_id}") as page:
        await see_state(page, "SUCCEEDED")
        facts = page.locator(".task dl").last
        await expect(facts).to_contain_text(re.compile(r"Waited.* m?s.*Ran.* m?s"))
        await expect(facts).not_to_contain_text("Attempts")
