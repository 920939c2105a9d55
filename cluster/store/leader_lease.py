"""Leases in Redis: one of several candidates holds a lease, and another takes over when the holder falls silent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from cluster.errors import StoreUnavailable
from cluster.store.async_store import Store
from cluster.store.call_builder import milliseconds
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 6.0
"""How long a silent holder keeps a lease; another candidate takes over within 10 s of its death."""
RENEW_SECONDS: Final = 0.5
"""How often the holder renews it, and every other candidate tries to take it."""

_RENEW: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Lease:
    """One candidate's access to a lease in Redis.

    Args:
        key: key of the lease.
        holder: this candidate's name, unique among candidates.
        seconds: how long a silent holder keeps it.
    """

    def __init__(self, store: Store, key: str, holder: str, seconds: float) -> None:
        self._store = store
        self._key = key
        self._holder = holder
        self._seconds = seconds

    async def hold(self) -> bool:
        """Takes or renews the lease. Returns False if another candidate holds it.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        span = milliseconds(self._seconds)
        return bool(await self._store.command("EVAL", _RENEW, 1, self._key, self._holder, span))

    async def release(self) -> None:
        """Lets another candidate take over at once."""
        try:
            await self._store.command("EVAL", _RELEASE, 1, self._key, self._holder)
        except StoreUnavailable as error:
            logger.debug("the lease %s was not released: %s", self._key, error)


class LeaderLease:
    """A lease that is renewed beside the work that it protects, since one step of the work may outlast it.

    Without Redis, no candidate can renew or take the lease, and `held` turns false by itself.

    Args:
        service: what the holder does: the name of the loop, and for logs.
        key: key of the lease in Redis.
        holder: this candidate's name, unique among candidates.
        seconds: how long a silent holder keeps it.
        clock: seconds since any fixed moment.

    Attributes:
        term: incremented each time this candidate becomes the holder.
        held_elsewhere: whether another candidate held it when Redis last answered.
        lease: this candidate's access to the lease.
    """

    def __init__(
        self,
        store: Store,
        service: str,
        key: str,
        holder: str,
        *,
        seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.term = 0
        self.held_elsewhere = False
        self._service = service
        self.lease = Lease(store, key, holder, seconds)
        self._seconds = seconds
        self._clock = clock
        self._held_until = float("-inf")
        self._acquired, self._taken = asyncio.Event(), asyncio.Event()
        self.loop = BackgroundLoop(f"{service} lease", self.renew, pause_seconds=RENEW_SECONDS)

    @property
    def held(self) -> bool:
        """Whether this candidate holds the lease now, so that no other can."""
        return self._clock() < self._held_until

    async def acquired(self) -> None:
        """Returns once this candidate holds the lease."""
        while not self.held:
            self._acquired.clear()
            await self._acquired.wait()

    async def taken(self) -> None:
        """Returns once another candidate was seen to hold the lease."""
        await self._taken.wait()

    def start(self) -> None:
        """Starts to take and renew the lease."""
        self.loop.start()

    async def close(self) -> None:
        """Stops, and lets another candidate take over at once."""
        await self.loop.close()
        if self.held:
            self._held_until = float("-inf")
            await self.lease.release()

    async def renew(self) -> None:
        """Takes or renews the lease once.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        # The lease counts from before the request: Redis counts from a later moment.
        asked_at, before = self._clock(), self.held
        held = await self.lease.hold()
        if held and not before:
            self.term += 1
            logger.info("this node takes over: %s", self._service)
        elif before and not held:
            logger.info("another node has taken over: %s", self._service)
        self._held_until = asked_at + self._seconds if held else float("-inf")
        self.held_elsewhere = not held
        (self._acquired if held else self._taken).set()
