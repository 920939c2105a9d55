"""Whether Redis is nearly full, so that submissions are refused before Redis refuses writes.

With `noeviction`, a Redis that has reached `maxmemory` refuses the writes of tasks that run too: their results would be
lost, and every caller would be affected. So the last tenth of the memory is left to tasks that were accepted before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from cluster.errors import StoreUnavailable
from cluster.store.async_store import Store

logger = logging.getLogger(__name__)

FULL_FRACTION: Final = 0.9
"""The part of `maxmemory` beyond which submissions are refused."""
MAX_AGE_SECONDS: Final = 1.0
"""How long a measurement is used."""


class StoreMemory:
    """The memory of Redis, as one api node has measured it last. Without `maxmemory` it is never full."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._measured_at = float("-inf")
        self._full = False

    async def is_full(self) -> bool:
        """Whether Redis uses more than FULL_FRACTION of its `maxmemory`, measured at most MAX_AGE_SECONDS ago."""
        now = self._clock()
        if now - self._measured_at > MAX_AGE_SECONDS:
            self._measured_at = now
            try:
                used, limit = await self._store.memory()
            except StoreUnavailable as error:
                # The submission itself meets it again. A server that forbids INFO is never full.
                logger.debug("the memory of Redis is unknown: %s", error)
                return self._full
            full = limit > 0 and used > FULL_FRACTION * limit
            if full and not self._full:
                logger.warning("Redis uses %d of %d bytes (maxmemory): new tasks are refused", used, limit)
            self._full = full
        return self._full
