"""How much the pages weigh, compressed as they are sent, and how soon they are of use on a slow network."""

from __future__ import annotations

import gzip
import re
from typing import Final

import pytest
from playwright.async_api import Request, expect

from graphql_api.http.pages import DIST
from tests.browser import Windows, need_pages

FIRST_PAGE_BYTES: Final = 130_000
"""The most that the first page of the console may load of files, compressed."""
ALL_BYTES: Final = 400_000
"""The most that all files of the console may take together, without those of GraphiQL and its editor."""


def weight(name: str) -> int:
    """The compressed size of a file of the build."""
    path = DIST / name
    sent = path.with_name(f"{path.name}.gz")
    return sent.stat().st_size if sent.exists() else len(gzip.compress(path.read_bytes()))


def parts_of(page: str) -> set[str]:
    """The files of a page: those that its HTML names, and all that they import, now or later."""
    found: set[str] = set()
    waiting = {page}
    while waiting:
        name = waiting.pop()
        found.add(name)
        text = (DIST / name).read_text()
        names = {f"assets/{asset}" for asset in re.findall(r"[\w.-]+-[\w-]{8}\.(?:js|css)", text)}
        waiting |= {asset for asset in names if (DIST / asset).exists()} - found
    return found


def test_all_of_the_console_is_small() -> None:
    need_pages()
    sizes = {name: weight(name) for name in parts_of("index.html")}
    print(sum(sizes.values()), sizes)
    assert sum(sizes.values()) < ALL_BYTES
    assert not any("monaco" in name or "graphiql" in name for name in sizes)


@pytest.mark.browser
async def test_the_first_page_loads_little(windows: Windows) -> None:
    async with windows.open("about:blank") as page:
        # The frame is there before the code is.
        async with windows.open("/", java_script_enabled=False) as bare:
            await expect(bare.get_by_role("status")).to_have_text("Loading …")
        files: list[Request] = []
        page.on("requestfinished", lambda request: files.append(request))
        await page.goto(f"{windows.base}/")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        sizes = {request.url.rpartition("/")[2]: await request.sizes() for request in files if request.method == "GET"}
        bodies = {name: size["responseBodySize"] for name, size in sizes.items()}
        assert 30_000 < sum(bodies.values()) < FIRST_PAGE_BYTES, bodies
