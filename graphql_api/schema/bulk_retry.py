"""What `retryTasks` does with some tasks: submits them again, as many at once as share type, priority and tags."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from cluster.errors import PublicError, QueueFull, QuotaExceeded, RateLimited, StoreFull
from cluster.store.record import Record, TaskState
from cluster.task_types.task_type import Bound
from graphql_api.context import ApiInfo
from graphql_api.schema.bulk_result import Tally
from graphql_api.schema.retry_task import bound_again, options_again

READ_BYTES: Final = 4_000_000
"""Bytes of inputs that are read together."""
CONCURRENT: Final = 20
"""Groups that are submitted at the same time."""


async def retry_chunk(info: ApiInfo, task_ids: Sequence[str], tally: Tally, dry_run: bool) -> None:
    """Submits tasks again, or counts which would be.

    Raises:
        RateLimited, QueueFull, QuotaExceeded, StoreFull: there is no room for all of them now; some were submitted.
    """
    store = info.context.node.store
    for some in _parts(task_ids, await store.input_lengths(task_ids)):
        groups: dict[tuple[object, ...], list[tuple[Record, Bound]]] = {}
        for record in await store.read_many(some, results=False):
            if record is None or record.state not in (TaskState.FAILED, TaskState.CANCELLED):
                continue
            try:
                info.context.caller.require_submit(record.name)
                bound = bound_again(info, record)
            except PublicError as error:
                tally.refuse(record.task_id, error)
                continue
            groups.setdefault((record.name, record.priority, record.tags), []).append((record, bound))
        if dry_run:
            tally.done += sum(map(len, groups.values()))
            continue
        turns = asyncio.Semaphore(CONCURRENT)

        async def in_turn(group: list[tuple[Record, Bound]], turns: asyncio.Semaphore = turns) -> None:
            async with turns:
                await _submit(info, group, tally)

        ended = await asyncio.gather(*map(in_turn, groups.values()), return_exceptions=True)
        for failed in filter(None, ended):
            raise failed


async def _submit(info: ApiInfo, group: list[tuple[Record, Bound]], tally: Tally) -> None:
    """Submits tasks of one type, priority and tags again; if all together are refused, one by one."""
    record = group[0][0]
    try:
        caller = await info.context.authorize_submissions(record.name, len(group))
        await info.context.node.submissions.submit([bound for _, bound in group], options_again(record, caller))
    except (RateLimited, QueueFull, QuotaExceeded, StoreFull):
        if len(group) == 1:
            raise
    except PublicError as error:
        if len(group) == 1:
            tally.refuse(record.task_id, error)
            return
    else:
        tally.done += len(group)
        return
    for each in group:
        await _submit(info, [each], tally)


def _parts(task_ids: Sequence[str], lengths: Sequence[int]) -> list[list[str]]:
    """The tasks in their order, in parts whose inputs are read together."""
    parts: list[list[str]] = [[]]
    size = 0
    for task_id, length in zip(task_ids, lengths, strict=True):
        if parts[-1] and size + length > READ_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(task_id)
        size += length
    return parts
