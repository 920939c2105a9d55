"""The list of tasks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser import Windows, grave_findings
from tests.system import System

PHONE: Final = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


def rows(page: Page) -> Locator:
    return page.locator(".tasklist tbody tr[data-id]")


def state_filter(page: Page, state: str) -> Locator:
    return page.get_by_role("group", name="Filters").get_by_role("button", name=re.compile(f"^{state}"))


async def refuse(system: System, *codes: str, name: str = "submitRefusing") -> None:
    """Submits tasks that fail with these codes, and waits for their end."""
    fields = " ".join(
        f'task{at}: {name}(code: "{code}", options: {{tags: ["tide"]}}) {{ taskId }}' for at, code in enumerate(codes)
    )
    submitted = await system.ask(f"mutation {{ {fields} }}")
    for task in submitted.values():
        await system.result(task["taskId"], "state")


async def test_the_list_is_live_and_filtered(windows: Windows, pages_system: System) -> None:
    await refuse(pages_system, "TIDE_FALLS")
    async with windows.open("/#/tasks?type=refusing&error=TIDE_FALLS,TIDE_TOO_LOW") as page:
        await state_filter(page, "Failed").click()
        await expect(state_filter(page, "Failed")).to_have_attribute("aria-pressed", "true")
        # Whatever is asked for at the beginning has been.
        await expect(rows(page)).to_have_count(1)
        await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.post_data or "") if request.method == "POST" else None)
        await pages_system.ask(
            'mutation { submitRefusing(code: "TIDE_TOO_LOW") { taskId } submitFibonacci(n: 3) { taskId } }'
        )
        await expect(rows(page)).to_have_count(2)
        await expect(rows(page).first).to_contain_text("TIDE_TOO_LOW")
        # The changes brought the row: nothing was asked for again.
        assert not [query for query in asked if "TaskList(" in query]


async def test_what_the_list_shows_stands_in_the_address(windows: Windows, pages_system: System) -> None:
    await refuse(pages_system, "TIDE_TOO_HIGH")
    async with windows.open("/#/tasks") as page:
        await state_filter(page, "Failed").click()
        await expect(page).to_have_url(re.compile(r"#/tasks\?state=failed$"))
        await page.get_by_role("button", name="Add filter").click()
        await page.get_by_role("group", name="Filters").get_by_role("button", name="Task type").click()
        await page.get_by_role("combobox", name="Task type").fill("refus")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(re.compile(r"#/tasks\?state=failed&type=refusing$"))
        await page.get_by_role("searchbox", name="Search tasks").fill("TIDE_TOO_HIGH")
        await expect(page).to_have_url(re.compile(r"&q=TIDE_TOO_HIGH$"))
        await expect(rows(page)).to_have_count(1)
        await rows(page).get_by_role("link").click()
        await page.wait_for_url(re.compile(r"#/tasks/[0-9a-f]{32}"))
        await page.go_back()
        for _ in range(2):
            await expect(state_filter(page, "Failed")).to_have_attribute("aria-pressed", "true")
            await expect(page.get_by_role("searchbox", name="Search tasks")).to_have_value("TIDE_TOO_HIGH")
            await expect(rows(page)).to_have_count(1)
            await page.reload()
        await page.get_by_role("button", name="Remove filter Type refusing").click()
        await expect(page).to_have_url(re.compile(r"#/tasks\?state=failed&q=TIDE_TOO_HIGH$"))
        await page.goto(f"{windows.base}/#/tasks?state=FAILED&type=refusing&q=TIDE_TOO_HIGH")  # as in earlier versions
        await expect(rows(page)).to_have_count(1)


async def test_a_pasted_id_goes_to_its_task_from_every_page(windows: Windows, pages_system: System) -> None:
    task = (await pages_system.ask("mutation { task: submitFibonacci(n: 61) { taskId } }"))["task"]
    async with windows.open("/#/tasks") as page:
        await page.get_by_role("searchbox", name="Search tasks").fill(task["taskId"].upper())
        await page.wait_for_url(re.compile(f"#/tasks/{task['taskId']}"))
        await page.goto(f"{windows.base}/#/cluster")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await page.keyboard.press("/")
        await page.get_by_role("combobox", name="Search").fill(task["taskId"])
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile(f"#/tasks/{task['taskId']}"))


async def test_new_tasks_wait_while_one_is_selected(windows: Windows, pages_system: System) -> None:
    await refuse(pages_system, "SEAL")
    async with windows.open("/#/tasks?type=refusing&q=SEAL") as page:
        await rows(page).get_by_role("checkbox").check()
        await page.get_by_role("heading", name="Tasks", exact=True).hover()
        await refuse(pages_system, "SEAL_2", "SEAL_3")
        await page.get_by_role("button", name="Show 2 new").click()
        await expect(rows(page)).to_have_count(3)
        await expect(rows(page).get_by_role("checkbox").nth(2)).to_be_checked()
        # The one that was submitted last is on top.
        await expect(rows(page).first).to_contain_text(re.compile("SEAL_[23]"))
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("toolbar")).to_have_count(0)


@pytest.mark.slow
async def test_selected_tasks_are_run_again_and_forgotten(windows: Windows, pages_system: System) -> None:
    await refuse(pages_system, "GULL_1", "GULL_2", "GULL_3")
    async with windows.open("/#/tasks?type=refusing&q=GULL") as page:
        await expect(rows(page)).to_have_count(3)
        for at in range(2):
            await rows(page).nth(at).get_by_role("checkbox").check()
        bar = page.get_by_role("toolbar", name="2 selected")
        await expect(bar.get_by_role("button", name="Cancel")).to_have_count(0)  # they have ended
        await bar.get_by_role("button", name="Run again").click()
        await expect(page.get_by_role("status").filter(has_text="2 tasks run again")).to_be_visible()
        await page.get_by_role("button", name=re.compile("^Select all")).click()
        await page.get_by_role("toolbar").get_by_role("button", name="Forget").click()
        dialog = page.get_by_role("dialog", name="Forget 3 tasks?")
        await expect(dialog).to_contain_text("cannot be undone")
        assert await grave_findings(page) == []
        await dialog.get_by_role("button", name="Forget 3 tasks").click()
        await expect(page.get_by_role("status").filter(has_text="3 tasks forgotten")).to_be_visible()
        await expect(page.get_by_text("No tasks match these filters")).to_be_visible()


async def test_the_list_is_used_by_keys_alone(windows: Windows, pages_system: System) -> None:
    await refuse(pages_system, "WAVE_1", "WAVE_2", "WAVE_3")
    async with windows.open("/#/tasks?type=refusing&q=WAVE") as page:
        await expect(rows(page)).to_have_count(3)
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("k")
        await page.keyboard.press("Shift+X")
        await expect(page.get_by_role("toolbar", name="2 selected")).to_be_visible()
        wanted = await rows(page).nth(1).get_attribute("data-id")
        await expect(rows(page).nth(1).get_by_role("link")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile(f"#/tasks/{wanted}"))


@pytest.mark.slow
async def test_a_long_list_has_few_rows_in_the_document_and_reads_on_as_it_is_scrolled(
    windows: Windows, pages_system: System
) -> None:
    inputs = ", ".join(f"{{n: {n}}}" for n in range(2000, 2100))
    more = inputs.replace("{n: 20", "{n: 30").replace("{n: 21", "{n: 31")
    for some in (inputs, more):
        await pages_system.ask(
            f'mutation {{ submitFibonacciMany(inputs: [{some}], options: {{tags: ["long"]}}) {{ taskId }} }}'
        )
    async with windows.open("/#/tasks?tag=long") as page:
        await expect(rows(page).first).to_be_visible()
        table = page.get_by_role("table", name="Tasks, newest first")
        scrolling = await page.evaluate("setInterval(() => scrollTo(0, document.documentElement.scrollHeight), 50)")
        await expect(page.get_by_text("200 tasks", exact=True)).to_be_visible()
        await page.evaluate("timer => clearInterval(timer)", scrolling)
        await expect(table).to_have_attribute("aria-rowcount", "201")
        await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        last = rows(page).last
        await expect(last).to_have_attribute("aria-rowindex", "201")
        assert await rows(page).count() < 80
        # The cursor's row stays in the document, and keeps the focus, wherever the list is scrolled to.
        await last.get_by_role("link").focus()
        await page.evaluate("scrollTo(0, 0)")
        await expect(rows(page).first).to_have_attribute("aria-rowindex", "2")
        await expect(page.locator(":focus")).to_have_count(1)
        await page.get_by_role("button", name="Run time").click()
        await expect(page).to_have_url(re.compile("sort=-duration"))
        await expect(page.get_by_text("Run time: sorts the 200 tasks loaded")).to_be_visible()
        await page.get_by_role("button", name="Save this list as CSV or JSON").click()
        async with page.expect_download() as download:
            await page.get_by_role("button", name="As JSON").last.click()
        saved = json.loads(Path(await (await download.value).path()).read_text())
        assert len(saved) == 200
        assert {tuple(task["tags"]) for task in saved} == {("long",)}


async def test_the_first_three_steps_stand_in_place_of_an_empty_list(windows: Windows) -> None:
    nothing = {"nodes": [], "totalCount": 0, "pageInfo": {"hasNextPage": False, "endCursor": None}}

    async def answer(route: Route) -> None:
        if "TaskList(" in (route.request.post_data or ""):
            await route.fulfill(json={"data": {"tasks": nothing}})
        else:
            await route.fallback()

    async with windows.open("about:blank") as page:
        await page.route("**/graphql", answer)
        await page.goto(f"{windows.base}/#/tasks")
        steps = page.get_by_role("region", name="Start here").get_by_role("listitem")
        await expect(steps).to_have_count(3)
        await expect(steps.first).to_contain_text(re.compile(r"\d workers? (is|are) connected"))
        await expect(steps.nth(1).get_by_role("button", name="Draw the Mandelbrot set")).to_be_enabled()
        assert await grave_findings(page) == []
        await page.get_by_role("button", name="Skip").click()
        await page.reload()
        await expect(page.get_by_text("No tasks at the moment")).to_be_visible()


async def test_a_view_is_kept_by_its_name(windows: Windows) -> None:
    async with windows.open("/#/tasks?state=failed&error=TIMEOUT") as page:
        await page.get_by_role("button", name="Save this view").click()
        await page.get_by_label("Name").fill("Too slow")
        await page.keyboard.press("Enter")
        views = page.get_by_role("navigation", name="Saved views")
        await views.get_by_role("link", name="All").click()
        await expect(page).to_have_url(re.compile("#/tasks$"))
        await views.get_by_role("link", name="Too slow").click()
        await expect(page).to_have_url(re.compile(r"#/tasks\?state=failed&error=TIMEOUT$"))
        await page.reload()
        await page.get_by_role("button", name="Remove “Too slow”").click()
        await expect(views.get_by_role("link", name="Too slow")).to_have_count(0)


async def test_on_a_phone_a_long_press_selects(windows: Windows, pages_system: System) -> None:
    await refuse(pages_system, "FOAM_1", "FOAM_2")
    async with windows.open("/#/tasks?type=refusing&q=FOAM", viewport=PHONE, has_touch=True, is_mobile=True) as page:
        await expect(rows(page)).to_have_count(2)
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
        press = {"pointerType": "touch", "bubbles": True}
        await rows(page).first.dispatch_event("pointerdown", press)
        await expect(page.get_by_role("toolbar", name="1 selected")).to_be_visible()
        await rows(page).first.dispatch_event("pointerup", press)
        assert await grave_findings(page) == []
        await rows(page).nth(1).tap()
        await expect(page.get_by_role("toolbar", name="2 selected")).to_be_visible()
        await rows(page).nth(1).tap()
        await expect(page.get_by_role("toolbar", name="1 selected")).to_be_visible()


async def test_a_task_is_withdrawn_and_on_a_phone_the_list_has_an_order(
    windows: Windows, pages_system: System, tmp_path: Path
) -> None:
    submitted = await pages_system.ask(
        "mutation($folder: String!) { submitGated(folder: $folder, n: 31) { taskId } }", {"folder": str(tmp_path)}
    )
    taken = submitted["submitGated"]["taskId"]
    async with windows.open("/#/tasks?type=gated&state=queued,running,cancelled") as page:
        row = rows(page).filter(has=page.locator(f'a[href="#/tasks/{taken}"]'))
        await row.get_by_role("checkbox").check()
        await page.get_by_role("button", name="Withdraw").click()
        await expect(row).to_contain_text("Cancelled")
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.get_by_role("combobox", name="Order").select_option("Longest run first")
        await expect(page).to_have_url(re.compile("sort=-duration"))
        await expect(page.get_by_role("table", name="Tasks by run time")).to_be_visible()
