"""The events of one task, resumable by their sequence number."""

from __future__ import annotations

import asyncio
import datetime
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dask_graphql.client.errors import ClientError, refusal
from dask_graphql.client.subscription import Subscription
from dask_graphql.client.websocket_transport import WebSocketTransport

BUFFER: Final = 256
"""Events buffered for a slow reader. When it is full, the subscription is closed and resumed once they are read."""

FINAL_STATES: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})

QUERY: Final = """subscription($id: ID!, $after: Int) {
  taskEvents(taskId: $id, afterSeq: $after) { seq kind state attempt at progress message }
}"""


@dataclass(frozen=True)
class Event:
    """One change of a task.

    Attributes:
        seq: its number, from 1 within the task.
        kind: QUEUED, STARTED, PROGRESS, RETRY, LOST, SUCCEEDED, FAILED or CANCELLED.
        state: the task's state after it.
        attempt: number of the newest try to run the task.
        at: time of the change, in UTC.
        progress: from 0 to 1, if the event reports it.
    """

    seq: int
    kind: str
    state: str
    attempt: int
    at: datetime.datetime
    progress: float | None
    message: str | None


async def follow(websocket: WebSocketTransport, task_id: str, after_seq: int) -> AsyncGenerator[Event, None]:
    """Yields every event after `after_seq`, up to the final one.

    Raises:
        Refused, ApiUnavailable: the events cannot be read.
    """
    buffer: deque[Event] = deque()
    more = asyncio.Event()
    last_seq, ended, paused = after_seq, False, False
    failure: ClientError | None = None

    def on_data(data: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]) -> None:
        nonlocal last_seq, ended, failure, paused
        more.set()
        payload = data.get("taskEvents")
        if payload is None:
            failure = refusal(errors)
            return
        event = Event(**{**payload, "at": datetime.datetime.fromisoformat(payload["at"])})
        if event.seq <= last_seq:
            return
        last_seq, ended = event.seq, event.state in FINAL_STATES
        buffer.append(event)
        if len(buffer) >= BUFFER and not ended:
            # Later events stay in the api's event log until there is room here.
            paused = True
            websocket.close_subscription(subscription)

    def on_end(error: ClientError | None) -> None:
        nonlocal failure
        failure = error
        more.set()

    subscription = Subscription(
        QUERY, lambda: {"id": task_id, "after": last_seq}, on_data=on_data, on_end=on_end, complete=lambda: ended
    )
    websocket.open(subscription)
    try:
        while True:
            while buffer:
                yield buffer.popleft()
            if failure is not None:
                raise failure
            if ended:
                return
            if paused:
                paused = False
                websocket.open(subscription)
            more.clear()
            await more.wait()
    finally:
        websocket.close_subscription(subscription)
