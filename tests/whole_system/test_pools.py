"""A system of two pools: each has workers of its own, and task types run where they declare."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from cluster.settings.pools import pools
from tests.system import Socket, System

TWO = (
    '{"small": {"memory_gib": 0.3, "max_workers": 1}, '
    '"default": {"memory_gib": 0.5, "min_workers": 1, "max_workers": 1}}'
)


async def run(system: System, field: str) -> str:
    """Runs a task; returns its output."""
    name = field.partition("(")[0]
    selection = "state output error { message }"
    query = f"subscription {{ run{name[0].upper()}{name[1:]}({field.partition('(')[2]} {{ {selection} }} }}"
    async with Socket.open(system.url) as socket:
        [item] = [item async for item in socket.subscribe(query)]
    [task] = item.values()
    assert task["state"] == "SUCCEEDED", task
    return str(task["output"])


@pytest.mark.slow
async def test_each_pool_has_workers_of_its_own_with_its_limits_and_a_full_one_does_not_hold_up_another(
    tmp_path: Path,
) -> None:
    async with System(tmp_path, task_modules=("tests.task_modules.pools",), pools=pools(TWO)) as system:
        assert await run(system, "held(n: 0)") == "small"
        busy = [asyncio.create_task(run(system, f"held(n: {n}, seconds: 2)")) for n in range(1, 4)]
        began = time.monotonic()
        assert await run(system, "elsewhere(n: 0)") == "default"
        assert await run(system, "larger(n: 0)") == "default"
        seconds = time.monotonic() - began
        assert not any(task.done() for task in busy[1:]), f"the pool `small` was still busy, after {seconds:.1f} s"
        # The only worker of the pool waits for the parts of its graph, which run on it.
        assert await run(system, "parts(count: 6)") == str(["small"] * 6)
        assert await asyncio.gather(*busy) == ["small"] * 3
        seen = await system.ask(
            "{ cluster { workers { pool memoryLimitBytes } pools { name memoryGib maxWorkers workers } }"
            " taskTypes { name pool largerPool } }"
        )
        limits = {worker["pool"]: round(worker["memoryLimitBytes"] / 2**30, 2) for worker in seen["cluster"]["workers"]}
        assert limits == {"small": 0.3, "default": 0.5}
        assert seen["cluster"]["pools"] == [
            {"name": "default", "memoryGib": 0.5, "maxWorkers": 1, "workers": 1},
            {"name": "small", "memoryGib": 0.3, "maxWorkers": 1, "workers": 1},
        ]
        of_types = {item["name"]: (item["pool"], item["largerPool"]) for item in seen["taskTypes"]}
        assert (
            of_types.items()
            >= {
                "held": ("small", None),
                "growing": ("small", "default"),
                "larger": ("default", None),
                "elsewhere": ("default", None),
            }.items()
        )
        await moves_to_the_larger_pool(system)


async def moves_to_the_larger_pool(system: System) -> None:
    """A task that is too large for a worker of `small` fits one of `default`."""
    fields = "state output attempt pool attempts { end reason worker }"
    async with Socket.open(system.url) as socket:
        [item] = [item async for item in socket.subscribe(f"subscription {{ runGrowing(gib: 0.4) {{ {fields} }} }}")]
    task = item["runGrowing"]
    assert (task["state"], task["output"], task["attempt"], task["pool"]) == ("SUCCEEDED", "default", 2, "default")
    lost, ended = task["attempts"]
    assert lost["end"] == "LOST"
    assert lost["reason"] == (
        f"it goes on in the pool default: the worker {lost['worker']} took more memory than its limit of 322,122,547 "
        "bytes and was killed at 95% of it while it ran the task"
    )
    assert ended["worker"] != lost["worker"]
