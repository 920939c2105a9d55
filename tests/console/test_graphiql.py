"""GraphiQL."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import pytest
from playwright.async_api import expect

from tests.browser import Windows
from tests.console.steps import play

FIB_90: Final = "b9a7c7263c0332d12e52f09809754586"
PICTURES: Final = "tests.task_modules.pictures"
PHONE: Final = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


@pytest.mark.slow
async def test_graphiql_runs_a_subscription_and_a_mutation(windows: Windows) -> None:
    async with windows.open("/graphql") as page:
        await play(page, "Submit")
        await expect(page.locator(".graphiql-response")).to_contain_text(FIB_90)
        await play(page, "Result")
        await expect(page.locator(".graphiql-response")).to_contain_text("2880067194370816120")


@pytest.mark.slow
async def test_a_link_opens_an_operation_in_a_tab_of_its_own_and_leads_back(windows: Windows) -> None:
    link = urlencode({"query": "query Linked($id: ID!) { task(taskId: $id) { taskId } }", "back": "#/cluster"})
    async with windows.open(f"/graphql#{link}") as page:
        editor = page.locator(".graphiql-query-editor .view-lines")
        await expect(editor).to_contain_text("Linked")
        await expect(page.get_by_role("link", name="Back to the console")).to_have_attribute("href", "./#/cluster")
        await page.reload()
        await expect(editor).to_contain_text("Linked")
        await expect(page.get_by_title("Linked", exact=True)).to_have_count(1)
        await page.get_by_role("button", name="Show Operations").click()
        await page.get_by_role("button", name="Run and wait for the result: fibonacci").click()
        await expect(editor).to_contain_text("runFibonacci")
        for tab in ("Linked", "Run"):
            await expect(page.get_by_title(tab, exact=True)).to_have_count(1)
