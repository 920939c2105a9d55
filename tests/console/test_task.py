"""The page of a task."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
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
        bar = page.get_by_role("region", name="Task").get_by_role("progressbar")
        await expect(bar).to_have_attribute("value", re.compile(r"^0\.[0-4]"))
        await expect(bar).to_have_attribute("value", re.compile(r"^0\.[5-9]"))
        await expect(page.get_by_text(re.compile("about .* left"))).to_be_visible()
        await see_state(page, "SUCCEEDED")
        # Afterwards its course is a chart.
        await page.get_by_role("link", name="Open", exact=True).click()
        await page.get_by_role("button", name="Numbers: Progress").click()
        await expect(page.get_by_role("group", name="Progress, numbers").get_by_role("row")).to_have_count(16)


async def test_what_a_task_prints_is_seen_while_it_runs_and_afterwards(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/types/talking") as page:
        await submit(page, "talking", folder=str(tmp_path), n="3")
        await page.get_by_role("link", name="Open", exact=True).click()
        log = page.get_by_role("list", name="Log lines")
        await expect(log.get_by_role("listitem")).to_contain_text(
            [re.compile("INFO.*prints 3"), re.compile("WARN.*logs 3")]
        )
        await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
        (tmp_path / "go").touch()
        await see_state(page, "SUCCEEDED")
        await expect(log.get_by_role("listitem")).to_contain_text(["prints 3", "logs 3", "the end"])
        # Search, level, and an address that keeps what is looked for.
        await page.get_by_role("searchbox", name="Search in the logs").fill("LOGS")
        await expect(log.get_by_role("listitem")).to_have_count(1)
        await expect(log.locator("mark")).to_have_text("logs")
        await expect(page).to_have_url(re.compile(r"\?q=LOGS$"))
        await page.reload()
        await expect(page.get_by_text("1 of 3 lines")).to_be_visible()
        await page.get_by_role("searchbox", name="Search in the logs").fill("")
        await page.get_by_role("button", name="Warnings 1").click()
        await expect(log.get_by_role("listitem")).to_have_count(1)
        await page.get_by_role("button", name="Errors 0").click()
        await expect(log.get_by_role("listitem")).to_have_count(0)


async def test_a_failure_is_shown_with_its_code_and_message(windows: Windows, pages_system: System) -> None:
    other = await pages_system.ask('mutation { submitFailing(message: "the tide is 3 m too low") { taskId } }')
    await pages_system.result(other["submitFailing"]["taskId"], "state")
    async with windows.open("/#/types/failing") as page:
        await submit(page, "failing", message="the tide is 4 m too low")
        await see_state(page, "FAILED")
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("ValueError: the tide is 4 m too low")
        await expect(alert).to_contain_text("TASK_FAILED")
        await page.get_by_role("link", name="Open", exact=True).click()
        error = page.get_by_role("region", name="Error", exact=True)
        await expect(error.get_by_role("heading", level=2)).to_have_text("ValueError: the tide is 4 m too low")
        frames = error.get_by_role("list", name=re.compile("^Stack"))
        await expect(frames.get_by_role("listitem")).to_contain_text([re.compile("failing.*samples.py:")])
        await expect(frames.get_by_role("group")).to_contain_text("raise ValueError(message)")
        await error.get_by_role("button", name="Text").click()
        await expect(error.get_by_role("region", name="Traceback")).to_contain_text("Traceback (most recent call last)")
        # The same error, with another number in its message.
        await error.get_by_role("link", name="2 tasks failed with this error").click()
        await expect(page.get_by_role("table", name="Tasks, newest first").get_by_role("row")).to_have_count(3)


async def test_a_running_task_is_cancelled(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/types/gated") as page:
        await submit(page, "gated", folder=str(tmp_path), n="1")
        await see_state(page, "RUNNING")
        await page.get_by_role("link", name="Open", exact=True).click()
        await page.get_by_role("button", name="Cancel").click()
        await see_state(page, "CANCELLED")
        await expect(page.get_by_role("list", name="What happened")).to_contain_text("Cancelled after")
        await expect(page.get_by_role("button", name="Run again")).to_have_class(re.compile("primary"))
        await page.get_by_role("button", name="More").click()
        await page.get_by_role("button", name="Delete the task").click()
        await page.get_by_role("button", name="Delete", exact=True).click()
        await expect(page).to_have_url(re.compile("#/tasks$"))


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
        await page.get_by_role("link", name="Open", exact=True).click()
        line = page.get_by_role("region", name="Timeline")
        attempts = line.get_by_role("list", name="What happened").get_by_role("listitem")
        await expect(attempts).to_contain_text(
            [
                re.compile(r"Attempt 1.*division by zero\. Tried again .* later"),
                "Attempt 2",
                re.compile("Attempt 3.*No attempts left"),
            ]
        )
        await expect(line.locator(".gantt")).to_contain_text("worker-")
        await expect(line.get_by_role("img")).to_have_accessible_name(
            re.compile("^waited .*, attempt 1 ran .*, attempt 2 ran .*, attempt 3 ran ")
        )


async def test_the_family_of_a_task_is_a_tree_that_changes_as_its_children_do(
    windows: Windows, pages_system: System, tmp_path: Path
) -> None:
    submitted = await pages_system.ask(
        "mutation($folder: String!) { submitFamilyGated(folder: $folder, numbers: [1, 2]) { taskId } }",
        {"folder": str(tmp_path)},
    )
    parent = submitted["submitFamilyGated"]["taskId"]
    async with windows.open(f"/#/tasks/{parent}", viewport=PHONE, color_scheme="dark", reduced_motion="reduce") as page:
        family, line = page.get_by_role("region", name="Family"), page.get_by_role("region", name="Timeline")
        # There may be two workers by now.
        await expect(family.get_by_role("heading", level=3)).to_have_text(re.compile("^3 children: [12] running, "))
        # What differs tells them apart.
        await expect(line.get_by_role("link", name="gated n: 1", exact=True)).to_be_visible()
        for number in (1, 2):
            (tmp_path / f"gate-{number}").touch()
        await expect(family.get_by_role("heading", level=3)).to_have_text("3 children: 3 succeeded")
        await see_state(page, "SUCCEEDED")
        await page.get_by_role("button", name=re.compile("^The 1 child of family_nested")).click()
        below = family.get_by_role("list").get_by_role("list")
        await expect(below.get_by_role("listitem")).to_contain_text([re.compile("Succeeded.*depth: 1")])
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
        await below.get_by_role("link").click()
        await family.get_by_role("link", name="family_nested").first.click()
        await family.get_by_role("link", name="family_gated").click()
        await page.wait_for_url(re.compile(parent))


async def test_two_windows_on_two_nodes_see_one_task(windows: Windows, pages_system: System, tmp_path: Path) -> None:
    async with (
        windows.open("/#/types/gated") as first,
        windows.open("/#/tasks", base=base_of(pages_system, 1)) as second,
    ):
        await submit(first, "gated", folder=str(tmp_path), n="2")
        await see_state(first, "RUNNING")
        row = second.locator(".tasklist tbody tr").filter(has_text=str(tmp_path))
        await row.get_by_role("link").click()
        await see_state(second, "RUNNING")
        (tmp_path / "gate-2").touch()
        for page in (first, second):
            await see_state(page, "SUCCEEDED")
            await expect(page.get_by_role("region", name="Result")).to_contain_text("2")
        # Another client recomputes it, and the open page shows that.
        await first.get_by_label("Use the saved result").uncheck()
        await submit(first, "gated")
        await expect(first.get_by_text("Running again.")).to_be_visible()
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
        await page.get_by_role("link", name="Open", exact=True).click()
        await expect(page.get_by_text("All 3 events")).to_be_visible()


async def test_a_link_opens_the_same_task_later_on_another_node(windows: Windows, pages_system: System) -> None:
    got = await pages_system.ask("mutation { submitFibonacci(n: 1000) { taskId } }")
    task = got["submitFibonacci"]["taskId"]
    for link in (f"/#/tasks/{task}", f"/#task={task}"):
        async with windows.open(link, base=base_of(pages_system, 1)) as page:
            await see_state(page, "SUCCEEDED")
            await expect(page.get_by_role("heading", name="fibonacci", level=1)).to_be_visible()
            await expect(page.get_by_role("region", name="Input").last).to_contain_text("n: 1000")
            await expect(page).to_have_title(f"Succeeded fibonacci {task[:8]} · dask-graphql")
            await expect(page.get_by_text("209 digits")).to_be_visible()


async def test_a_page_waits_for_a_task_that_nobody_submitted_yet(windows: Windows, pages_system: System) -> None:
    task = task_id("fibonacci", "1", b'{"n":77}')
    async with windows.open(f"/#/tasks/{task}") as page:
        await expect(page.get_by_text("There is no such task yet")).to_be_visible()
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
            await expect(page.get_by_role("list", name="What happened")).to_contain_text("x" * 100)
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
        summary = page.locator(".summary")
        await expect(summary).to_contain_text(re.compile(r"Done in .* m?s.*Waited .* m?s"))
        await expect(summary).not_to_contain_text("attempt")


async def test_a_task_is_copied_as_a_program_and_run_again_by_a_key(windows: Windows, pages_system: System) -> None:
    submitted = await pages_system.ask('mutation { submitTakeDefaults(colour: BLUE, text: "it\'s") { taskId } }')
    task = submitted["submitTakeDefaults"]["taskId"]
    await pages_system.result(task, "state")
    async with windows.open(f"/#/tasks/{task}") as page:
        await see_state(page, "SUCCEEDED")
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])

        async def copied(language: str) -> str:
            await page.get_by_role("button", name="Copy as").click()
            await page.get_by_role("button", name=language, exact=True).click()
            return str(await page.evaluate("navigator.clipboard.readText()"))

        # What is copied is the same task.
        again = await pages_system.ask(await copied("GraphQL"))
        assert again["submitTakeDefaults"] == {"taskId": task, "outcome": "CACHED"}
        curl = subprocess.run(
            shlex.split((await copied("curl")).replace("\\\n", "")),
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert json.loads(curl.stdout)["data"]["submission"]["taskId"] == task
        python = await copied("Python")
        compile(python, "copied", "exec")
        assert 'client.submit(\n    "take_defaults",\n' in python
        assert 'client.run("take_defaults", {' in await copied("TypeScript")
        assert (await copied("Link to this task")).endswith(f"#/tasks/{task}")

        await page.get_by_role("heading", level=1).click()
        await page.keyboard.press("r")
        await expect(page.get_by_text("Running again")).to_be_visible()
        await see_state(page, "SUCCEEDED")


async def test_each_section_of_a_task_has_an_address(windows: Windows, pages_system: System) -> None:
    got = await pages_system.ask("mutation { submitFibonacci(n: 1000) { taskId } }")
    task = got["submitFibonacci"]["taskId"]
    async with windows.open(f"/#/tasks/{task}/related", viewport=PHONE) as page:
        sections = page.get_by_role("navigation", name="Sections")
        await expect(sections.get_by_role("link", name="Related")).to_have_attribute("aria-current", "true")
        await expect(page.get_by_role("region", name="Related")).to_be_in_viewport()
        await sections.get_by_role("link", name="Timeline").click()
        await expect(page).to_have_url(re.compile(f"#/tasks/{task}/timeline$"))
        await expect(page.get_by_role("region", name="Timeline")).to_be_in_viewport()
