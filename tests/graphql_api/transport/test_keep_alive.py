"""The pings of many sockets are spread over their interval."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from graphql_api.transport.keep_alive import PARTS, KeepAlive


class Session:
    subprotocol = "of a test"
    keep_alive_seconds = 0.01
    acknowledged = True

    def __init__(self, pinged: Counter[Session]) -> None:
        self._pinged = pinged

    async def keep_alive(self) -> None:
        self._pinged[self] += 1


async def test_each_socket_is_pinged_once_in_an_interval_and_few_at_a_time() -> None:
    pinged = Counter[Session]()
    sessions = [Session(pinged) for _ in range(5_000)]
    keep_alive = KeepAlive(cast(Any, Session))
    for session in sessions:
        keep_alive.add(cast(Any, session))
    keep_alive.remove(cast(Any, sessions.pop()))
    largest = before = 0
    for _ in range(PARTS):
        await keep_alive._round()
        largest, before = max(largest, pinged.total() - before), pinged.total()
    assert pinged == dict.fromkeys(sessions, 1)
    assert largest < 500
    # In the next interval in the same order, so that each client has all of it to answer.
    first = next(iter(pinged))
    pinged.clear()
    while not pinged:
        await keep_alive._round()
    assert first in pinged
