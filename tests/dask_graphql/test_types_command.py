"""`dask-graphql types`: what is paused, as an api node and its recall see it."""

from __future__ import annotations

import asyncio

from click.testing import CliRunner, Result

from cluster.api_node.cancellation import Cancellations
from cluster.api_node.paused_types import PausedTypes, Recalls
from cluster.scheduling.scheduler_client import SchedulerClient
from cluster.settings import Settings
from cluster.store.async_store import Store
from dask_graphql.cli import command


async def test_a_paused_type_is_listed_and_what_the_scheduler_has_not_started_is_taken_back(
    settings: Settings, store: Store
) -> None:
    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner(env=settings.environment()).invoke, command, ("types", *words))

    changes: list[frozenset[str]] = []
    paused = PausedTypes(store, lambda: changes.append(paused.names))
    cancellations = Cancellations(SchedulerClient(settings))
    recalls = Recalls(store, paused, cancellations, lambda: True)
    task_ids = [f"{n:x}{n:031x}" for n in range(16)]
    await store.run_many([store.calls.submit(task_id, "fibonacci", "1", b"{}") for task_id in task_ids])
    await store.run(store.calls.start(task_ids[0], 1, "w"))

    assert (await run("list")).output == "fibonacci  -  -\n"
    assert (await run("pause", "fibonacci")).exit_code == 0
    assert "fibonacci  -  paused 20" in (await run("list")).output
    paused.loop.start()
    while not changes:
        await asyncio.sleep(0.01)
    assert await recalls._recall("fibonacci") == 15
    assert set(cancellations.outboxes[0].waiting) == {(task_id, 1) for task_id in task_ids[1:]}
    assert await recalls._recall("fibonacci") == 0

    assert (await run("resume", "fibonacci")).exit_code == 0
    paused.on_broadcast("paused")
    async with asyncio.timeout(10):
        while paused.names:
            await asyncio.sleep(0.01)
    await paused.loop.close()
    assert (await run("resume", "fibonacci")).exit_code == 2
    assert (await run("pause", "Fibonacci")).exit_code == 2
