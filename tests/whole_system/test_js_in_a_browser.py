"""The JavaScript packages in a real browser: the hooks, and the example with Vite as a developer runs it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from dask_graphql.dev_system import free_port
from tests.browser import PATIENCE_MILLISECONDS, Windows, needed_chromium, started
from tests.node import REACT_18, installed_environment, packages_environment
from tests.places import ROOT
from tests.proxies import blocks
from tests.system import System

EXAMPLE = ROOT / "examples" / "web-vite"
NEXT = ROOT / "examples" / "web-next"
COMPONENTS = {"Vite": EXAMPLE / "src" / "estimate.tsx", "Next.js": NEXT / "app" / "estimate.tsx"}
HOOKS = ROOT / "clients" / "js" / "react" / "test"

expect.set_options(timeout=PATIENCE_MILLISECONDS)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with started(needed_chromium()) as running:
        yield running


@pytest.fixture(scope="module")
async def api(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("packages")
    async with System(folder, min_workers=1, max_workers=1, task_modules=("examples.estimate_pi",)) as running:
        yield running


@contextlib.asynccontextmanager
async def dev_server(root: Path, api: System, config: Path = EXAMPLE / "vite.config.js") -> AsyncIterator[str]:
    """The address of Vite's dev server for a folder, which passes the api on as the example does."""
    port = free_port()
    command = ["npx", "--no-install", "vite", str(root), "--config", str(config), "--port", str(port)]
    env = {**packages_environment(), "API": api.url.removesuffix("/graphql")}
    process = await asyncio.create_subprocess_exec(
        *command, "--strictPort", "--host", "127.0.0.1", cwd=ROOT, env=env, start_new_session=True,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while b"ready in" not in (line := await process.stdout.readline()):
                assert line, "Vite ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        await process.wait()


async def sent(page: Page) -> list[str]:
    """The documents that the page subscribes with, as they are sent from now on."""
    documents: list[str] = []

    def note(frame: str | bytes) -> None:
        message = json.loads(frame)
        if message["type"] == "subscribe":
            documents.append(message["payload"]["query"].split("(")[0])

    page.on("websocket", lambda socket: socket.on("framesent", note))
    return documents


async def test_the_example_shows_progress_and_the_result(browser: Browser, api: System) -> None:
    async with dev_server(EXAMPLE, api) as base:
        windows = Windows(browser, base)
        async with windows.open() as page:
            await page.get_by_label("Samples").fill("6000000")
            await page.get_by_role("button", name="Estimate pi").click()
            await expect(page.get_by_role("status")).to_contain_text("RUNNING")
            await expect(page.get_by_role("progressbar")).to_have_attribute("value", re.compile(r"^0\.[1-9]"))
            await expect(page.get_by_text(re.compile(r"pi is about 3\.14"))).to_be_visible()
            await expect(page.get_by_role("progressbar")).to_be_hidden()
        assert windows.faults == []


@pytest.mark.parametrize("example", COMPONENTS)
def test_the_component_of_the_example_has_fewer_than_25_lines_and_is_the_one_of_the_docs(example: str) -> None:
    source = COMPONENTS[example].read_text()
    assert len(source.splitlines()) < 25
    assert f"```tsx\n{source}```" in (ROOT / "docs" / "javascript.md").read_text()


def test_the_configuration_of_the_example_with_next_is_the_one_of_the_page_of_proxies() -> None:
    [block] = blocks("Next.js", "js")
    assert set(block.splitlines()) <= set((NEXT / "next.config.mjs").read_text().splitlines())


async def test_the_hooks_work_with_the_oldest_react(browser: Browser, api: System) -> None:
    installed_environment(REACT_18)
    async with dev_server(HOOKS, api, REACT_18 / "vite.config.js") as base:
        windows = Windows(browser, base)
        async with windows.open("about:blank") as page:
            documents = await sent(page)
            await page.goto(base)
            assert (await page.evaluate("() => reactVersion")).startswith("18.")
            await page.get_by_label("samples").fill("1234567")
            await page.get_by_role("button", name="Run", exact=True).click()
            await expect(page.get_by_test_id("run")).to_have_text("NEW idle has output -")
            await expect(page.locator("ul li")).to_have_text(["SUCCEEDED 1 has output -"] * 2)
            operations = [text.split()[1].partition("(")[0] for text in documents]
            assert [name for name in operations if name != "Changes"] == ["Events", "Result"]
        assert windows.faults == []


async def test_the_hooks_follow_runs_lists_and_uploads(browser: Browser, api: System, tmp_path: Path) -> None:
    async with dev_server(HOOKS, api) as base:
        windows = Windows(browser, base)
        async with windows.open("about:blank") as page:
            documents = await sent(page)
            workers: list[str] = []
            page.on("worker", lambda worker: workers.append(worker.url))
            await page.goto(base)
            tasks = page.locator("ul li")
            await expect(tasks).to_have_text(["unknown - - -"] * 2)
            await page.get_by_role("button", name="Run", exact=True).click()
            await expect(page.get_by_test_id("run")).to_have_text("NEW running - -")
            await expect(tasks).to_have_text(["SUCCEEDED 1 has output -"] * 2)
            await expect(page.get_by_test_id("run")).to_have_text("NEW idle has output -")
            # Three components, and StrictMode's second mounts, share one subscription to each.
            operations = [text.split()[1].partition("(")[0] for text in documents]
            assert [name for name in operations if name != "Changes"] == ["Events", "Result"]
            await page.get_by_role("button", name="Toggle").click()
            await page.get_by_role("button", name="Toggle").click()
            await expect(tasks).to_have_text(["SUCCEEDED 1 has output -"] * 2)
            await page.get_by_role("button", name="Run again").click()
            await expect(page.get_by_test_id("run")).to_have_text("RECOMPUTED running - -")
            await expect(page.get_by_test_id("run")).to_have_text("RECOMPUTED idle has output -")
            await page.get_by_label("samples").fill("-1")
            await page.get_by_role("button", name="Run", exact=True).click()
            await expect(page.get_by_test_id("run")).to_have_text("- idle - BAD_INPUT")
            # The list has followed the runs by itself. It may have one of another test too.
            query = "{ where: { names: ['estimate_pi'] }, first: 2 }"
            states = await page.evaluate(f"() => client.tasks({query}).then((page) => page.tasks.map((t) => t.state))")
            assert states[0] == "SUCCEEDED"
            await expect(page.locator("ol li")).to_have_text(states)
            # Long enough to be hashed in the worker.
            (tmp_path / "long.bin").write_bytes(content := bytes(65_000_000))
            file_id = f"sha256:{hashlib.sha256(content).hexdigest()}"
            for present in ("-", "present"):
                await page.get_by_label("file").set_input_files(tmp_path / "long.bin")
                await expect(page.get_by_test_id("upload")).to_have_text(f"- {file_id} {present} -")
            assert ["hash-worker" in url for url in workers] == [True, True]
        assert windows.faults == []
