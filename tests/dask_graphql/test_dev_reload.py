"""`dask-graphql dev` with task modules that change while it runs."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from cluster.settings import load_settings
from cluster.system.child_processes import start_child, stop_children
from dask_graphql import dev_reload
from dask_graphql.dev_reload import Prober, snapshot, with_neighbours
from dask_graphql.dev_system import free_port
from tests.places import ROOT
from tests.system import Socket


@pytest.fixture
async def prober(tmp_path: Path) -> AsyncIterator[Prober]:
    settings = load_settings({}, task_modules=(f"{tmp_path}/tasks",), data_dir=tmp_path / "data")
    made = Prober(settings, (tmp_path / "reload.log").open("ab"))
    yield made
    await made.close()


TASKS = "import colorsys\nimport helper\nfrom dask_graphql import task\n@task\ndef one(n: int) -> int: return n\n"


async def test_a_check_reports_the_files_of_the_modules_and_what_else_they_import(
    prober: Prober, tmp_path: Path
) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "helper.py").write_text("print('loud at import')\n")
    result = await prober.check()
    assert result.error == ""
    assert result.files == [str(tmp_path / "helper.py"), str(tmp_path / "tasks.py")]
    assert "colorsys" in result.others
    assert (tmp_path / "reload.log").read_text() == "loud at import\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x = 1\nx = y\n", r"NameError: name 'y' is not defined\n.*tasks\.py\", line 2.*\n.*\n.*helper\.py\", line 2"),
        ("x = (\n", r"helper\.py\", line 1\n.*x = \(\n.*\nSyntaxError"),
        ("import os\nos._exit(7)\n", r"end the process that imports them \(exit code 7\)"),
    ],
)
async def test_a_check_says_in_which_line_a_module_is_wrong(
    prober: Prober, tmp_path: Path, text: str, error: str
) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "helper.py").write_text(text)
    assert re.search(error, (await prober.check()).error)


async def test_a_module_that_never_ends_its_import_is_given_up(
    prober: Prober, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev_reload, "IMPORT_SECONDS", 0.5)
    (tmp_path / "tasks.py").write_text("while True: pass\n")
    assert "not imported within 0.5 s" in (await prober.check()).error


def test_a_missing_neighbour_is_watched_for(tmp_path: Path) -> None:
    file = tmp_path / "tasks.py"
    file.touch()
    before = snapshot(with_neighbours([str(file)]))
    (tmp_path / "helper.py").touch()
    assert snapshot(with_neighbours([str(file)])) != before
    file.unlink()
    assert snapshot([str(file)]) == {str(file): None}


# The whole system -----------------------------------------------------------------------------------------------------

MODULE = """
    import os, time
    import dask
    from dask_graphql import Graph, task
    from helper import FACTOR

    @task
    def times(n: int) -> int:
        print("times", n)
        return n * FACTOR

    def part(n: int) -> int:
        return n * FACTOR

    @task
    def total(n: int) -> Graph[int]:
        return dask.delayed(sum)([dask.delayed(part)(i) for i in range(n)])

    @task
    def wait(path: str) -> int:
        while not os.path.exists(path):
            time.sleep(0.05)
        return FACTOR
"""


class Dev:
    """A system that `dask-graphql dev primes.py` has started in a folder without any environment variable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/graphql"
        self.client = httpx.AsyncClient(timeout=30)

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    async def ask(self, query: str) -> Any:
        for _ in range(100):
            try:
                return (await self.client.post(self.url, json={"query": query})).json()["data"]
            except (httpx.TransportError, KeyError):
                await asyncio.sleep(0.05)
        raise AssertionError(self.output)

    async def submit(self, mutation: str) -> str:
        return str((await self.ask(f"mutation {{ task: {mutation} {{ taskId }} }}"))["task"]["taskId"])

    async def task(self, task_id: str, fields: str = "") -> dict[str, Any]:
        values = " ".join(f"... on {name}Result {{ value }}" for name in ("Times", "Total", "Wait"))
        query = f'{{ task(taskId: "{task_id}") {{ state attempt version result {{ {values} }} {fields} }} }}'
        return dict((await self.ask(query))["task"])

    async def value(self, mutation: str) -> int:
        """The result of a task that is submitted now."""
        return await self.result(await self.submit(mutation))

    async def result(self, task_id: str) -> int:
        found: dict[str, Any] = {}

        async def ended() -> bool:
            found.update(await self.task(task_id))
            return str(found["state"]) == "SUCCEEDED"

        await until(ended)
        return int(found["result"]["value"])

    async def save(self, text: str, said: str) -> None:
        """Writes the helper, and returns when the terminal has one line more that begins so."""
        before = self.output.count(said)
        (self.folder / "helper.py").write_text(text)

        async def reported() -> bool:
            return self.output.count(said) > before

        await until(reported)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Dev]:
    made = Dev(tmp_path)
    (tmp_path / "primes.py").write_text(dedent(MODULE))
    (tmp_path / "helper.py").write_text("FACTOR = 2\n")
    command = [
        sys.executable, "-P", "-m", "dask_graphql", "dev", f"{tmp_path}/primes.py", "--port", str(made.port),
        "--max-workers", "1", "--data-dir", str(made.data),
    ]  # fmt: skip
    with (tmp_path / "output").open("wb") as output:
        child = await start_child("dev", command, environment={"PYTHONPATH": str(ROOT)}, output=output)
    try:

        async def ready() -> bool:
            assert child.process.returncode is None, made.output
            return "ready http" in made.output

        await until(ready)
        yield made
    finally:
        await made.client.aclose()
        await stop_children([child], 10)


@pytest.mark.slow
async def test_each_change_of_a_file_is_served_and_a_broken_one_changes_nothing(dev: Dev) -> None:
    assert f"--url http://127.0.0.1:{dev.port}" in dev.output
    assert await dev.value("submitTimes(n: 10)") == 20
    [log] = dev.data.glob("logs/worker-*.log")
    assert re.search(r" stdout taskId=\w{32} attempt=1: times 10$", log.read_text(), re.MULTILINE)

    # An edit, for tasks and for the parts of graphs; sockets are closed so that clients come back.
    async with Socket.open(dev.url) as socket:
        await dev.save("FACTOR = 3\n", "reloaded   helper.py in ")
        await socket.connection.wait_closed()
        assert socket.connection.close_code == 1012
    assert await dev.value("submitTimes(n: 10)") == 30
    assert await dev.value("submitTotal(n: 4)") == 18

    # A broken one.
    await dev.save("FACTOR =\n", "not reloaded: helper.py has an error")
    assert 'helper.py", line 1' in dev.output
    reload = (await dev.ask("{ cluster { reload { count error } } }"))["cluster"]["reload"]
    assert reload["count"] == 1
    assert 'helper.py", line 1' in reload["error"]
    assert await dev.value("submitTimes(n: 11)") == 33

    # Work that runs is requeued uncounted, and its result is of the new code: not for the version before.
    held = dev.folder / "go"
    waiting = await dev.submit(f'submitWait(path: "{held}")')

    async def runs() -> bool:
        return str((await dev.task(waiting))["state"]) == "RUNNING"

    await until(runs)
    await dev.save("FACTOR = 4\n", "reloaded   helper.py in ")
    assert (await dev.ask("{ cluster { reload { count error } } }"))["cluster"]["reload"] == {"count": 2, "error": None}
    held.touch()
    assert await dev.result(waiting) == 4
    assert (await dev.task(waiting))["attempt"] == 2
    assert await dev.value("submitTimes(n: 10)") == 40
    await dev.save("FACTOR = 3\n", "reloaded   helper.py in ")
    assert await dev.submit(f'submitWait(path: "{held}")') == waiting, "the version before, again"
    assert await dev.result(waiting) == 3
