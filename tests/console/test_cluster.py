"""The cluster page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.browser import Windows
from tests.console.steps import submit

AT: Final = "2026-01-31T12:00:00Z"

FLEET: Final = {
    "wanted": 7, "launching": 3, "running": 4, "retiring": 0, "minWorkers": 0, "maxWorkers": 50,
    "reason": "a backlog", "launchSeconds": 31.5, "problem": "no capacity for Spot", "costPerHour": 0.2468,
    "decisions": [{"at": AT, "wanted": 7, "started": 3, "stopped": 0, "reason": "Added 3 workers: 96 tasks wait"}],
}  # fmt: skip

PROBLEM: Final = {
    "code": "WORKERS_CANNOT_START", "message": "AWS has no Spot capacity", "advice": "Allow another instance type.",
    "since": AT, "name": None,
}  # fmt: skip

DETAIL: Final = {
    "cost": {
        "perHour": 0.2468, "today": 5.81, "yesterday": 7.19, "thisMonth": 1402.18, "monthAtThisRate": 1640,
        "byType": [{"name": "gated", "month": 611}, {"name": "fibonacci", "month": 354}],
    },
    "queueByTenant": [{"tenant": "analytics", "waiting": 118, "running": 9}],
}  # fmt: skip

pytestmark = pytest.mark.browser


async def pretend(page: Page, *, watched: dict[str, Any], detail: dict[str, Any]) -> None:
    """Replaces parts of what the api says of the cluster, as a large paid one would."""

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            parsed = json.loads(message)
            data = (parsed.get("payload") or {}).get("data") or {}
            if "clusterChanges" in data:
                data["clusterChanges"] |= watched
            socket.send(json.dumps(parsed))

        server.on_message(pass_on)

    async def answer(route: Route) -> None:
        if "ClusterDetail" not in (route.request.post_data or ""):
            await route.fallback()
            return
        response = await route.fetch()
        body = await response.json()
        body["data"]["cluster"] |= detail
        await route.fulfill(response=response, json=body)

    await page.route_web_socket("**/graphql", between)
    await page.route("**/graphql", answer)


async def test_the_cluster_is_shown_live(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/cluster") as page, windows.open("/#/types/gated") as other:
        workers = page.get_by_role("region", name="Workers", exact=True).filter(has=page.get_by_role("table"))
        await expect(workers.get_by_role("row")).not_to_have_count(1)
        await expect(page.get_by_role("link", name=re.compile("^Running 0"))).to_be_visible()
        task_id = await submit(other, "gated", folder=str(tmp_path), n="4")
        await expect(page.get_by_role("link", name=re.compile("^Running 1"))).to_be_visible()
        await expect(workers.get_by_text("Busy")).to_be_visible()
        # What it runs leads to the task.
        await expect(workers.get_by_role("link", name="gated")).to_have_attribute("href", f"#/tasks/{task_id}")
        (tmp_path / "gate-4").touch()
        await expect(workers.get_by_text("Busy")).to_be_hidden()
        # A count leads to the list that it counts: here, what ended in the last hour.
        finished = page.get_by_role("link", name=re.compile("^Finished"))
        await expect(finished).to_have_attribute("href", "#/tasks?state=succeeded&ended=1h")
        await page.get_by_role("link", name=re.compile("^Running 0")).click()
        await expect(page).to_have_url(re.compile(r"#/tasks\?state=running$"))


async def test_problems_decisions_and_cost_of_a_paid_fleet_are_shown(windows: Windows) -> None:
    async with windows.open("about:blank") as page:
        await pretend(page, watched={"fleet": FLEET, "problems": [PROBLEM]}, detail=DETAIL)
        await page.goto(f"{windows.base}/#/cluster")
        problems = page.get_by_role("region", name="Problems")
        await expect(problems).to_contain_text("AWS has no Spot capacity")
        await expect(problems).to_contain_text("Allow another instance type.")
        await expect(page.get_by_role("banner")).to_contain_text("1 problem")
        decisions = page.get_by_role("region", name="What was decided, and why")
        await expect(decisions).to_contain_text("+3")
        await expect(decisions).to_contain_text("Added 3 workers: 96 tasks wait")
        await expect(page.get_by_text("$0.247").first).to_be_visible()
        cost = page.get_by_role("region", name="Cost", exact=True)
        await expect(cost).to_contain_text("$1,402.18")
        await expect(cost.get_by_role("link", name="gated")).to_have_attribute("href", "#/types/gated")
        await expect(page.get_by_role("region", name="Open tasks by tenant")).to_contain_text("118")


async def test_charts_share_a_cursor_tell_their_numbers_and_set_the_period(windows: Windows) -> None:
    async with windows.open("/#/cluster") as page:
        chart = page.get_by_role("slider", name=re.compile("^Finished tasks a minute"))
        await expect(chart).to_have_attribute("aria-valuetext", "Newest")
        await chart.focus()
        await page.keyboard.press("ArrowLeft")
        await expect(chart).to_have_attribute("aria-valuetext", re.compile(r"Succeeded .* · Failed"))
        tips = await page.locator(".tip").count()
        assert tips >= 2
        await page.get_by_role("button", name="Numbers: Finished tasks a minute").click()
        await expect(
            page.get_by_role("group", name="Finished tasks a minute, numbers").get_by_role("row")
        ).to_have_count(62)
        workers = page.get_by_role("slider", name=re.compile("^Workers, "))
        await workers.scroll_into_view_if_needed()
        box = await workers.bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        await page.mouse.move(box["x"] + box["width"] * 0.5, middle)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=3)
        await page.mouse.up()
        await expect(page).to_have_url(re.compile(r"period=1h&from=\d+&to=\d+"))
        await page.get_by_role("button", name="Show the whole period").click()
        await expect(page).to_have_url(re.compile(r"#/cluster\?period=1h$"))
        await page.get_by_role("button", name="15 min").click()
        await expect(page.get_by_text("in the last 15 minutes").first).to_be_visible()


async def test_an_administrator_retires_a_worker(windows: Windows) -> None:
    """The api is not asked to: the system's one worker has other tests to run."""
    drained: list[str] = []

    async def answer(route: Route) -> None:
        if "drainWorker" not in (route.request.post_data or ""):
            await route.fallback()
            return
        name = json.loads(route.request.post_data or "")["variables"]["name"]
        drained.append(name)
        await route.fulfill(json={"data": {"drainWorker": name}})

    async with windows.open("about:blank") as page:
        await page.route("**/graphql", answer)
        await page.goto(f"{windows.base}/#/cluster")
        button = page.get_by_role("button", name=re.compile("^Retire ")).first
        name = (await button.get_attribute("aria-label") or "").removeprefix("Retire ")
        await button.click()
        dialog = page.get_by_role("dialog", name=f"Retire {name}?")
        await dialog.get_by_role("button", name="Keep it").click()
        await expect(button).to_be_focused()
        assert drained == []
        await button.click()
        await dialog.get_by_role("button", name="Retire").click()
        await expect(page.get_by_role("row", name=re.compile(name))).to_contain_text("Retiring")
        assert drained == [name]
