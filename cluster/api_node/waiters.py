"""The waiters of each account on one api node: the tasks that its subscriptions wait for, on however many sockets.

Each is a place among the node's subscriptions and a watch key in Redis, so they are counted in task ids.
"""

from __future__ import annotations

from cluster.errors import TooManySubscriptions
from cluster.system.counts import Counts, MakeCounts


class Waiters:
    """Counts waiters.

    Args:
        limit: maximum number per account.
        make_counts: makes the counts.
    """

    def __init__(self, limit: int, make_counts: MakeCounts = lambda _: Counts()) -> None:
        self._limit = limit
        self._count = make_counts("waiters")

    def slots(self, account: str, count: int = 1) -> WaiterSlots:
        """Counts the waiters of one subscription in a `with` block, whose beginning raises what `add` raises."""
        return WaiterSlots(self, account, count)

    def add(self, account: str, count: int = 1) -> None:
        """Counts the waiters of one subscription until `remove`.

        Raises:
            TooManySubscriptions: the account would have more than `limit`.
        """
        open_ = self._count[account]
        if open_ + count > self._limit:
            raise TooManySubscriptions(
                f"your subscriptions on this node wait for {open_} tasks and may wait for {self._limit}; {count} more "
                "are too many",
                limit=self._limit,
            )
        self._count.add(account, count)

    def remove(self, account: str, count: int = 1) -> None:
        """Ends what `add` began."""
        self._count.add(account, -count)


class WaiterSlots:
    """The waiters of one subscription. A class rather than a generator, as thousands of them are open."""

    __slots__ = ("_account", "_count", "_waiters")

    def __init__(self, waiters: Waiters, account: str, count: int) -> None:
        self._waiters = waiters
        self._account = account
        self._count = count

    def __enter__(self) -> None:
        self._waiters.add(self._account, self._count)

    def __exit__(self, *_: object) -> None:
        self._waiters.remove(self._account, self._count)
