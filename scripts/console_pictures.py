"""Takes the pictures of the console in docs/images/: of every page, wide in light and dark, and on a phone.

    make pictures

It starts a system of its own with the examples, runs tasks of which some fail, and stops it again: about a minute on an
idle machine. Pages that the bar of the console links to are found there, so a new one needs no change here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.async_api import Browser, Page, Route

from dask_graphql.dev_system import free_port
from tests.browser import needed_chromium, started

WIDE: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
SHOTS: Final = (("", WIDE, "light"), ("-dark", WIDE, "dark"), ("-phone", PHONE, "light"))
PATIENCE_SECONDS: Final = 180
SETTLED_MILLISECONDS: Final = 600
"""For pictures, charts and figures that a page has no mark for."""

FAILING: Final = '''
"""A task that fails, for a picture."""

import logging

from dask_graphql import task

log = logging.getLogger(__name__)
FEATURES = {"age": [41.0], "income": [52_000.0]}


def load(name: str) -> list[float]:
    return FEATURES[name]


@task
def train_model(features: list[str], epochs: int = 10) -> float:
    """Trains a model on some features."""
    print(f"epochs: {epochs}")
    log.warning("no cache for %s", ", ".join(features))
    return sum(sum(load(name)) for name in features) / epochs
'''

SENTENCES: Final = (
    "The train to Berlin leaves at noon", "Der Zug nach Berlin fährt um zwölf", "Le train pour Berlin part à midi",
    "El tren a Berlín sale a mediodía", "Il treno per Berlino parte a mezzogiorno",
)  # fmt: skip

SCHEDULES: Final = (
    'nightly: setSchedule(name: "nightly-model", schedule: {task: "train_model", '
    'input: {features: ["age"], epochs: 20}, cron: "30 2 * * *", timeZone: "Europe/Berlin"}) { name }',
    'weather: setSchedule(name: "weather", schedule: {task: "month_of_weather", input: {year: 2026, month: 11}, '
    'everySeconds: 15, tags: ["report"]}) { name }',
    'ran: runSchedule(name: "weather") { taskId }',
    'weekly: setSchedule(name: "weekly-mail", schedule: {task: "guess_language", input: {text: "Guten Morgen"}, '
    'cron: "0 7 * * 1", timeZone: "Europe/Paris", overlap: CANCEL_PREVIOUS}) { name }',
    'paused: pauseSchedule(name: "weekly-mail") { name }',
)
"""Mutations that make the page of schedules."""


@contextlib.contextmanager
def running_system() -> Iterator[str]:
    """The address of a system with tasks in every state; it is stopped at the end."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "churn", "train.py")
        module.parent.mkdir()
        module.write_text(FAILING)
        command = [
            sys.executable, "-P", "-m", "dask_graphql", "dev", "examples.mandelbrot", "examples.languages",
            "examples.seasons", str(module), "--port", str(port), "--data-dir", str(Path(folder, "data")),
            "--max-workers", "2", "--no-reload",
        ]  # fmt: skip
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            until(lambda: httpx.get(f"{base}/readyz").is_success, base)
            run_tasks(base)
            yield base
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def until(holds: Any, what: str) -> None:
    """Waits until a question is answered with yes."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if holds():
                return
        time.sleep(0.5)
    raise TimeoutError(f"{what} is not ready after {PATIENCE_SECONDS} s")


def ask(base: str, query: str) -> dict[str, Any]:
    """What the api returns for an operation, without credentials."""
    response = httpx.post(f"{base}/graphql", json={"query": query}, timeout=30)
    data: dict[str, Any] = response.raise_for_status().json()["data"]
    return data


def run_tasks(base: str) -> None:
    """Runs tasks that succeed and that fail, and waits for their ends."""
    texts = [f'text{at}: submitGuessLanguage(text: {json.dumps(text)}, options: {{tags: ["mail"]}}) {{ taskId }}'
             for at, text in enumerate(SENTENCES)]  # fmt: skip
    numbers = [f'n{n}: submitFibonacci(n: {n}, options: {{tags: ["nightly"]}}) {{ taskId }}' for n in range(80, 100)]
    models = [
        f'm{epochs}: submitTrainModel(features: ["age", "postcode"], epochs: {epochs}, '
        'options: {tags: ["churn"]}) { taskId }'
        for epochs in (5, 10, 20)
    ]
    years = ["year: submitYearOfWeather(year: 2025) { taskId }"]
    ask(base, f"mutation {{ {' '.join([*numbers, *texts, *models, *years])} picture: submitMandelbrot {{ taskId }} }}")
    ask(base, f"mutation {{ {' '.join(SCHEDULES)} }}")
    open_tasks = "{ tasks(first: 1, where: {states: [QUEUED, RUNNING]}) { nodes { taskId } } }"
    until(lambda: not ask(base, open_tasks)["tasks"]["nodes"], "the last task")


def newest(base: str, where: str) -> str:
    """The id of the newest task that a filter means."""
    nodes = ask(base, f"{{ tasks(first: 1, where: {{{where}}}) {{ nodes {{ taskId }} }} }}")["tasks"]["nodes"]
    return f"tasks/{nodes[0]['taskId']}"


async def settle(page: Page) -> None:
    """Waits until a page shows what it has asked for."""
    await page.locator("main").get_by_role("heading").first.wait_for()
    await page.locator("main .loading, main [aria-busy=true]").first.wait_for(state="detached")
    await page.wait_for_timeout(SETTLED_MILLISECONDS)


async def refuse(route: Route) -> None:
    """Answers as an api that needs a credential."""
    if route.request.method != "POST":
        await route.fallback()
        return
    error = {"message": "a credential is needed", "extensions": {"code": "UNAUTHENTICATED"}}
    await route.fulfill(status=401, json={"errors": [error]})


async def sign_in_page(page: Page, base: str) -> None:
    """Opens the page that asks for a key."""
    await page.route("**/graphql", refuse)
    await page.goto(f"{base}/")
    await page.get_by_label("API key or token").wait_for()


async def graphiql(page: Page, base: str) -> None:
    """Opens GraphiQL and runs its first example."""
    await page.goto(f"{base}/graphql")
    await page.locator(".graphiql-query-editor .view-lines").get_by_text("mutation").first.wait_for()
    await page.locator(".graphiql-execute-button").click()
    await page.locator(".result-window .view-lines").get_by_text("taskId").first.wait_for()
    await page.wait_for_timeout(SETTLED_MILLISECONDS)


@contextlib.asynccontextmanager
async def window(browser: Browser, size: Any, scheme: Any) -> AsyncIterator[Page]:
    context = await browser.new_context(
        viewport=size, color_scheme=scheme, locale="en-GB", timezone_id="Europe/Berlin", reduced_motion="reduce"
    )
    context.set_default_timeout(60_000)
    yield await context.new_page()
    await context.close()


async def take(browser: Browser, base: str, folder: Path) -> None:
    """Takes all pictures, in one window for each size and scheme."""
    own = {
        "": newest(base, 'names: ["mandelbrot"]'),
        "-failed": newest(base, "states: [FAILED]"),
        "-family": newest(base, 'names: ["year_of_weather"]'),
        "-schedule": "schedules/nightly-model",
        "-type": "types/mandelbrot",
        "-cluster": "cluster?period=15m",
    }
    for suffix, size, scheme in SHOTS:
        async with window(browser, size, scheme) as page:
            await page.goto(base)
            await settle(page)
            links = await page.locator(".mainnav a").evaluate_all("all => all.map(link => link.getAttribute('href'))")
            linked = {f"-{link[2:]}": link[2:] for link in links if link.startswith("#/")}
            for name, path in (linked | own).items():
                await page.goto(f"{base}/#/{path}")
                await settle(page)
                await page.screenshot(path=folder / f"console{name}{suffix}.png")
            await graphiql(page, base)
            await page.screenshot(path=folder / f"graphiql{suffix}.png")
            await sign_in_page(page, base)
            await page.screenshot(path=folder / f"console-sign-in{suffix}.png")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    with running_system() as base:
        async with started(needed_chromium()) as browser:
            await take(browser, base, folder)


if __name__ == "__main__":
    asyncio.run(main())
