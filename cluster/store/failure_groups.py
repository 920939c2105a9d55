"""Failed tasks, grouped by what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from cluster.store.async_store import Store
from cluster.store.failure_key import failure_of
from cluster.store.record import Record, TaskState
from cluster.store.task_filter import TaskFilter
from cluster.store.task_search import CHUNK, SCANNED_BYTES, SCANNED_TASKS, searched_records

EXAMPLES: Final = 5
"""Task ids that a group names."""


@dataclass(slots=True)
class FailureGroup:
    """Failed tasks of one task type, with one code and one message, but for the numbers in it.

    Attributes:
        key: of the group, for `TaskFilter.failure_group`; the same on every node.
        error_type: the class of the exception; None if there was none.
        message: the first line of the newest one's.
        task_ids: the newest ones, the latest submitted first.
        newest_at: when the newest one ended, milliseconds since 1970.
    """

    key: str
    name: str
    code: str
    error_type: str | None
    message: str
    newest_at: int
    count: int = 0
    task_ids: list[str] = field(default_factory=list)


def group_failures(records: Iterable[Record]) -> list[FailureGroup]:
    """Groups failed tasks, the largest group first.

    Args:
        records: the latest submitted first; those that have not failed are left out.
    """
    groups: dict[str, FailureGroup] = {}
    for record in records:
        failure = failure_of(record)
        if failure is None:
            continue
        ended_at = record.finished_at or 0
        group = groups.setdefault(
            failure.key,
            FailureGroup(failure.key, failure.name, failure.code, failure.error_type, failure.message, ended_at),
        )
        group.count += 1
        group.newest_at = max(group.newest_at, ended_at)
        if len(group.task_ids) < EXAMPLES:
            group.task_ids.append(record.task_id)
    return sorted(groups.values(), key=lambda group: (-group.count, -group.newest_at, group.name, group.code))


async def read_failures(
    store: Store, wanted: TaskFilter, matches: Callable[[Record], bool], tenant: str | None = None
) -> list[FailureGroup]:
    """Groups the failed tasks that a filter means, of the SCANNED_TASKS that were submitted last.

    Args:
        matches: whether a record meets the conditions and may be found.
        tenant: only tasks of this tenant.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    failed = wanted.narrowed(TaskFilter(states=frozenset({TaskState.FAILED})))
    positions = await store.list_tasks(SCANNED_TASKS, wanted=failed, tenant=tenant)
    found: list[Record] = []
    size = 0
    for start in range(0, len(positions), CHUNK):
        ids = [task_id for _, task_id in positions[start : start + CHUNK]]
        for record in await searched_records(store, ids, inputs=wanted.text is not None):
            if record is not None and record.state is TaskState.FAILED and matches(record):
                found.append(record)
            size += 0 if record is None else len(record.input)
        if size >= SCANNED_BYTES:
            break
    return group_failures(found)
