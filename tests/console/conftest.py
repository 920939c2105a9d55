"""A browser and a system for all tests of the console."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.browser import PATIENCE_MILLISECONDS, Windows, need_pages, needed_chromium, started
from tests.console.steps import base_of
from tests.shared_systems import LAST_OF_ITS_SCOPE, SharedSystems
from tests.system import TASKS, System

MODULES: Final = (
    TASKS, "examples.mandelbrot",
    *(f"tests.task_modules.{name}" for name in ("odd", "pictures", "files", "frames", "families")),
)  # fmt: skip

expect.set_options(timeout=PATIENCE_MILLISECONDS)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    need_pages()
    async with started(needed_chromium()) as running:
        yield running


@pytest.fixture
async def pages_system(
    browser: Browser,
    shared_systems: SharedSystems,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[System]:
    """Two api nodes, and one worker, so that tests can hold a task in the queue."""

    def make() -> System:
        return System(
            tmp_path_factory.mktemp("pages"),
            api_nodes=2,
            min_workers=1,
            max_workers=2,
            task_modules=MODULES,
            expose_tracebacks=True,
        )

    system = await shared_systems.started("console", None, make)
    yield system
    # What a test leaves behind, as a failed one does, would take the one worker from the next.
    with contextlib.suppress(httpx.TransportError):
        await system.ask("mutation { cancelTasks(where: {states: [QUEUED, RUNNING]}) { done } }")
    if request.node.stash.get(LAST_OF_ITS_SCOPE, False):
        await shared_systems.stop("console")


@pytest.fixture
async def windows(browser: Browser, pages_system: System) -> AsyncIterator[Windows]:
    """Windows on node 0. At the end, none of them may have logged an error or contacted another origin."""
    opened = Windows(browser, base_of(pages_system))
    yield opened
    assert opened.faults == []
