"""Lists of tasks, and the lines that a task has printed or logged, as a client reads them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dask_graphql.client.html import tasks_html

PAGE: Final = 100
"""Tasks per request at most, as the api allows."""

NODE: Final = """taskId name state progress attempt tags submittedAt startedAt finishedAt
      error { code type message } waiting { reason ahead etaSeconds }"""
"""What a `TaskSummary` is made of."""
TASKS: Final = f"""query($first: Int, $after: String, $where: TaskFilter) {{
  tasks(first: $first, after: $after, where: $where) {{
    nodes {{ {NODE} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""


@dataclass(frozen=True)
class Waiting:
    """Why a task waits.

    Attributes:
        reason: QUEUED_BEHIND, NO_WORKER, LAUNCHING, NOT_BEFORE, RETRY, LIMIT, PAUSED or SCHEDULER_AWAY.
        ahead: number of tasks that wait for the same and come first; None if that is not known.
        eta_seconds: expected time until it starts; of NOT_BEFORE and RETRY, until its time has come. None without a
            basis.
    """

    reason: str
    ahead: int | None = None
    eta_seconds: float | None = None

    def __str__(self) -> str:
        ahead = "" if self.ahead is None else f", {self.ahead} ahead"
        return self.reason + ahead + ("" if self.eta_seconds is None else f", about {self.eta_seconds:.0f} s")


@dataclass(frozen=True)
class TaskSummary:
    """A task in a list.

    Attributes:
        progress: from 0 to 1; None if unknown.
        submitted_at, started_at, finished_at: in UTC; None if it has not happened.
        tags: those of the submission that began the task's current run, or the last one.
        error: `code`, `type` and `message` of a task that failed or was cancelled; else None.
        waiting: why a QUEUED task waits; else None.
    """

    task_id: str
    name: str
    state: str
    progress: float | None
    attempt: int
    submitted_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    error: Mapping[str, Any] | None
    tags: tuple[str, ...] = ()
    waiting: Waiting | None = None


class TaskList(list[TaskSummary]):
    """Tasks, in the order of the method that returned them; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        return tasks_html(self)


def to_summary(node: Mapping[str, Any]) -> TaskSummary:
    """A task in the response to TASKS."""
    submitted_at = _time(node["submittedAt"])
    assert submitted_at is not None
    return TaskSummary(
        node["taskId"], node["name"], node["state"], node["progress"], node["attempt"], submitted_at,
        _time(node["startedAt"]), _time(node["finishedAt"]), node["error"], tuple(node["tags"]),
        to_waiting(node["waiting"]),
    )  # fmt: skip


def to_waiting(node: Mapping[str, Any] | None) -> Waiting | None:
    """Why a task waits, in a response."""
    return None if node is None else Waiting(node["reason"], node["ahead"], node["etaSeconds"])


def _time(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)
