"""A lease in Redis: of several candidates one at a time holds it, and another takes over when it falls silent."""

from __future__ import annotations

import logging
from typing import Final

from cluster.errors import StoreUnavailable
from cluster.store.calls import milliseconds
from cluster.store.store import Store

logger = logging.getLogger(__name__)

_RENEW: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Lease:
    """One candidate.

    Args:
        key: of the lease in Redis.
        holder: this candidate's name, unique among candidates.
        seconds: how long a silent holder keeps it.
    """

    def __init__(self, store: Store, key: str, holder: str, seconds: float) -> None:
        self._store = store
        self._key = key
        self._holder = holder
        self._seconds = seconds

    async def hold(self) -> bool:
        """Takes or renews the lease; False where another holds it.

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
            logger.debug("the lease %s was not given back: %s", self._key, error)
