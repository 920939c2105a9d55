"""The lines that a task prints and logs: those that are kept, and those to come, resumable by their numbers."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from dask_graphql.client.errors import Refused
from dask_graphql.client.events import FINAL_STATES
from dask_graphql.client.http_transport import HttpTransport
from dask_graphql.client.resumed import resumed
from dask_graphql.client.websocket_transport import WebSocketTransport

FIELDS: Final = "number at attempt dropped level text"
LOGS: Final = f"query($id: ID!, $after: Int) {{ task(taskId: $id) {{ state logs(after: $after) {{ {FIELDS} }} }} }}"
FOLLOW: Final = f"subscription($id: ID!, $after: Int) {{ taskLogs(taskId: $id, after: $after) {{ {FIELDS} }} }}"


@dataclass(frozen=True)
class LogLine:
    """A line that a task has printed or logged.

    Attributes:
        number: from 1 within the task; numbers jump where lines were dropped.
        at: when it was written, in UTC.
        attempt: the attempt that wrote it.
        level: such as INFO, which printed lines have too.
        dropped: how many lines between the one before and this one were dropped.
    """

    number: int
    at: datetime.datetime
    attempt: int
    level: str
    text: str
    dropped: int = 0


def to_log_line(node: Mapping[str, Any]) -> LogLine:
    """A line in a response."""
    at = datetime.datetime.fromisoformat(node["at"])
    return LogLine(node["number"], at, node["attempt"], node["level"], node["text"], node["dropped"])


async def read_lines(http: HttpTransport, task_id: str, after: int) -> tuple[str, list[LogLine]]:
    """The state of a task, and its lines after the one with the number `after` that are kept.

    Raises:
        Refused: TASK_NOT_FOUND if the api does not know the task.
        ApiUnavailable: the api does not respond.
    """
    task = (await http.execute(LOGS, {"id": task_id, "after": after}))["task"]
    if task is None:
        raise Refused("TASK_NOT_FOUND", f"{task_id} was never submitted, or its record has expired")
    return task["state"], [to_log_line(line) for line in task["logs"]]


async def follow_lines(
    websocket: WebSocketTransport, http: HttpTransport, task_id: str, after: int
) -> AsyncGenerator[LogLine, None]:
    """Yields every line after the one with the number `after`, until the task has ended.

    Raises:
        Refused, ApiUnavailable: as for `read_lines`.
    """
    last = after

    def accept(payload: Mapping[str, Any]) -> LogLine:
        nonlocal last
        line = to_log_line(payload)
        last = line.number
        return line

    def variables() -> dict[str, Any]:
        return {"id": task_id, "after": last}

    while True:
        state, lines = await read_lines(http, task_id, last)
        for line in lines:
            last = line.number
            yield line
        if state in FINAL_STATES:
            return
        # It completes with the task, and also if its api node stops.
        coming = resumed(websocket, FOLLOW, "taskLogs", variables, accept)
        async with aclosing(coming) as stream:
            async for line in stream:
                yield line
