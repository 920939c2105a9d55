"""Which tasks a task has submitted, and which ones have submitted it."""

from __future__ import annotations

from typing import Final

from cluster.store.actor import Actor
from cluster.store.child_calls import CHILD_ACTOR
from cluster.store.record import Record
from cluster.store.record_queries import RecordQueries

SHOWN_PARENTS: Final = 50
"""How many parents are read; a run may have up to 1,000."""


async def children_of(store: RecordQueries, record: Record, first: int, skip: int) -> list[str]:
    """The ids of the tasks that a task's latest run has submitted, in their order."""
    key = store.calls.children_key(record.task_id, record.submitted_at)
    return [item.decode() for item in await store.command("ZRANGE", key, skip, skip + first - 1)] if first else []


async def count_children(store: RecordQueries, record: Record) -> int:
    """How many they are."""
    return int(await store.command("ZCARD", store.calls.children_key(record.task_id, record.submitted_at)))


async def parents_of(store: RecordQueries, record: Record) -> list[str]:
    """The ids of the tasks that have submitted a task's latest run, while it was open."""
    fields = await store.command("HKEYS", store.calls.record_key(record.task_id))
    names = [field.decode().removeprefix("by:") for field in fields if field.startswith(b"by:")]
    first = Actor.parse(record.submitted_by)
    found = dict.fromkeys(
        name.removeprefix(CHILD_ACTOR).partition(":")[0]
        for name in [first.name if first else "", *names]
        if name.startswith(CHILD_ACTOR)
    )
    return list(found)[:SHOWN_PARENTS]
