"""The open WebSockets and event streams of one api node: counted by caller, ended when a credential ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from cluster.errors import TooManySubscriptions
from graphql_api.auth.callers import Caller

Close = Callable[[], Coroutine[Any, Any, None]]


class Sockets:
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

    def full(self, who: str) -> bool:
        """Whether an address or a caller has `limit` sockets already."""
        return self._count[who] >= self._limit

    def check(self, who: str) -> None:
        """Raises:
        TooManySubscriptions: this caller has `limit` sockets already.
        """
        if self.full(who):
            raise TooManySubscriptions(
                f"{self._limit} sockets of one client are open here, the limit; close some, or share one"
            )

    @contextlib.contextmanager
    def counted(self, who: str) -> Iterator[None]:
        """Counts one socket of an address or a caller while it is open."""
        self._count[who] += 1
        try:
            yield
        finally:
            self._count[who] -= 1
            if not self._count[who]:
                del self._count[who]

    @contextlib.contextmanager
    def held(self, caller: Caller, close: Close) -> Iterator[None]:
        """Keeps one socket where `end` finds it."""
        place = object()
        self._open[place] = (caller, close)
        try:
            yield
        finally:
            del self._open[place]

    async def end(self, ended: Callable[[Caller], bool]) -> None:
        """Closes the sockets whose caller `ended`."""
        closing = [close() for caller, close in list(self._open.values()) if ended(caller)]
        await asyncio.gather(*closing, return_exceptions=True)
