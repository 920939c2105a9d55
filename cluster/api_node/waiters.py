"""The waiters of each account on one api node: the tasks that its subscriptions wait for, on however many sockets.

Each is a place among the node's subscriptions and a watch key in Redis, so they are counted in task ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from cluster.errors import TooManySubscriptions


class Waiters:
    """Counts waiters.

    Args:
        limit: maximum number per account.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count: Counter[str] = Counter()

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
            self._discard_zero(account)
            raise TooManySubscriptions(
                f"your subscriptions on this node wait for {open_} tasks and may wait for {self._limit}; {count} more "
                "are too many",
                limit=self._limit,
            )
        self._count[account] = open_ + count

    def remove(self, account: str, count: int = 1) -> None:
        """Ends what `add` began."""
        self._count[account] -= count
        self._discard_zero(account)

    def _discard_zero(self, account: str) -> None:
        if not self._count[account]:
            del self._count[account]
