"""The events of one task, resumable by their number."""

from __future__ import annotations

import asyncio
import datetime
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dask_graphql.client.errors import ClientError, refusal
from dask_graphql.client.websocket_transport import Session, Subscription

BUFFER: Final = 256
"""Most events that wait here for a slow reader; the rest is asked for again when it has read these."""

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
        progress: the share done, 0 to 1, where the event tells it.
    """

    seq: int
    kind: str
    state: str
    attempt: int
    at: datetime.datetime
    progress: float | None
    message: str | None


async def follow(session: Session, task_id: str, after_seq: int) -> AsyncGenerator[Event, None]:
    """Every event after `after_seq`, until the final one.

    Raises:
        Refused, ApiUnavailable: the events cannot be had.
    """
    buffer: deque[Event] = deque()
    more = asyncio.Event()
    heard, ended, parked = after_seq, False, False
    failure: ClientError | None = None

    def on_data(data: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]) -> None:
        nonlocal heard, ended, failure, parked
        more.set()
        told = data.get("taskEvents")
        if told is None:
            failure = refusal(errors)
            return
        event = Event(**{**told, "at": datetime.datetime.fromisoformat(told["at"])})
        if event.seq <= heard:
            return
        heard, ended = event.seq, event.state in FINAL_STATES
        buffer.append(event)
        if len(buffer) >= BUFFER and not ended:
            # Bounded: what comes next stays in the api's log until there is room.
            parked = True
            session.close_subscription(subscription)

    def on_end(error: ClientError | None) -> None:
        nonlocal failure
        failure = error
        more.set()

    subscription = Subscription(
        QUERY, lambda: {"id": task_id, "after": heard}, on_data=on_data, on_end=on_end, complete=lambda: ended
    )
    session.open(subscription)
    try:
        while True:
            while buffer:
                yield buffer.popleft()
            if failure is not None:
                raise failure
            if ended:
                return
            if parked:
                parked = False
                session.open(subscription)
            more.clear()
            await more.wait()
    finally:
        session.close_subscription(subscription)
