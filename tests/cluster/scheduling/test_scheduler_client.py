"""How a node finds the scheduler, and follows it when it is replaced."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from distributed import Scheduler

from cluster.scheduling import scheduler_client
from cluster.scheduling.attempt_messages import OPERATION, AttemptBatch
from cluster.scheduling.dask_internals import add_handlers, add_stream_handler
from cluster.scheduling.fair_order import Share
from cluster.scheduling.scheduler_client import LOAD_TOPIC, SchedulerClient
from cluster.scheduling.scheduler_heartbeat import (
    SchedulerHeartbeat,
    read_heartbeat,
    withdraw_heartbeat,
    write_heartbeat,
)
from cluster.scheduling.transport.prompt_send import PromptSend
from cluster.settings import Settings
from cluster.store.async_store import Store
from dask_graphql.dev_system import free_port
from tests.polling import until


async def operations(**_: Any) -> list[str]:
    return [OPERATION]


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
        second = Scheduler(**place)
        received: list[dict[str, Any]] = []
        add_handlers(second, {"dask_graphql_operations": operations})
        add_stream_handler(second, OPERATION, lambda **message: received.append(message))
        await second
        try:
            await receives(second, client, 7)
            assert client.client is dask_client, "this test needs Dask's own reconnection"
            assert isinstance(client.client.scheduler_comm, PromptSend)
            assert (client.load.outstanding, client.load.threads) == (7, 3)
            # The first scheduler took graphs only, as one of an earlier release.
            await until(lambda: client.takes_messages)
            client.send_attempts("gpu", [AttemptBatch("add", 0, Share("acme"), [("0" * 32, 1, b"{}")])])
            await until(lambda: bool(received))
            assert received[0]["pool"] == "gpu"
        finally:
            await client.close()
            await second.close()
    finally:
        await client.close()


async def connects_to(
    client: SchedulerClient, scheduler: Scheduler, store: Store, heartbeat: SchedulerHeartbeat
) -> None:
    """Waits until the client is connected to this scheduler, while there is this heartbeat."""
    async with asyncio.timeout(30):
        while not (client.connected and client.client.scheduler_info(n_workers=0)["address"] == scheduler.address):
            await write_heartbeat(store, heartbeat)
            await asyncio.sleep(0.05)


async def test_the_scheduler_is_found_by_its_heartbeat_whatever_its_name_resolves_to(
    settings: Settings, store: Store
) -> None:
    """As while a resolver remembers that the name does not exist, or the address of the scheduler before. The first
    scheduler goes on running, like one that is cut off."""
    client = SchedulerClient(replace(settings, scheduler="tcp://scheduler.invalid:8786"), store)
    place = {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}
    try:
        async with Scheduler(**place) as first, Scheduler(**place) as second:
            heartbeat = SchedulerHeartbeat("first", first.address)
            await write_heartbeat(store, heartbeat)
            client.start()
            await connects_to(client, first, store, heartbeat)
            await connects_to(client, second, store, SchedulerHeartbeat("second", second.address))
            await withdraw_heartbeat(store, heartbeat)
            found = await read_heartbeat(store)
            assert found is not None, "a scheduler withdraws its own heartbeat alone"
            assert found.address == second.address
            await client.close()
    finally:
        await client.close()


async def test_a_heartbeat_whose_address_cannot_be_reached_from_here_does_not_keep_a_node_from_its_scheduler(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_client, "CONNECT_SECONDS", 1.0)
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        heartbeat = SchedulerHeartbeat("behind a proxy", f"tcp://127.0.0.1:{free_port()}")
        client = SchedulerClient(replace(settings, scheduler=scheduler.address), store)
        client.start()
        try:
            await connects_to(client, scheduler, store, heartbeat)
        finally:
            await client.close()
