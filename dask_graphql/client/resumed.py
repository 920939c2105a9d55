"""A subscription that goes on where it was: after a lost connection, and after its reader was too slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from dask_graphql.client.errors import ClientError, refusal
from dask_graphql.client.subscription import Subscription
from dask_graphql.client.websocket_transport import WebSocketTransport

BUFFER: Final = 256
"""Items buffered for a slow reader. When it is full, the subscription is closed and resumed once they are read."""

T = TypeVar("T")


async def resumed(
    websocket: WebSocketTransport,
    query: str,
    field: str,
    variables: Callable[[], dict[str, Any]],
    accept: Callable[[Mapping[str, Any]], T | None],
    *,
    ended: Callable[[], bool] | None = None,
) -> AsyncGenerator[T, None]:
    """Yields what a subscription delivers.

    Args:
        field: the subscription's root field.
        variables: called at each start, so that it resumes after what was accepted last.
        accept: makes what is yielded of an item, and remembers the place; None for one that was received before.
        ended: whether everything was accepted. If it is not, a `complete` message of the api means that its node
            stopped. None: the message says that everything was delivered.

    Raises:
        Refused, ApiUnavailable: the items cannot be read.
    """
    buffer: deque[T] = deque()
    more = asyncio.Event()
    completed, paused = False, False
    failure: ClientError | None = None

    def on_data(data: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]) -> None:
        nonlocal failure, paused
        more.set()
        payload = data.get(field)
        if payload is None:
            failure = refusal(errors)
            return
        item = accept(payload)
        if item is None:
            return
        buffer.append(item)
        if len(buffer) >= BUFFER and not (ended and ended()):
            # Later ones stay with the api until there is room here.
            paused = True
            websocket.close_subscription(subscription)

    def on_end(error: ClientError | None) -> None:
        nonlocal completed, failure
        completed, failure = True, error
        more.set()

    subscription = Subscription(query, variables, on_data=on_data, on_end=on_end, complete=ended or (lambda: True))
    websocket.open(subscription)
    try:
        while True:
            while buffer:
                yield buffer.popleft()
            if failure is not None:
                raise failure
            if completed or (ended and ended()):
                return
            if paused:
                paused = False
                websocket.open(subscription)
            more.clear()
            await more.wait()
    finally:
        websocket.close_subscription(subscription)
