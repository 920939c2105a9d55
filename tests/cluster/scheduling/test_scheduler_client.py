"""The link to the scheduler: what it hears goes on after Dask's client has reconnected by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from distributed import Scheduler

from cluster.scheduling.attempt_tracker import TOPIC
from cluster.scheduling.scheduler_client import SchedulerLink
from cluster.settings import Settings
from dask_graphql.dev_system import free_port


async def hears(scheduler: Scheduler, link: SchedulerLink, outstanding: int) -> None:
    """Returns when the link has heard what this scheduler tells."""
    async with asyncio.timeout(30):
        while link.load.outstanding != outstanding:
            scheduler.log_event(TOPIC, {"outstanding": outstanding, "threads": 3, "durations": {}})
            await asyncio.sleep(0.05)


async def test_the_load_is_heard_again_after_a_scheduler_came_back_on_its_address(settings: Settings) -> None:
    port = free_port()
    link = SchedulerLink(replace(settings, scheduler=f"tcp://127.0.0.1:{port}"), hears_load=True)
    place = {"host": "127.0.0.1", "port": port, "dashboard_address": "127.0.0.1:0"}
    first = await Scheduler(**place)
    link.start()
    try:
        await hears(first, link, 3)
        client = link.client
        await first.close()
        link.load.outstanding = 99
        second = await Scheduler(**place)
        try:
            await hears(second, link, 7)
            assert link.client is client, "Dask's own reconnection was to be seen"
            assert link.client.scheduler_comm.interval < 0.002
            assert (link.load.outstanding, link.load.threads) == (7, 3)
        finally:
            await link.close()
            await second.close()
    finally:
        await link.close()
