"""Two schedulers, each with a fleet of its own, share the tasks by shards; one of them may be away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.store.keys import scheduler_of
from cluster.task_types.task_id import canonical_json, task_id
from tests.system import System

pytestmark = pytest.mark.slow

SCHEDULERS = "{ cluster { schedulers { number connected workers } workers { name finished } } }"
PROBLEMS = "{ cluster { schedulers { connected } problems { message } } }"
SUBMIT = "mutation($inputs: [AddInput!]!) { submitAddMany(inputs: $inputs) { taskId } }"


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[System]:
    async with System(tmp_path, schedulers=2, min_workers=1, max_workers=1) as running:
        yield running


def of_scheduler(number: int, name: str, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those inputs whose tasks belong to a scheduler."""
    return [each for each in inputs if scheduler_of(task_id(name, "1", canonical_json(each)), 2) == number]


async def add(system: System, inputs: list[dict[str, Any]]) -> list[str]:
    """Submits `add`, and returns the ids."""
    submitted = await system.ask(SUBMIT, {"inputs": inputs})
    return [each["taskId"] for each in submitted["submitAddMany"]]


async def states(system: System, ids: list[str]) -> set[str]:
    fields = " ".join(f't{i}: task(taskId: "{each}") {{ state }}' for i, each in enumerate(ids))
    return {each["state"] for each in (await system.ask(f"{{ {fields} }}")).values()}


async def ended(system: System, ids: list[str]) -> set[str]:
    async with asyncio.timeout(60):
        return {(await system.result(each))["state"] for each in ids}


async def test_while_a_scheduler_is_away_the_tasks_of_the_other_run_and_its_own_run_after_its_restart(
    two: System, tmp_path: Path
) -> None:
    inputs = [{"a": n, "b": 5} for n in range(40)]
    assert await ended(two, await add(two, inputs[:12])) == {"SUCCEEDED"}
    seen = (await two.ask(SCHEDULERS))["cluster"]
    assert seen["schedulers"] == [{"number": number, "connected": True, "workers": 1} for number in (0, 1)]
    assert [worker["finished"] > 0 for worker in seen["workers"]] == [True, True]

    folder = tmp_path / "gate"
    folder.mkdir()
    gated = of_scheduler(1, "gated", [{"folder": str(folder), "n": n} for n in range(8)])[0]
    submit = "mutation($folder: String!, $n: Int!) { submitGated(folder: $folder, n: $n) { taskId } }"
    running = (await two.ask(submit, gated))["submitGated"]["taskId"]
    async with asyncio.timeout(20):
        while await states(two, [running]) != {"RUNNING"}:
            await asyncio.sleep(0.05)
    await two.kill("scheduler1")

    theirs, others = [await add(two, of_scheduler(number, "add", inputs[12:])) for number in (1, 0)]
    assert await ended(two, others) == {"SUCCEEDED"}
    assert await states(two, theirs) == {"QUEUED"}
    async with httpx.AsyncClient() as client:
        ready = (await client.get(two.url.replace("/graphql", "/readyz"))).json()
    assert (ready["ready"], ready["scheduler"]) == (True, False)
    assert [each["part"] for each in ready["notReady"]] == ["scheduler 1"]
    seen = (await two.ask(PROBLEMS))["cluster"]
    assert [each["connected"] for each in seen["schedulers"]] == [True, False]
    assert "scheduler 1" in seen["problems"][0]["message"]

    (folder / f"gate-{gated['n']}").touch()
    await two.start("scheduler", 1)
    assert await ended(two, [*theirs, running]) == {"SUCCEEDED"}
