"""A result that nobody reads is dropped by its worker, without a message of the scheduler."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from distributed import Client, Scheduler, SchedulerPlugin, Worker, fire_and_forget

from cluster.scheduling.dask_internals import report_seconds
from cluster.scheduling.unused_results import drop_results, forget_dropped


class Tracker(SchedulerPlugin):  # type: ignore[misc]
    """Does what ours does at a Dask task's end."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if finish == "memory":
            forget_dropped(self._scheduler, key, kwargs)


@pytest.mark.parametrize(
    ("worker_drops", "scheduler_knows", "asked_to_free"),
    [(True, True, False), (False, True, True), (True, False, True)],
    ids=["both", "an earlier worker", "an earlier scheduler"],
)
async def test_a_result_that_nobody_reads_leaves_worker_and_scheduler(
    worker_drops: bool, scheduler_knows: bool, asked_to_free: bool
) -> None:
    freed: list[str] = []
    async with (
        asyncio.timeout(20),
        Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler,
        Worker(scheduler.address, nthreads=1, dashboard_address="127.0.0.1:0") as worker,
        Client(scheduler.address, asynchronous=True, set_as_default=False) as client,
    ):
        if worker_drops:
            drop_results(worker)
        if scheduler_knows:
            scheduler.add_plugin(Tracker(scheduler))
        on_free_keys = worker.stream_handlers["free-keys"]

        def record(keys: list[str], **message: Any) -> None:
            freed.extend(keys)
            on_free_keys(keys=keys, **message)

        worker.stream_handlers["free-keys"] = record
        fire_and_forget(client.submit(report_seconds, [0.5], key="unread"))
        while "unread" not in scheduler.task_prefixes or scheduler.tasks or worker.state.tasks or worker.data:
            await asyncio.sleep(0.01)
        # What the scheduler has sent before this task, the worker has handled before it.
        assert await client.submit(int, 7, key="read") == 7
        assert ("unread" in freed) is asked_to_free
        assert scheduler.workers[worker.address].nbytes == scheduler.tasks["read"].nbytes
