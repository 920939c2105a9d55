"""A whole system whose Redis refuses for some seconds: clients hear that it is unavailable, no process ends, and then
everything goes on that had been accepted: what ran, what is to be retried, and what was to begin later."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.redis_faults import FAULTS, fault, flush_scripts
from tests.system import System

pytestmark = pytest.mark.every_engine("newest")

LATER = "mutation($n: Int!, $at: DateTime!) { it: submitFibonacci(n: $n, options: {notBefore: $at}) { taskId } }"
GATED = "mutation($f: String!, $n: Int!) { it: submitGated(folder: $f, n: $n) { taskId } }"
FAILING = "mutation($f: String!, $n: Int!) { it: submitFailsOnce(folder: $f, n: $n) { taskId } }"
NEW = "mutation($n: Int!) { it: submitFibonacci(n: $n) { taskId } }"
HELD_SECONDS = 3.0
SILENT_SECONDS = 5.0
"""The duration of a fault in which Redis does not answer at all: each request takes two seconds."""
HEALED_SECONDS = 20.0
PARAMETERS = [pytest.param(name, marks=[] if name == "read-only" else pytest.mark.slow) for name in FAULTS]


@dataclass
class Client:
    """Submits and probes while Redis refuses, and records the answers."""

    system: System
    accepted: list[str] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)
    ready: list[tuple[float, int, list[str]]] = field(default_factory=list)

    async def run(self, first: int, end_at: float, settled_at: float) -> None:
        """Works until `end_at`, and until a probe was sent after `settled_at`, which on a busy machine is later."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._submit(first, end_at))
            both.create_task(self._probe(end_at, settled_at))

    async def _submit(self, n: int, end_at: float) -> None:
        while time.monotonic() < end_at:
            answer = await self.system.post(NEW, {"n": n})
            n += 1
            for error in answer.get("errors", ()):
                self.codes.add(error["extensions"]["code"])
            if "errors" not in answer:
                self.accepted.append(answer["data"]["it"]["taskId"])
            await asyncio.sleep(0.05)

    async def _probe(self, end_at: float, settled_at: float) -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            while time.monotonic() < end_at or not any(asked > settled_at for asked, _, _ in self.ready):
                asked = time.monotonic()
                got = await http.get(self.system.url.replace("graphql", "readyz"))
                self.ready.append((asked, got.status_code, [item["part"] for item in got.json()["notReady"]]))
                await asyncio.sleep(0.05)


def processes(system: System) -> set[int]:
    """Every process of the system, including worker processes."""
    found = set()
    for child in system.children.values():
        assert child.process.returncode is None, f"{child.role} has ended"
        process = psutil.Process(child.process.pid)
        found |= {process.pid, *(below.pid for below in process.children(recursive=True))}
    return found


async def submit(system: System, query: str, **variables: Any) -> str:
    return str((await system.ask(query, variables))["it"]["taskId"])


async def healed(system: System) -> None:
    """Returns when every api node reports that it is ready and that nothing is missing."""
    async with asyncio.timeout(HEALED_SECONDS), httpx.AsyncClient(timeout=30) as http:
        for node in range(len(system.ports)):
            url = system.url_of(node).replace("graphql", "readyz")
            while (await http.get(url)).json()["notReady"]:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", PARAMETERS)
async def test_a_system_whose_redis_refuses_says_so_and_then_goes_on_where_it_was(
    name: str, broken: System, tmp_path: Path
) -> None:
    numbers = 1_000 + 100 * list(FAULTS).index(name)
    before = processes(broken)
    running = await submit(broken, GATED, f=str(tmp_path), n=numbers)
    failing = await submit(broken, FAILING, f=str(tmp_path), n=numbers)
    async with asyncio.timeout(20):
        while not (tmp_path / f"begun-{numbers}").exists() or not (tmp_path / f"failed-{numbers}").exists():
            await asyncio.sleep(0.02)
    at = datetime.now(UTC) + timedelta(seconds=2)
    later = await submit(broken, LATER, n=numbers, at=at.isoformat())
    client = Client(broken)
    seconds = SILENT_SECONDS if name in ("loading", "paused") else HELD_SECONDS
    with fault(name, broken.redis):
        began = time.monotonic()
        listening = asyncio.create_task(client.run(numbers + 1, began + seconds, began + 2.5))
        await asyncio.sleep(seconds / 2)
        # The running task ends while Redis refuses.
        (tmp_path / f"gate-{numbers}").touch()
        await listening
        ended = time.monotonic()
    seen = [(status, parts) for asked, status, parts in client.ready if began + 2.5 < asked < ended]
    assert seen
    assert all(status == 503 and "redis" in parts for status, parts in seen), seen
    assert client.codes <= {"SERVICE_UNAVAILABLE"} | ({"STORE_FULL"} if name == "full" else set())
    await healed(broken)
    async with asyncio.timeout(40):
        for task_id, attempts in ((running, {1}), (failing, {2}), (later, {1})):
            got = await broken.result(task_id, "state attempt error { code message }")
            assert (got["state"], got["attempt"] in attempts) == ("SUCCEEDED", True), got
        for task_id in client.accepted:
            assert (await broken.result(task_id))["state"] == "SUCCEEDED"
        # A node may take a full Redis for full for a second longer.
        while "errors" in (answer := await broken.post(NEW, {"n": numbers + 99})):
            assert answer["errors"][0]["extensions"]["code"] == "STORE_FULL"
            await asyncio.sleep(0.1)
        assert (await broken.result(answer["data"]["it"]["taskId"], node=1))["state"] == "SUCCEEDED"
    assert (tmp_path / f"runs-{numbers}").read_text() == "x", "a task whose result waited for Redis ran once"
    assert processes(broken) == before


async def test_a_system_whose_redis_forgets_its_scripts_goes_on(broken: System, tmp_path: Path) -> None:
    before = processes(broken)
    running = await submit(broken, GATED, f=str(tmp_path), n=1)
    async with asyncio.timeout(20):
        while not (tmp_path / "begun-1").exists():
            await asyncio.sleep(0.02)
    flush_scripts(broken.redis)
    (tmp_path / "gate-1").touch()
    assert (await broken.result(running, "state attempt"))["attempt"] == 1
    flush_scripts(broken.redis)
    assert (await broken.result(await submit(broken, NEW, n=77)))["state"] == "SUCCEEDED"
    assert processes(broken) == before
