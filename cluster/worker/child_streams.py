"""The items of a child whose output is a stream."""

from __future__ import annotations

from typing import Any

from cluster.errors import TaskError
from cluster.store.thread_store import ThreadStore
from cluster.task_types.output_type import OutputType
from cluster.task_types.value_types import StreamSummary


def read_stream(store: ThreadStore, items: OutputType, summary: StreamSummary) -> list[Any]:
    """All items of a stream that has ended.

    Args:
        items: their type.
        summary: the output of the task.

    Raises:
        TaskError: they have expired, or the task is computed again (CHILD_FAILED).
    """
    found: list[Any] = []
    while len(found) < summary.count:
        page = store.run(store.calls.read_items(summary.task_id, summary.attempt, len(found)))
        if page.attempt != summary.attempt or not page.items:
            raise TaskError(
                "CHILD_FAILED",
                f"the child {summary.task_id} has {len(found)} of {summary.count} items any more: its record has "
                "expired meanwhile, or it is computed again",
                task_id=summary.task_id,
            )
        found += map(items.read, page.items)
    return found
