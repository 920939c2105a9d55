"""The open WebSockets and event streams of one api node: counted per client, closed when a credential expires."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self

from cluster.errors import TooManySubscriptions
from cluster.system.counts import Counts, MakeCounts
from graphql_api.auth.callers import Caller

Close = Callable[[], Coroutine[Any, Any, None]]


class ConnectionRegistry:
    """Args:
    limit: open connections per caller, and per address, at most.
    make_counts: makes the counts.
    """

    def __init__(self, limit: int, make_counts: MakeCounts = lambda _: Counts()) -> None:
        self._limit = limit
        self._count = make_counts("sockets")
        self._open: dict[object, tuple[Caller, Close]] = {}

    @property
    def open(self) -> int:
        """The number of open connections with an authenticated caller."""
        return len(self._open)

    def is_full(self, client: str) -> bool:
        """Whether an address or a caller has `limit` connections already."""
        return self._count[client] >= self._limit

    def require_room(self, client: str) -> None:
        """Raises:
        TooManySubscriptions: this address or caller has `limit` connections already.
        """
        if self.is_full(client):
            raise TooManySubscriptions(
                f"a client may have {self._limit} connections open at once; close some, or share one"
            )

    def slot(self) -> ConnectionSlot:
        """A slot for one more connection, to be used with `with`."""
        return ConnectionSlot(self._count, self._open)

    def take_slot(self, *clients: str) -> ConnectionSlot:
        """A slot that is counted against an address and a caller, to be released.

        Raises:
            TooManySubscriptions: one of them has `limit` connections already.
        """
        for client in set(clients):
            self.require_room(client)
        slot = self.slot()
        for client in set(clients):
            slot.count(client)
        return slot

    async def end(self, ended: Callable[[Caller], bool]) -> None:
        """Closes the connections of callers for which `ended` is true."""
        closing = [close() for caller, close in list(self._open.values()) if ended(caller)]
        await asyncio.gather(*closing, return_exceptions=True)


class ConnectionSlot:
    """One open connection. A class rather than a generator, as thousands of them are open."""

    __slots__ = ("_count", "_names", "_open")

    def __init__(self, count: Counts, open_: dict[object, tuple[Caller, Close]]) -> None:
        self._count = count
        self._open = open_
        self._names: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def count(self, client: str) -> None:
        """Counts the connection against an address or a caller."""
        self._count.add(client)
        self._names += (client,)

    def register(self, caller: Caller, close: Close) -> None:
        """Registers the connection, so that `ConnectionRegistry.end` can close it."""
        self._open[self] = (caller, close)

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """The connection is closed. Further calls do nothing."""
        self._open.pop(self, None)
        for client in self._names:
            self._count.add(client, -1)
        self._names = ()
