"""Adds up what the workers cost, day by day, in Redis."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from cluster.errors import StoreUnavailable
from cluster.store.async_store import Store

logger = logging.getLogger(__name__)

ADD_SECONDS: Final = 10.0
"""How often the costs are added up."""


class CostLedger:
    """The ledger of one controller; only the one that leads adds to it. One that takes over goes on where the last one
    has stopped (add_cost.lua), so no second counts twice, and none is left out.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._next_at = float("-inf")
        self.today = 0.0
        """What today, in UTC, has cost until the last call of `add`, in US dollars."""

    async def add(self, per_hour: float | None) -> None:
        """Adds the time since the last call of any controller, if it is due.

        Args:
            per_hour: what the workers cost now, in US dollars; None if they cost nothing or it is not known: then
                nothing is added.
        """
        now = self._clock()
        if per_hour is None or now < self._next_at:
            return
        self._next_at = now + ADD_SECONDS
        try:
            self.today = await self._store.run(self._store.calls.add_cost(per_hour))
        except StoreUnavailable as error:
            logger.debug("the costs are added up later: %s", error)
