"""What a submission would meet and cost, before it is made; and what a task has cost."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from typing import Annotated, Any

import strawberry

from cluster.errors import BadInput
from cluster.observability.log_histogram import percentile
from cluster.settings.pools import DEFAULT_POOL
from cluster.store.record import Record, SubmissionOutcome, TaskState
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.submit_options import check_run_key

HISTORY_SECONDS = 86_400
"""How far back runs count."""


@strawberry.type(
    description="What a submission would meet now, and what it would take. Durations and dollars are those of one "
    "attempt, by the runs of its type in the last 24 hours, whatever their inputs; 0 if nothing would run."
)
class SubmissionEstimate:
    task_id: strawberry.ID
    outcome: SubmissionOutcome = strawberry.field(
        description="What it would be now: CACHED, JOINED, or a run (NEW, RECOMPUTED)."
    )
    state: TaskState | None = strawberry.field(description="Of the task; null if there is none.")
    runs: int = strawberry.field(description="How many runs the durations are from.")
    run_p50: float | None = strawberry.field(
        name="runP50", description="Seconds that half of the runs took at most; null if there is none."
    )
    run_p95: float | None = strawberry.field(name="runP95", description="Seconds that 95 % of the runs took at most.")
    wait_p50: float | None = strawberry.field(
        name="waitP50", description="Seconds that half of the tasks waited at most; null if there is none."
    )
    dollars_p50: float | None = strawberry.field(
        name="dollarsP50", description="US dollars for `runP50`; null if no price is known."
    )
    dollars_p95: float | None = strawberry.field(name="dollarsP95", description="US dollars for `runP95`.")
    basis: str = strawberry.field(description="What the numbers are from, in a sentence.")


async def estimate(
    info: ApiInfo,
    name: Annotated[str, strawberry.argument(description="Of the task type.")],
    input: Annotated[
        strawberry.scalars.JSON | None,
        strawberry.argument(description="The arguments, an object, by the names that `Task.input` has."),
    ] = None,
    run_key: Annotated[str | None, strawberry.argument(description="As that of the submission.")] = strawberry.UNSET,
) -> SubmissionEstimate | None:
    caller, node = info.context.caller, info.context.node
    caller.require(Scope.READ)
    caller.require_unconfined("`estimate`")
    task_type = node.registry.get(name)
    if task_type is None:
        raise BadInput(f"this api has no task type {name[:100]!r}", argument="name")
    arguments: Any = {} if input is None else input
    if not isinstance(arguments, dict):
        raise BadInput("input is an object: the arguments by their names", argument="input")
    bound = task_type.bind(
        arguments, salt=caller.salt, limit_bytes=node.settings.input_limit_bytes,
        run_key=check_run_key(run_key, caller, "runKey"),
    )  # fmt: skip
    [record] = await node.store.read_many([bound.task_id], inputs=False, results=False)
    outcome = _outcome(record)
    if outcome is SubmissionOutcome.CACHED:
        return SubmissionEstimate(
            task_id=strawberry.ID(bound.task_id), outcome=outcome, state=TaskState.SUCCEEDED, runs=0, run_p50=0.0,
            run_p95=0.0, wait_p50=0.0, dollars_p50=0.0, dollars_p95=0.0, basis="Its result is kept: nothing would run.",
        )  # fmt: skip
    view = await node.history.read(HISTORY_SECONDS, 48)
    ended = view.total_of_type(name, caller.tenant_seen)
    p50, p95, runs = percentile(ended.run, 0.5), percentile(ended.run, 0.95), sum(ended.run.values())
    prices, pool = await node.prices.read(), node.registry.pool_of(name) or DEFAULT_POOL
    return SubmissionEstimate(
        task_id=strawberry.ID(bound.task_id),
        outcome=outcome,
        state=None if record is None else record.state,
        runs=runs,
        run_p50=p50,
        run_p95=p95,
        wait_p50=percentile(ended.wait, 0.5),
        dollars_p50=None if p50 is None else prices.dollars(pool, p50),
        dollars_p95=None if p95 is None else prices.dollars(pool, p95),
        basis=f"{counted(runs)} of {name} in the last 24 hours; {prices.basis(pool)}.",
    )


def _outcome(record: Record | None) -> SubmissionOutcome:
    """What a submission without `recompute` would be, as far as its record tells."""
    if record is None:
        return SubmissionOutcome.NEW
    if not record.final:
        return SubmissionOutcome.JOINED
    return SubmissionOutcome.CACHED if record.state is TaskState.SUCCEEDED else SubmissionOutcome.RECOMPUTED


def counted(runs: int) -> str:
    return f"{runs:,} run{'' if runs == 1 else 's'}"


def pool_of(record: Record, info: ApiInfo) -> str:
    """The pool of a task: the larger one that it moved to, or that of its task type."""
    return record.pool or info.context.node.registry.pool_of(record.name) or DEFAULT_POOL


async def load_cost(record: Record, info: ApiInfo) -> float | None:
    """What the last attempt of a task that has ended cost, at the price of now."""
    if not record.final or record.started_at is None or record.finished_at is None:
        return None
    node = info.context.node
    return (await node.prices.read()).dollars(pool_of(record, info), (record.finished_at - record.started_at) / 1000)
