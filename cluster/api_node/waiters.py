"""The waiters of each account on one api node: the tasks that its subscriptions wait for, on however many sockets.

Each is a place among the node's subscriptions and a watch key in Redis, so they are counted in task ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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

    @contextmanager
    def slots(self, account: str, count: int = 1) -> Iterator[None]:
        """Counts the waiters of one subscription while it is open.

        Raises:
            TooManySubscriptions: as `add`.
        """
        self.add(account, count)
        try:
            yield
        finally:
            self.remove(account, count)

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
