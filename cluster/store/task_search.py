"""Pages of the tasks that a filter wants: from the lists alone where they decide, else by looking at records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from cluster.store.async_store import Store
from cluster.store.record import Record
from cluster.store.record_queries import Position
from cluster.store.task_filter import TaskFilter

SCANNED_TASKS: Final = 2_000
"""Maximum number of records that one page looks at. With conditions that only records decide a page may therefore have
fewer tasks than asked for, or none, and still be followed by others."""
SCANNED_BYTES: Final = 4_000_000
"""Bytes of inputs after which a page stops likewise."""
SEARCHED_INPUT_BYTES: Final = 16_000
"""Longer inputs are not searched for a text."""
CHUNK: Final = 200
"""Records that are read together."""


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of a list, in the order in which it was read.

    Attributes:
        tasks: the positions of its tasks.
        more: whether there are, or may be, further ones.
        end: what to read on from; None if nothing was found or looked at.
    """

    tasks: list[Position]
    more: bool
    end: Position | None


async def find_tasks(
    store: Store,
    wanted: TaskFilter,
    matches: Callable[[Record], bool],
    limit: int,
    *,
    newest_first: bool = True,
    below: Position | None = None,
    above: Position | None = None,
    tenant: str | None = None,
    looks: bool = False,
) -> TaskPage:
    """Finds up to `limit` tasks.

    Reading costs the server one range for each list (16, for each state or task type), and with conditions that only
    records decide one read for each record, of which there are at most SCANNED_TASKS.

    Args:
        wanted: the conditions; of these, the lists decide states, task types and times.
        matches: whether a record meets all of them; its result is not there, nor a long input.
        newest_first: the order, and from which end the list is read.
        below, above: only tasks before the one in time, and after the other.
        tenant: only tasks of this tenant.
        looks: whether only records decide, whatever `wanted` is: `matches` knows more. Then `end` names no task that
            does not match.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    read = partial(store.list_tasks, newest_first=newest_first, wanted=wanted, tenant=tenant)
    if not (wanted.needs_records or looks):
        positions = await read(limit + 1, below=below, above=above)
        page = positions[:limit]
        return TaskPage(page, len(positions) > limit, page[-1] if page else None)
    found: list[Position] = []
    end: Position | None = None
    looked_at = read_bytes = 0

    def shown(end: Position | None) -> Position | None:
        if not looks or end is None:
            return end
        # The end of its millisecond, which is looked at again.
        return found[-1] if found else (end[0], ("f" if newest_first else "0") * 32)

    while True:
        positions = await read(CHUNK, below=below, above=above)
        records = await searched_records(store, [task_id for _, task_id in positions], inputs=wanted.text is not None)
        for position, record in zip(positions, records, strict=True):
            if record is not None and matches(record):
                if len(found) == limit:
                    return TaskPage(found, more=True, end=shown(end))
                found.append(position)
            end = position
        looked_at += len(positions)
        read_bytes += sum(len(record.input) for record in records if record is not None)
        if len(positions) < CHUNK:
            return TaskPage(found, more=False, end=shown(end))
        if looked_at >= SCANNED_TASKS or read_bytes >= SCANNED_BYTES:
            return TaskPage(found, more=True, end=shown(end))
        below, above = (end, above) if newest_first else (below, end)


async def searched_records(store: Store, task_ids: Sequence[str], *, inputs: bool) -> list[Record | None]:
    """The records of tasks, without their results and long inputs; with `inputs` false, without any."""
    if not inputs:
        return await store.read_many(task_ids, inputs=False, results=False)
    lengths = await store.input_lengths(task_ids)
    short = [task_id for task_id, length in zip(task_ids, lengths, strict=True) if length <= SEARCHED_INPUT_BYTES]
    with_input = dict(zip(short, await store.read_many(short, results=False), strict=True))
    long = [task_id for task_id in task_ids if task_id not in with_input]
    without = dict(zip(long, await store.read_many(long, inputs=False, results=False), strict=True))
    records = with_input | without
    return [records[task_id] for task_id in task_ids]
