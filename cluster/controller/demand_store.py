"""Keeps the records of demand in Redis, so that a controller foresees from its start what those before it have seen."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cluster.controller.demand_forecast import DAY_MINUTES, DAYS, DemandRecord
from cluster.errors import StoreUnavailable
from cluster.store.async_store import Store
from cluster.store.replies import hash_fields

logger = logging.getLogger(__name__)

SAVE_SECONDS: Final = 60.0


class DemandStore:
    """The records in one hash: `<day since 1970> <pool>` -> a byte for each minute. A pool has at most DAYS days.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._key = store.calls.demand_key
        self._clock = clock
        self._next_at = float("-inf")

    async def load(self, pools: Iterable[str]) -> dict[str, dict[int, bytes]]:
        """The saved days of pools; deletes those that are too old. Nothing if Redis is unavailable: then demand is
        foreseen from what the controller sees itself."""
        found: dict[str, dict[int, bytes]] = {pool: {} for pool in pools}
        try:
            saved = hash_fields(await self._store.command("HGETALL", self._key))
            today = await self._store.server_milliseconds() // (DAY_MINUTES * 60_000)
            expired = []
            for name, minutes in saved.items():
                day, _, pool = name.decode().partition(" ")
                if not day.isdigit() or int(day) <= today - DAYS:
                    expired.append(name)
                elif pool in found:
                    found[pool][int(day)] = minutes
            if expired:
                await self._store.command("HDEL", self._key, *expired)
        except StoreUnavailable as error:
            logger.debug("earlier demand could not be read: %s", error)
        return found

    async def save(self, records: Mapping[str, DemandRecord]) -> None:
        """Saves the days that have changed, once a minute, and deletes those that are too old."""
        now = self._clock()
        if now < self._next_at:
            return
        self._next_at = now + SAVE_SECONDS
        changed = [(pool, day) for pool, record in records.items() for day in sorted(record.changed)]
        if not changed:
            return
        fields = [part for pool, day in changed for part in (f"{day} {pool}", bytes(records[pool].days[day]))]
        try:
            await self._store.command("HSET", self._key, *fields)
            await self._store.command("HDEL", self._key, *(f"{day - DAYS} {pool}" for pool, day in changed))
        except StoreUnavailable as error:
            logger.debug("demand is saved later: %s", error)
        else:
            for pool, day in changed:
                records[pool].changed.discard(day)
