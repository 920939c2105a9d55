"""The time by Redis's clock, as a node can know it without a round trip."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

MAX_DRIFT: Final = 0.0005
"""How fast two clocks may drift apart, as a share of the time that passes: the most that NTP corrects."""
STEP_MILLISECONDS: Final = 1_000.0
"""A larger difference is not drift: one of the clocks was set, or another server answers."""


class RedisClock:
    """An upper bound of the time by Redis's clock, learned from replies that contain its time.

    The server read its clock after the request was sent, so the reply with the shortest way to the server gives the
    tightest bound.
    """

    def __init__(self) -> None:
        self._offset = math.inf
        self._observed_at = 0.0

    def observe(self, sent_at: float, server_time: int) -> None:
        """Learns from a reply.

        Args:
            sent_at: when the request was sent, by `time.monotonic`.
            server_time: the time in the reply, milliseconds since 1970.
        """
        # The server's time is rounded down to a millisecond.
        latest = server_time + 1
        known = self.latest(sent_at)
        if latest <= known or latest > known + STEP_MILLISECONDS:
            self._offset, self._observed_at = latest - sent_at * 1000, sent_at

    def latest(self, now: float) -> float:
        """Returns the latest that Redis's clock may show at a time of `time.monotonic`, milliseconds since 1970;
        infinity if nothing is known."""
        return self._offset + now * 1000 + MAX_DRIFT * 1000 * max(0.0, now - self._observed_at)


class ShardClocks:
    """A clock for each shard: in a cluster, the tasks of a shard have the times of its primary."""

    def __init__(self) -> None:
        self._clocks: defaultdict[str, RedisClock] = defaultdict(RedisClock)

    def observe(self, task_id: str, sent_at: float, server_time: int) -> None:
        """Learns from a reply about a task, as `RedisClock.observe`."""
        self._clocks[task_id[0]].observe(sent_at, server_time)

    def latest(self, task_id: str, now: float) -> float:
        """As `RedisClock.latest`, of the task's shard."""
        return self._clocks[task_id[0]].latest(now)
