"""Takes the pictures of the console in docs/images/ with Chromium.

    python scripts/console_pictures.py http://127.0.0.1:8000 docs/images

Start `dask-graphql dev examples.mandelbrot examples.languages` and run a few tasks first: the pictures show what is
there. Each page is taken wide in light and dark, and on a phone.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.async_api import Browser, async_playwright

from tests.browser import needed_chromium

WIDE: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
SHOTS: Final = (("", WIDE, "light"), ("-dark", WIDE, "dark"), ("-phone", PHONE, "light"))
SETTLED_MILLISECONDS: Final = 2500
"""Until a page has read what it shows; it has no event for that."""


def ask(base: str, query: str) -> dict[str, Any]:
    """What the api returns for a query, without credentials."""
    response = httpx.post(f"{base}/graphql", json={"query": query}, timeout=30)
    data: dict[str, Any] = response.raise_for_status().json()["data"]
    return data


def newest(base: str, where: str) -> str | None:
    """The id of the newest task that a filter means."""
    query = f"{{ tasks(first: 1, where: {{{where}}}) {{ edges {{ node {{ taskId }} }} }} }}"
    edges = ask(base, query)["tasks"]["edges"]
    return edges[0]["node"]["taskId"] if edges else None


def pages_of(base: str) -> dict[str, str]:
    """The addresses of the pages, by the names of their pictures."""
    found = {"tasks": "tasks", "types": "types/mandelbrot", "cluster": "cluster?period=15m"}
    found |= {"audit": "audit", "usage": "usage"}
    ended = {"task": 'names: ["mandelbrot"], states: [SUCCEEDED]', "failed": "states: [FAILED]"}
    for name, where in ended.items():
        if task_id := newest(base, where):
            found[name] = f"tasks/{task_id}"
    return found


async def take(browser: Browser, base: str, folder: Path) -> None:
    """Takes all pictures, one after the other."""
    for name, path in pages_of(base).items():
        for suffix, size, scheme in SHOTS:
            page = await browser.new_page(viewport=size, color_scheme=scheme, locale="en-GB", reduced_motion="reduce")
            await page.goto(f"{base}/#/{path}")
            await page.wait_for_timeout(SETTLED_MILLISECONDS)
            await page.screenshot(path=folder / f"console-{name}{suffix}.png")
            await page.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("base", help="the address of the api node, without a path")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    arguments = parser.parse_args()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=needed_chromium(), args=["--no-sandbox"])
        await take(browser, arguments.base.rstrip("/"), arguments.folder)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
