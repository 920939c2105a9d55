"""The open WebSockets and event streams of one api node: counted by caller, ended when a credential ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Self

from cluster.errors import TooManySubscriptions
from graphql_api.auth.callers import Caller

Close = Callable[[], Coroutine[Any, Any, None]]


class ConnectionRegistry:
    """Args:
    limit: most open at once of one caller, and of one address.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count: Counter[str] = Counter()
        self._open: dict[object, tuple[Caller, Close]] = {}

    @property
    def open(self) -> int:
        """How many have a caller now."""
        return len(self._open)

    def is_full(self, who: str) -> bool:
        """Whether an address or a caller has `limit` sockets already."""
        return self._count[who] >= self._limit

    def require_room(self, who: str) -> None:
        """Raises:
        TooManySubscriptions: this caller has `limit` sockets already.
        """
        if self.is_full(who):
            raise TooManySubscriptions(
                f"{self._limit} sockets of one client are open here, the limit; close some, or share one"
            )

    def slot(self) -> ConnectionSlot:
        """The place of one more socket, to be used by `with`."""
        return ConnectionSlot(self._count, self._open)

    async def end(self, ended: Callable[[Caller], bool]) -> None:
        """Closes the sockets whose caller `ended`."""
        closing = [close() for caller, close in list(self._open.values()) if ended(caller)]
        await asyncio.gather(*closing, return_exceptions=True)


class ConnectionSlot:
    """One open socket's place in the counts. A class of its own, as thousands of them are open."""

    __slots__ = ("_count", "_names", "_open")

    def __init__(self, count: Counter[str], open_: dict[object, tuple[Caller, Close]]) -> None:
        self._count = count
        self._open = open_
        self._names: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def count(self, who: str) -> None:
        """Counts it as one of an address or a caller."""
        self._count[who] += 1
        self._names += (who,)

    def register(self, caller: Caller, close: Close) -> None:
        """Keeps it where `ConnectionRegistry.end` finds it."""
        self._open[self] = (caller, close)

    def __exit__(self, *_: object) -> None:
        self._open.pop(self, None)
        for who in self._names:
            self._count[who] -= 1
            if not self._count[who]:
                del self._count[who]
        self._names = ()
