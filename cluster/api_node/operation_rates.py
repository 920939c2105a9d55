"""How many operations each caller may send to an api node, counted in memory: refusing one costs no round trip."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cluster.api_node.policy_cache import PolicyCache
from cluster.system.counts import CountTable

MAX_BUCKETS: Final = 10_000
"""Callers whose rates are remembered; beyond it the one is forgotten that has sent nothing for longest."""


class OperationRates:
    """A token bucket for each caller: as many operations at once as in a minute.

    Args:
        limit: operations per minute of a caller; 0 for no limit. A tenant's policy takes its place.
        clock: the time, seconds.
        shared: has the buckets if several processes share them.
    """

    def __init__(
        self,
        limit: int,
        policies: PolicyCache,
        clock: Callable[[], float] = time.monotonic,
        shared: CountTable | None = None,
    ) -> None:
        self._limit = limit
        self._policies = policies
        self._clock = clock
        self._shared = shared
        self._buckets: dict[str, tuple[float, float]] = {}

    def limit_of(self, account: str) -> int:
        """Operations per minute of each caller of an account; 0 for no limit."""
        limit = self._policies.of(account).operations_per_minute
        return self._limit if limit is None else limit

    def take(self, caller: str, account: str) -> float:
        """Takes one token of a caller's bucket. Returns 0, or the seconds until there is one."""
        limit = self.limit_of(account)
        if not limit:
            return 0.0
        now = self._clock()
        if self._shared is not None:
            return self._shared.take_token(f"operations {caller}", limit, now)
        tokens, at = self._buckets.pop(caller, (float(limit), now))
        tokens = min(limit, tokens + (now - at) * limit / 60)
        is_taken = tokens >= 1
        self._buckets[caller] = tokens - is_taken, now  # the newest last, also if it is refused
        if len(self._buckets) > MAX_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return 0.0 if is_taken else (1 - tokens) * 60 / limit
