"""The scheduler client still receives the load after Dask's client has reconnected by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from distributed import Scheduler

from cluster.scheduling.scheduler_client import LOAD_TOPIC, SchedulerClient
from cluster.settings import Settings
from dask_graphql.dev_system import free_port


async def receives(scheduler: Scheduler, client: SchedulerClient, outstanding: int) -> None:
    """Waits until the client has received a load that this scheduler publishes."""
    async with asyncio.timeout(30):
        while client.load.outstanding != outstanding:
            scheduler.log_event(LOAD_TOPIC, {"outstanding": outstanding, "threads": 3, "durations": {}})
            await asyncio.sleep(0.05)


async def test_the_load_is_received_again_after_the_scheduler_restarted_on_its_address(settings: Settings) -> None:
    port = free_port()
    client = SchedulerClient(replace(settings, scheduler=f"tcp://127.0.0.1:{port}"), subscribe_to_load=True)
    place = {"host": "127.0.0.1", "port": port, "dashboard_address": "127.0.0.1:0"}
    first = await Scheduler(**place)
    client.start()
    try:
        await receives(first, client, 3)
        dask_client = client.client
        await first.close()
        client.load.outstanding = 99
        second = await Scheduler(**place)
        try:
            await receives(second, client, 7)
            assert client.client is dask_client, "this test needs Dask's own reconnection"
            assert client.client.scheduler_comm.interval < 0.002
            assert (client.load.outstanding, client.load.threads) == (7, 3)
        finally:
            await client.close()
            await second.close()
    finally:
        await client.close()
