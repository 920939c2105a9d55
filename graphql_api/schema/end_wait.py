"""`waitSeconds`: one request that is answered as soon as its task has ended, or with the record as it is by then.

A wait is a subscription to the end of the task that a query or a mutation makes for itself: it takes one of the
caller's waiters and of the node's subscriptions, and it ends when the client goes away.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import strawberry

from cluster.errors import BadInput
from cluster.settings import Settings
from cluster.store.record import Record
from graphql_api.context import ApiInfo, Context

DESCRIPTION = "Answer as soon as {what} ended, or after so many seconds with {record} as it is by then."
TaskWait = Annotated[
    float | None, strawberry.argument(description=DESCRIPTION.format(what="the task has", record="its record"))
]
TasksWait = Annotated[
    float | None, strawberry.argument(description=DESCRIPTION.format(what="all tasks have", record="each record"))
]


def wait_parameter(annotation: Any) -> inspect.Parameter:
    """The parameter `waitSeconds` of a resolver."""
    return inspect.Parameter(
        "wait_seconds", inspect.Parameter.KEYWORD_ONLY, default=strawberry.UNSET, annotation=annotation
    )


class EndWait:
    """The wait of one field.

    Args:
        seconds: how long it may take, in all.
    """

    def __init__(self, context: Context, seconds: float) -> None:
        self._context = context
        self._seconds = seconds

    async def ended(self, task_ids: Sequence[str]) -> dict[str, Record]:
        """Waits until all tasks have ended, the time is over, or the client is gone. Returns the records of those that
        have ended, by id. A task that the caller may not see, or that was never submitted, does not end."""
        if not self._seconds or not task_ids:
            return {}
        node, visible = self._context.node, self._context.caller.can_see
        ending = asyncio.ensure_future(node.deliveries.ended_within(task_ids, self._seconds, visible=visible))
        others = [asyncio.ensure_future(gone()) for gone in (self._context.client_gone,) if gone is not None]
        try:
            await asyncio.wait({ending, *others}, return_when=asyncio.FIRST_COMPLETED)
            return ending.result() if ending.done() else {}
        finally:
            for waiting in (ending, *others):
                waiting.cancel()
            await asyncio.gather(ending, *others, return_exceptions=True)

    async def records(self, records: Sequence[Record]) -> list[Record]:
        """Waits for the end of the tasks of these records. Returns each record as it then is."""
        if not self._seconds:
            return list(records)
        store = self._context.node.store
        latest = await self.ended([record.task_id for record in records if not record.final])
        overdue = [record.task_id for record in records if not record.final and record.task_id not in latest]
        for record in await store.run_many([store.calls.read(task_id) for task_id in overdue]):
            if record is not None:
                latest[record.task_id] = record
        return [latest.get(record.task_id, record) for record in records]


@contextmanager
def end_wait(info: ApiInfo, seconds: float | None, count: int) -> Iterator[EndWait]:
    """The wait for the end of so many tasks. Entered before they are submitted: what is refused is not submitted.

    Args:
        seconds: the argument `waitSeconds`.

    Raises:
        BadInput: it is out of bounds.
        TooManySubscriptions: the caller, or the node, waits for too many tasks.
    """
    context = info.context
    if not seconds:
        yield EndWait(context, 0)
        return
    _check(seconds, context.node.settings)
    with context.waiter_slots(count):
        context.node.deliveries.require_room(count)
        yield EndWait(context, seconds)


def _check(seconds: float, settings: Settings) -> None:
    limit = settings.wait_limit_seconds
    if not 0 <= seconds <= limit:
        raise BadInput(
            f"waitSeconds must be from 0 to {limit:g}, not {seconds:g}; to wait longer, ask again or subscribe",
            argument="waitSeconds",
            limit=limit,
        )
