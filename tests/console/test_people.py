"""Who may, and who is signed in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, expect

from graphql_api.auth.callers import Scope
from tests.browser import Windows
from tests.console.steps import base_of, play, see_state, sign_in, submit
from tests.system import System
from tests.task_modules.pictures import DOT

FIB_90: Final = "b9a7c7263c0332d12e52f09809754586"
PICTURES: Final = "tests.task_modules.pictures"
PHONE: Final = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


@pytest.mark.slow
async def test_a_key_is_asked_for_kept_in_the_tab_and_sent_on_both_ways(browser: Browser, tmp_path: Path) -> None:
    async with System(
        tmp_path, authentication="required", tenants="isolated", min_workers=0, max_workers=1, task_modules=(PICTURES,)
    ) as system:
        key = await system.make_key("anna", scopes=frozenset({Scope.SUBMIT, Scope.READ, Scope.CANCEL}))
        windows = Windows(browser, base_of(system))
        windows.expected = ("401 (Unauthorized)",)
        async with windows.open("/#/types/portrait") as page:
            field = page.get_by_label("API key or JWT")
            await field.fill("dgk_000000000000_wrong")
            await field.press("Enter")
            await expect(page.get_by_role("alert").first).to_contain_text("UNAUTHENTICATED")
            await sign_in(page)
            await field.fill(key)
            await field.press("Enter")
            await submit(page, "portrait", name="Ada")
            await expect(page.get_by_text(re.compile("There is no worker yet|is being launched"))).to_be_visible()
            await see_state(page, "SUCCEEDED")
            # Salted with the tenant's secret, and yet known in advance.
            await expect(page.get_by_text("✓ the id that this page computed")).to_be_visible()
            # An image request cannot carry a key, so the page fetched the picture.
            picture = page.get_by_role("img", name="portrait-image")
            await expect(picture).to_have_attribute("src", re.compile("^blob:"))
            assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
            async with page.expect_download() as download:
                await page.get_by_role("link", name="Download portrait.png").click()
            assert Path(await (await download.value).path()).read_bytes() == DOT
            assert await page.evaluate("Object.keys(localStorage).length") == 0
            assert key not in page.url
            await page.goto(f"{windows.base}/graphql")
            await play(page, "Cluster")
            await expect(page.locator(".graphiql-response")).to_contain_text("submitFibonacci")
        assert windows.faults == []
