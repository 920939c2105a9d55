"""Mutations about all tasks that a filter means: `cancelTasks`, `withdrawTasks`, `retryTasks`, `forgetTasks`.

Each works on one page and names where the next one begins, so no request is long. Pages go from the newest task to the
oldest: a task that is submitted again, and even fails again, is not met twice.
"""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias

import strawberry
from strawberry.types.field import StrawberryField

from cluster.errors import BadInput, QueueFull, QuotaExceeded, RateLimited, StoreFull
from cluster.store.audit_stream import AuditAction
from cluster.store.record import TaskState
from cluster.store.record_queries import Position
from cluster.store.task_filter import EVERYTHING, TaskFilter
from cluster.store.task_search import find_tasks
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import ApiInfo
from graphql_api.execution.document_limits import BULK_PAGE
from graphql_api.schema.arguments import given
from graphql_api.schema.bulk_result import BulkResult, Tally
from graphql_api.schema.bulk_retry import retry_chunk
from graphql_api.schema.mutations import audit_end, decide_mode, others_want, withdraw_scope
from graphql_api.schema.paging import parse_cursor
from graphql_api.schema.task_filter_input import TaskFilterInput, shown_to, to_task_filter
from graphql_api.strawberry_internals import make_field

CHUNK: Final = 50
"""Tasks in one round trip: others are served between them, by Redis and by this node. Submitting so many again takes
about 15 ms of a core of each."""

OPEN: Final = TaskFilter(states=frozenset({TaskState.QUEUED, TaskState.RUNNING}))
ENDED: Final = TaskFilter(states=frozenset(TaskState) - (OPEN.states or frozenset()))
UNDONE: Final = TaskFilter(states=frozenset({TaskState.FAILED, TaskState.CANCELLED}))

FULL: Final = (RateLimited, QueueFull, QuotaExceeded, StoreFull)
"""Refusals that say that there is no room now: what was not done yet is left for a later page."""

Act: TypeAlias = Callable[[ApiInfo, Sequence[str], Tally, bool], Awaitable[None]]
"""Does, or with True only counts, what is to be done with these tasks."""

First: TypeAlias = Annotated[
    int | None, strawberry.argument(description="How many tasks at most, up to 1,000; without it 1,000.")
]
After: TypeAlias = Annotated[
    str | None, strawberry.argument(description="Continue after the page with this `endCursor`.")
]
DryRun: TypeAlias = Annotated[
    bool | None, strawberry.argument(description="Change nothing, and count what would be done.")
]


async def act_on_page(
    info: ApiInfo,
    act: Act,
    where: TaskFilterInput,
    among: TaskFilter,
    first: int | None,
    after: str | None,
    dry_run: bool | None,
) -> BulkResult:
    """Does something with one page of the tasks that a filter means and the caller may find.

    Args:
        among: what the operation can be done with at all.

    Raises:
        BadInput: the filter has no condition, or `first` is out of bounds.
        RateLimited, QueueFull, QuotaExceeded, StoreFull: nothing could be done now.
    """
    info.context.caller.require(Scope.READ)
    limit: int = BULK_PAGE if given(first) is None else given(first)
    if not 0 < limit <= BULK_PAGE:
        raise BadInput(f"first must be from 1 to {BULK_PAGE}, not {limit}", argument="first", limit=BULK_PAGE)
    wanted = to_task_filter(where)
    if wanted == EVERYTHING:
        raise BadInput(
            "where has no condition: give one, such as `states`, so that no typing error concerns all tasks",
            argument="where",
        )
    caller, store = info.context.caller, info.context.node.store
    begin = parse_cursor(after) if after else None
    wanted = wanted.narrowed(among)
    page = await find_tasks(
        store, wanted, shown_to(caller, wanted), limit, below=begin, tenant=caller.tenant_seen,
        looks=caller.confinement is not None,
    )  # fmt: skip
    tally = Tally()
    reached: Position | None = begin
    for start in range(0, len(page.tasks), CHUNK):
        chunk = page.tasks[start : start + CHUNK]
        try:
            await act(info, [task_id for _, task_id in chunk], tally, bool(dry_run))
        except FULL:
            if not tally.done:
                raise
            tally.matched = tally.done + sum(each.count for each in tally.refused.values())
            return tally.result(reached, more=True)
        tally.matched += len(chunk)
        reached = chunk[-1]
    return tally.result(page.end or begin, more=page.more)


async def _cancel(info: ApiInfo, task_ids: Sequence[str], tally: Tally, dry_run: bool) -> None:
    node, actor, mode = info.context.node, info.context.caller.actor, decide_mode(info.context.caller)
    calls = [node.store.calls.end(task_id, actor, mode, dry_run=dry_run) for task_id in task_ids]
    for task_id, reply in zip(task_ids, await node.store.run_many(calls), strict=True):
        if reply.done and reply.record is not None:
            tally.done += 1
            tally.wanted_by_others += reply.others > 0
            if not dry_run:
                node.cancellations.put(reply.record)
                audit_end(info, AuditAction.CANCEL, reply.record)
        elif reply.record is not None and not reply.record.final:
            tally.refuse(task_id, others_want("withdrawTasks"))


async def _withdraw(info: ApiInfo, task_ids: Sequence[str], tally: Tally, dry_run: bool) -> None:
    node, actor = info.context.node, info.context.caller.actor
    calls = [node.store.calls.end(task_id, actor, "withdraw", dry_run=dry_run) for task_id in task_ids]
    for reply in await node.store.run_many(calls):
        if reply.record is None or not reply.is_submitter:
            continue
        tally.done += 1
        tally.wanted_by_others += reply.others > 0
        if not dry_run:
            audit_end(info, AuditAction.WITHDRAW, reply.record, "ENDED" if reply.done else "")
            if reply.done:
                node.cancellations.put(reply.record)


async def _forget(info: ApiInfo, task_ids: Sequence[str], tally: Tally, dry_run: bool) -> None:
    node, actor, mode = info.context.node, info.context.caller.actor, decide_mode(info.context.caller)
    calls = [node.store.calls.forget(task_id, actor, mode, dry_run=dry_run) for task_id in task_ids]
    for task_id, reply in zip(task_ids, await node.store.run_many(calls), strict=True):
        if reply.done and reply.record is not None:
            tally.done += 1
            tally.wanted_by_others += reply.others > 0
            if not dry_run:
                audit_end(info, AuditAction.FORGET, reply.record)
        elif reply.record is not None and reply.record.final:
            tally.refuse(task_id, others_want("waiting until it expires"))


def _resolver(act: Act, among: TaskFilter, scope_of: Callable[[Caller], Scope]) -> Callable[..., Awaitable[Any]]:
    """The resolver of an operation on what is among these tasks, for callers with this scope."""

    async def resolve(
        info: ApiInfo, where: TaskFilterInput, first: First = strawberry.UNSET, after: After = strawberry.UNSET,
        dry_run: DryRun = False,
    ) -> BulkResult | None:  # fmt: skip
        info.context.caller.require(scope_of(info.context.caller))
        return await act_on_page(info, act, where, among, first, after, dry_run)

    return resolve


def bulk_fields() -> list[StrawberryField]:
    """The mutations of this module."""
    return [
        make_field(
            "cancel_tasks", resolver=_resolver(_cancel, OPEN, lambda _: Scope.CANCEL),
            description="Cancels the open tasks that are meant, the newest first, as `cancelTask` does. Needs the "
            "scopes `cancel` and `read`.",
        ),
        make_field(
            "withdraw_tasks", resolver=_resolver(_withdraw, OPEN, withdraw_scope),
            description="Takes back what the caller submitted, of the open tasks that are meant, as `withdrawTask` "
            "does. Needs `read` beside that one's scope.",
        ),
        make_field(
            "retry_tasks", resolver=_resolver(retry_chunk, UNDONE, lambda _: Scope.SUBMIT),
            description="Submits the tasks that are meant and have failed or were cancelled again, the newest first, "
            "as `retryTask` does. Needs the scopes `submit` and `read`.",
        ),
        make_field(
            "forget_tasks", resolver=_resolver(_forget, ENDED, lambda _: Scope.CANCEL),
            description="Deletes the tasks that are meant and have ended, as `forgetTask` does. Needs the scopes "
            "`cancel` and `read`.",
        ),
    ]  # fmt: skip
