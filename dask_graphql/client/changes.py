"""Changes of the tasks that a filter means, as they happen, resumable by their cursors."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from dask_graphql.client.resumed import resumed
from dask_graphql.client.task_list import NODE, TaskSummary, to_summary
from dask_graphql.client.websocket_transport import WebSocketTransport

QUERY: Final = f"""subscription($where: TaskFilter!, $after: String) {{
  tasksChanged(where: $where, after: $after) {{
    cursor reset matches kind state taskId seq at task {{ {NODE} }}
  }}
}}"""


@dataclass(frozen=True)
class Change:
    """One change of a task.

    Attributes:
        cursor: to resume after it.
        reset: earlier changes may have been missed: read the list of tasks now. Such an item has no task, and what
            follows is None; every later change is delivered.
        matches: whether the task meets the filter after the change; if not, it did before.
        kind: QUEUED, STARTED, PROGRESS, RETRY, LOST, SUCCEEDED, FAILED or CANCELLED.
        state: the task's state after the change.
        seq: number of the task's event.
        at: when it happened, in UTC.
        task: the task as it is now, which may be ahead of the change; None if it has expired.
    """

    cursor: str
    reset: bool
    matches: bool = False
    kind: str | None = None
    state: str | None = None
    task_id: str | None = None
    seq: int | None = None
    at: datetime.datetime | None = None
    task: TaskSummary | None = None


async def follow_changes(
    websocket: WebSocketTransport, where: Mapping[str, Any] | None, after: str | None
) -> AsyncGenerator[Change, None]:
    """Yields changes without end.

    Raises:
        Refused, ApiUnavailable: the changes cannot be read.
    """
    wanted, last = to_filter(where or {}), after

    def accept(payload: Mapping[str, Any]) -> Change:
        nonlocal last
        last = payload["cursor"]
        return _to_change(payload)

    while True:
        changes = resumed(websocket, QUERY, "tasksChanged", lambda: {"where": wanted, "after": last}, accept)
        async with aclosing(changes):
            async for change in changes:
                yield change
        # Only an api node that stops ends this subscription.


def to_filter(where: Mapping[str, Any]) -> dict[str, Any]:
    """A `TaskFilter` with GraphQL's names: those of Python are accepted too, and times as `datetime`."""
    return {
        _camel(name): value.isoformat() if isinstance(value, datetime.datetime) else value
        for name, value in where.items()
        if value is not None
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _to_change(payload: Mapping[str, Any]) -> Change:
    if payload["reset"]:
        return Change(payload["cursor"], reset=True)
    task = payload["task"]
    return Change(
        payload["cursor"],
        reset=False,
        matches=payload["matches"],
        kind=payload["kind"],
        state=payload["state"],
        task_id=payload["taskId"],
        seq=payload["seq"],
        at=datetime.datetime.fromisoformat(payload["at"]),
        task=None if task is None else to_summary(task),
    )
