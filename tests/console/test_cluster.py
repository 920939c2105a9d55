"""The cluster page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.browser import Windows
from tests.console.steps import submit

FIB_90: Final = "b9a7c7263c0332d12e52f09809754586"
PICTURES: Final = "tests.task_modules.pictures"
PHONE: Final = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


async def test_the_cluster_is_shown_live(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/cluster") as page, windows.open("/#/types/gated") as other:
        await expect(page.get_by_role("region", name="Workers").get_by_role("row")).not_to_have_count(1)
        await expect(page.get_by_role("slider", name=re.compile("^Tasks, .*Running 0 now"))).to_be_visible()
        await submit(other, "gated", folder=str(tmp_path), n="4")
        await expect(page.get_by_role("slider", name=re.compile("^Tasks, .*Running 1 now"))).to_be_visible()
        await expect(page.get_by_text("BUSY")).to_be_visible()
        (tmp_path / "gate-4").touch()
        await expect(page.get_by_text("BUSY")).to_be_hidden()


async def test_decisions_cost_and_problems_of_a_paid_fleet_are_shown(windows: Windows) -> None:
    at = "2026-01-31T12:00:00Z"
    told = {
        "wanted": 7, "launching": 3, "running": 4, "retiring": 0, "minWorkers": 0, "maxWorkers": 50,
        "reason": "a backlog", "launchSeconds": 31.5, "problem": "no capacity for Spot", "costPerHour": 0.2468,
        "decisions": [{"at": at, "wanted": 7, "started": 3, "stopped": 0, "reason": "120 s of work in the queue"}],
    }  # fmt: skip

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def tell(message: str | bytes) -> None:
            word = json.loads(message)
            if "clusterChanges" in ((word.get("payload") or {}).get("data") or {}):
                word["payload"]["data"]["clusterChanges"]["fleet"] = told
            socket.send(json.dumps(word))

        server.on_message(tell)

    async with windows.open("about:blank") as page:
        await page.route_web_socket("**/graphql", between)
        await page.goto(f"{windows.base}/#/cluster")
        fleet = page.get_by_role("region", name="Fleet")
        await expect(fleet).to_contain_text("7 wanted. 120 s of work in the queue")
        await expect(fleet).to_contain_text("no capacity for Spot")
        await expect(page.get_by_text("$0.247")).to_be_visible()
        await expect(page.get_by_role("banner")).to_contain_text("1 problem")
