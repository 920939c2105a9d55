"""How many tasks of a list were submitted when: counted from the lists alone, without reading a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.record import TaskState
from cluster.store.record_queries import members
from cluster.store.task_filter import TaskFilter

MAX_BUCKETS: Final = 120
"""Spans of a histogram. In each shard that is one ZCOUNT for each span, list, and list of failed tasks: at most 2,400
for a filter with the most lists, some milliseconds."""


@dataclass(frozen=True, slots=True)
class TaskSpan:
    """Tasks that were submitted at `since` or later and before `until`, in milliseconds since 1970."""

    since: int
    until: int
    count: int
    failed: int


async def count_spans(store: Store, wanted: TaskFilter, spans: int, tenant: str | None) -> list[TaskSpan]:
    """Counts the tasks that a filter wants, by when they were submitted, in spans of the same length; none if there
    is no task, or no time. Records that have expired and are not pruned yet are counted too.

    Args:
        wanted: conditions that the lists decide. Without `since`, the first span begins with the oldest task; without
            `until`, the last one ends now.
        spans: how many, at most MAX_BUCKETS.
        tenant: only tasks of this tenant.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    lists = wanted.lists
    failed = [(state, name) for state, name in lists if state is TaskState.FAILED]
    failed += [(TaskState.FAILED, name) for state, name in lists if state is None]
    since, until = wanted.since, wanted.until
    if until is None:
        until = await store.server_milliseconds() + 1
    if since is None:
        keys = [store.calls.index_key(digit, state, name, tenant) for digit in SHARDS for state, name in lists]
        oldest = [
            score
            for reply in await store.commands([("ZRANGE", key, 0, 0, "WITHSCORES") for key in keys])
            for _, score in members(reply)
        ]
        if not oldest:
            return []
        since = int(min(oldest))
    if until <= since:
        return []
    length = max(1, -(-(until - since) // spans))
    calls = [
        store.calls.count_buckets(digit, since, length, spans, lists, failed, tenant) for digit in SHARDS
    ]  # fmt: skip
    shards = await store.run_many(calls)
    totals = [sum(column) for column in zip(*shards, strict=True)]
    return [TaskSpan(since + i * length, since + (i + 1) * length, totals[i], totals[spans + i]) for i in range(spans)]
