"""Leases: one holder at a time, however long its work takes."""

from __future__ import annotations

import asyncio
import time

from cluster.store.async_store import Store
from cluster.store.leader_lease import LeaderLease
from tests.polling import until


async def test_a_lease_is_kept_during_work_that_takes_longer_and_is_released_at_its_end(store: Store) -> None:
    first = LeaderLease(store, "test", f"{store.calls.prefix}:lease", "first", seconds=1.0)
    second = LeaderLease(store, "test", f"{store.calls.prefix}:lease", "second", seconds=1.0)
    first.start()
    await until(lambda: first.held)
    second.start()
    # The work takes twice as long as the lease lasts.
    ends = time.monotonic() + 2.0
    while time.monotonic() < ends:
        assert first.held
        assert not second.held
        await asyncio.sleep(0.01)
    await first.close()
    assert not first.held
    await until(lambda: second.held, 2)
    assert (first.term, second.term) == (1, 1)
    await second.close()


async def test_a_lease_that_cannot_be_renewed_is_no_longer_held_once_another_node_can_take_it(store: Store) -> None:
    now = 100.0
    lease = LeaderLease(store, "test", f"{store.calls.prefix}:lease", "a", seconds=6.0, clock=lambda: now)
    await lease.renew()
    now = 105.9
    assert lease.held
    now = 106.0
    assert not lease.held
