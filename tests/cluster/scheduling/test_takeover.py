"""One scheduler serves at a time; the next one, and the workers, know when it is their turn."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest
from distributed import Client, Scheduler, Worker

from cluster.scheduling import scheduler_node
from cluster.scheduling.scheduler_heartbeat import SchedulerHeartbeat, withdraw_heartbeat, write_heartbeat
from cluster.scheduling.scheduler_node import drain, wait_for_turn
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.leader_lease import LeaderLease, Lease
from cluster.worker import scheduler_route
from cluster.worker.scheduler_route import find_scheduler, next_scheduler
from dask_graphql.dev_system import free_port

GATE, ENDED = threading.Event(), list[int]()
OLD, NEW = SchedulerHeartbeat("old", release="v1"), SchedulerHeartbeat("new", release="v1")


def lease_of(store: Store, holder: str) -> Lease:
    return Lease(store, store.calls.scheduler_lease_key, holder, 15.0)


async def test_a_scheduler_waits_until_the_one_that_serves_has_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_node, "POLL_SECONDS", 0.01)
    stop, first = asyncio.Event(), lease_of(store, "first")
    assert await wait_for_turn(first, stop)
    assert await wait_for_turn(lease_of(store, "first"), stop), "the same place, started again: the other has ended"
    second = asyncio.ensure_future(wait_for_turn(lease_of(store, "second"), stop))
    await asyncio.sleep(0.1)
    assert not second.done()
    await first.release()
    assert await asyncio.wait_for(second, 5)
    stop.set()
    assert not await wait_for_turn(first, stop), "asked to stop before its turn came"


async def test_a_scheduler_that_was_silent_for_too_long_learns_that_another_one_serves(store: Store) -> None:
    silent = LeaderLease(store, "scheduling", store.calls.scheduler_lease_key, "silent", seconds=15.0)
    await silent.renew()
    await silent.lease.release()  # as when it expires
    await lease_of(store, "other").hold()
    await silent.renew()
    await asyncio.wait_for(silent.taken(), 1)


@pytest.mark.parametrize(("release", "stays"), [("v1", True), ("v2", False)])
async def test_a_worker_joins_the_next_scheduler_of_its_release_only(store: Store, release: str, stays: bool) -> None:
    await write_heartbeat(store, replace(NEW, release=release))
    assert await next_scheduler(store, "old", "v1", asyncio.Event(), 5) is stays


async def test_a_worker_waits_for_the_next_scheduler_and_gives_up_in_the_end(store: Store) -> None:
    await write_heartbeat(store, OLD)
    waiting = asyncio.ensure_future(next_scheduler(store, "old", "v1", asyncio.Event(), 30))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await withdraw_heartbeat(store, OLD)
    await write_heartbeat(store, NEW)
    assert await asyncio.wait_for(waiting, 5)
    await withdraw_heartbeat(store, NEW)
    assert not await next_scheduler(store, "new", "v1", asyncio.Event(), 0.1)


async def test_a_worker_that_its_living_scheduler_dismissed_does_not_come_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_route, "EPOCH_TTL_SECONDS", 0.0)
    await write_heartbeat(store, OLD)
    assert not await asyncio.wait_for(next_scheduler(store, "old", "v1", asyncio.Event(), 60), 5)


async def test_a_worker_finds_the_scheduler_by_its_heartbeat_and_else_by_its_name(
    settings: Settings, store: Store
) -> None:
    named = replace(settings, scheduler="tcp://127.0.0.1:8786")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    serving = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert (await find_scheduler(named, store)).scheduler == named.scheduler
    await write_heartbeat(store, replace(NEW, address=serving))
    route = await find_scheduler(replace(settings, scheduler="tcp://scheduler.invalid:8786"), store)
    assert (route.scheduler, route.host, route.epoch) == (serving, "127.0.0.1", "new")
    await write_heartbeat(store, replace(OLD, address=f"tcp://127.0.0.1:{free_port()}"))
    assert (await find_scheduler(named, store)).scheduler == named.scheduler, "the heartbeat outlives a scheduler"
    server.close()


def waits(number: int) -> None:
    GATE.wait(30)
    ENDED.append(number)


async def test_a_scheduler_that_stops_lets_running_tasks_end_and_starts_no_other() -> None:
    async with (
        Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler,
        Worker(scheduler.address, nthreads=1) as worker,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        futures = client.map(waits, range(4), pure=False)
        while not worker.state.executing_count:
            await asyncio.sleep(0.01)
        draining = asyncio.ensure_future(drain(scheduler, 20))
        await asyncio.sleep(0.1)
        assert not draining.done()
        GATE.set()
        await draining
        assert 0 < len(ENDED) < len(futures), "what waits is left to the next scheduler"
