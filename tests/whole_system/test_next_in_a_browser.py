"""The example with Next.js in a real browser, as a developer serves it and as it is deployed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.async_api import Browser, expect

from dask_graphql.dev_system import free_port
from tests.browser import PATIENCE_MILLISECONDS, Windows, needed_chromium, started
from tests.node import packages_environment
from tests.outside import missing
from tests.places import ROOT
from tests.proxies import TRANSPORTS, running
from tests.system import System

EXAMPLE: Final = ROOT / "examples" / "web-next"

expect.set_options(timeout=PATIENCE_MILLISECONDS)

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with started(needed_chromium()) as chromium:
        yield chromium


@pytest.fixture(scope="module")
async def environment() -> dict[str, str]:
    """The environment of Next.js, once its packages and this clone's are installed."""
    env = {**packages_environment(), "NEXT_TELEMETRY_DISABLED": "1"}
    done = await command(["npm", "ci", "--no-audit", "--no-fund"], env)
    assert "EUSAGE" not in done.stderr, done.stderr  # the lock does not fit the packages
    if done.returncode != 0:
        missing(f"the packages of examples/web-next cannot be installed: {done.stderr.strip()[-300:]}")
    return env


@pytest.fixture(scope="module")
async def api(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("next")
    async with System(
        folder, min_workers=1, max_workers=1, task_modules=("examples.estimate_pi",), trusted_proxies="127.0.0.1"
    ) as system:
        yield system


async def command(words: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, words, cwd=EXAMPLE, env=env, check=False, capture_output=True, text=True, timeout=200
    )


@contextlib.asynccontextmanager
async def served(mode: str, api: System, env: dict[str, str], folder: Path) -> AsyncIterator[str]:
    """The address of the example, by `next dev`, or by `next start` once it is built."""
    env = {**env, "API": api.url.removesuffix("/graphql")}
    if mode == "start":
        built = await command(["npm", "run", "build"], env)
        assert built.returncode == 0, built.stdout + built.stderr
    port = free_port()
    program = str(EXAMPLE / "node_modules" / "next" / "dist" / "bin" / "next")
    # By this name, as `next dev` serves its scripts to no other one unless it is told to.
    words = ["node", program, mode, str(EXAMPLE), "--port", str(port), "--hostname", "localhost"]
    async with running(words, port, folder, env, "localhost"):
        yield f"http://localhost:{port}"


@pytest.mark.parametrize("mode", ["dev", "start"])
async def test_the_example_shows_progress_and_the_result(
    browser: Browser, api: System, environment: dict[str, str], tmp_path: Path, mode: str
) -> None:
    async with served(mode, api, environment, tmp_path) as base:
        windows = Windows(browser, base)
        async with windows.open() as page:
            await page.get_by_label("Samples").fill({"dev": "6000000", "start": "6000001"}[mode])
            await page.get_by_role("button", name="Estimate pi").click()
            await expect(page.get_by_role("status")).to_contain_text("RUNNING")
            await expect(page.get_by_role("progressbar")).to_have_attribute("value", re.compile(r"^0\.[1-9]"))
            await expect(page.get_by_text(re.compile(r"pi is about 3\.14"))).to_be_visible()
            await expect(page.get_by_role("progressbar")).to_be_hidden()
            assert await page.evaluate(TRANSPORTS, "/") == [200, "connection_ack", ["clusterChanges"], 200]
        assert windows.faults == []
        async with httpx.AsyncClient(base_url=base) as client:
            # More than what Next.js passes on unless it is told to.
            uploaded = await client.post("/files", content=mode.encode() * 3_000_000)
            assert uploaded.status_code == 201
            query = {"query": "{ __typename }"}
            forged = await client.post("/graphql", json=query, headers={"X-Forwarded-Host": "evil.example"})
            assert forged.status_code == 200  # Next.js replaces it


async def test_the_example_has_no_errors_of_types(environment: dict[str, str]) -> None:
    checked = await command(["npm", "run", "--silent", "check"], environment)
    assert checked.returncode == 0, checked.stdout
