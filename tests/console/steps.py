"""What people do on the pages of the console."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect

from tests.system import System


def base_of(system: System, node: int = 0) -> str:
    return f"http://127.0.0.1:{system.ports[node]}"


async def fill(page: Page, task: str, **values: str) -> None:
    """Fills the form of a task type that the page shows."""
    form = page.get_by_role("form", name=task)
    for label, value in values.items():
        await form.get_by_label(re.compile(rf"^{label}\b")).fill(value)


async def submit(page: Page, task: str, **values: str) -> str:
    """Fills the form and runs the task; returns the id in the address."""
    await fill(page, task, **values)
    await page.get_by_role("form", name=task).get_by_role("button", name="Run", exact=True).click()
    await page.wait_for_url(re.compile(rf"#/types/{task}/[0-9a-f]{{32}}$"))
    return page.url.rpartition("/")[2]


async def see_state(page: Page, state: str) -> None:
    """The state of the task that the page or its panel shows. The page has `Succeeded` for the api's `SUCCEEDED`."""
    await expect(page.get_by_role("status", name="State")).to_have_text(state.capitalize())


async def play(page: Page, tab: str) -> None:
    """Runs an example of GraphiQL as soon as it is visible, faster than a person could."""
    editor = page.locator(".graphiql-query-editor .view-lines")
    await expect(editor).to_contain_text(re.compile(r"query|mutation|subscription"))
    await page.get_by_title(tab, exact=True).click()
    await expect(editor).to_contain_text(tab)
    await page.locator(".graphiql-execute-button").click()


async def sign_in(page: Page) -> None:
    """Opens the dialog for a key."""
    await page.get_by_role("button", name=re.compile("account and settings", re.IGNORECASE)).click()
    await page.get_by_role("button", name=re.compile("Sign in|Use another key")).click()
