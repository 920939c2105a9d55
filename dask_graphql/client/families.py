"""The tasks that a task has submitted, and those that have submitted it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from dask_graphql.client.errors import Refused
from dask_graphql.client.task_list import NODE, TaskList, to_summary

CHILDREN_PAGE: Final = 200
"""Children per request at most, as the api allows."""

Query: TypeAlias = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""Reads the selected fields of a task; None if the api does not know it."""


async def read_children(query: Query, task_id: str, first: int | None) -> TaskList:
    """The tasks that a task's latest run has submitted. Raises as `AsyncHandle.children`."""
    found, skip = TaskList(), 0
    while first is None or len(found) < first:
        wanted = CHILDREN_PAGE if first is None else min(CHILDREN_PAGE, first - len(found))
        task = _known(await query(f"childCount children(first: {wanted}, skip: {skip}) {{ {NODE} }}"), task_id)
        # A page may be shorter: some have expired, or belong to others.
        found += map(to_summary, task["children"])
        skip += wanted
        if skip >= task["childCount"]:
            break
    return found


async def read_parents(query: Query, task_id: str) -> TaskList:
    """The tasks that have submitted a task's latest run. Raises as `AsyncHandle.parents`."""
    task = _known(await query(f"parents {{ {NODE} }}"), task_id)
    return TaskList(map(to_summary, task["parents"]))


def _known(task: Mapping[str, Any] | None, task_id: str) -> Mapping[str, Any]:
    if task is None:
        raise Refused("TASK_NOT_FOUND", f"{task_id} was never submitted, or its record has expired")
    return task
