"""The events of one task, resumable by their sequence number."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from dask_graphql.client.resumed import resumed
from dask_graphql.client.websocket_transport import WebSocketTransport

FINAL_STATES: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})

QUERY: Final = """subscription($id: ID!, $after: Int) {
  taskEvents(taskId: $id, afterSeq: $after) { seq kind state attempt at progress message data }
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
        message: what the task reported with its progress, or why it was retried, lost or ended.
        data: what the task reported with its progress for programs, if the event reports any.
    """

    seq: int
    kind: str
    state: str
    attempt: int
    at: datetime.datetime
    progress: float | None
    message: str | None
    data: Any = None


async def follow(websocket: WebSocketTransport, task_id: str, after_seq: int) -> AsyncGenerator[Event, None]:
    """Yields every event after `after_seq`, up to the final one.

    Raises:
        Refused, ApiUnavailable: the events cannot be read.
    """
    last_seq, ended = after_seq, False

    def accept(payload: Mapping[str, Any]) -> Event | None:
        nonlocal last_seq, ended
        event = Event(**{**payload, "at": datetime.datetime.fromisoformat(payload["at"])})
        if event.seq <= last_seq:
            return None
        last_seq, ended = event.seq, event.state in FINAL_STATES
        return event

    events = resumed(
        websocket, QUERY, "taskEvents", lambda: {"id": task_id, "after": last_seq}, accept, ended=lambda: ended
    )
    async with aclosing(events):
        async for event in events:
            yield event
