"""Keeps the virtual clocks of the shards together, so that turns of different shards can be compared.

Each shard has a clock per priority, which the script `start` advances: no script could read another shard's. The holder
of the recovery lease advances those that are behind, twice a second. In between, a clock that is behind gives the next
task of an idle account an earlier turn than it would have, never a later one.
"""

from __future__ import annotations

from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.record_queries import members


async def align_clocks(store: Store) -> None:
    """Advances every clock to the latest of its priority.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    keys = [store.calls.clocks_key(digit) for digit in SHARDS]
    replies = await store.commands([("ZRANGE", key, 0, -1, "WITHSCORES") for key in keys])
    clocks = [{member: float(score) for member, score in members(reply)} for reply in replies]
    latest: dict[bytes, float] = {}
    for clock in clocks:
        for priority, time in clock.items():
            latest[priority] = max(time, latest.get(priority, 0.0))
    behind = [
        ("ZADD", key, "GT", repr(time), priority)
        for key, clock in zip(keys, clocks, strict=True)
        for priority, time in latest.items()
        if clock.get(priority, 0.0) < time
    ]
    await store.commands(behind)
