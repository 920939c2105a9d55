"""The submission: claim the task in the store, and dispatch it if it is ours to dispatch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.api_node.admission_control import Admission
from cluster.api_node.dispatcher import Dispatchable, Dispatcher
from cluster.api_node.result_delivery import ResultDelivery
from cluster.observability import metrics, tracing
from cluster.store.async_store import Store
from cluster.store.lua_scripts import Call
from cluster.store.record import SubmissionOutcome
from cluster.store.replies import SubmitReply
from cluster.task_types.task_type import Bound


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """How a task is submitted.

    Attributes:
        recompute: run again even if a result is kept.
        priority: higher ones run first; passed to Dask.
        not_before: do not run before this time, milliseconds since 1970; None for now.
        tenant: whose task it is, where tenants are kept apart.
    """

    recompute: bool = False
    priority: int = 0
    not_before: int | None = None
    tenant: str = ""


class Submitter:
    """Accepts submissions on an api node. The scheduler need not be up."""

    def __init__(self, store: Store, dispatcher: Dispatcher, admission: Admission, deliveries: ResultDelivery) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._admission = admission
        self._deliveries = deliveries

    async def submit(self, bound: Sequence[Bound], options: SubmitOptions) -> list[SubmitReply]:
        """Claims tasks of one type, in one round trip, and dispatches those that nobody has before.

        Raises:
            QueueFull: too many tasks wait already; nothing was accepted.
            StoreUnavailable: Redis does not answer; a submission may have been accepted all the same, and repeating it
                is safe.
        """
        if not bound:
            return []
        name = bound[0].task_type.name
        with tracing.span(f"submit {name}", "PRODUCER", task=name, count=len(bound)) as span:
            submitted = await self._submit(bound, options, span.traceparent)
            if len(bound) == 1:
                span.set_outcome(task_id=bound[0].task_id, outcome=submitted[0].outcome.value)
            for item in submitted:
                if item.record.trace != span.traceparent:
                    # Joined, or answered from what is kept: that run belongs to the trace of whoever asked first.
                    span.link(item.record.trace)
        return submitted

    async def _submit(self, bound: Sequence[Bound], options: SubmitOptions, trace: str) -> list[SubmitReply]:
        await self._admission.admit(bound, recompute=options.recompute)
        submitted = await self._claim_all(bound, options, trace)
        fresh = (SubmissionOutcome.NEW, SubmissionOutcome.RECOMPUTED)
        self._admission.accepted(bound[0].task_type, sum(item.outcome in fresh for item in submitted))
        for item, claimed in zip(bound, submitted, strict=True):
            metrics.labelled(metrics.SUBMISSIONS, item.task_type.name, claimed.outcome).inc()
            if claimed.dispatch:
                self._dispatcher.put(
                    Dispatchable(
                        item.task_id,
                        claimed.record.attempt,
                        item.task_type.name,
                        item.canonical_input,
                        options.priority,
                        claimed.record.trace,
                    )
                )
        return submitted

    async def _claim_all(self, bound: Sequence[Bound], options: SubmitOptions, trace: str) -> list[SubmitReply]:
        """Claims tasks, and where that pays has this node noted as one that waits for them."""
        asked_at = time.monotonic()
        waits = self._deliveries.prepare_watches([item.task_id for item in bound])
        node = self._deliveries.node if waits else ""
        submitted: list[SubmitReply] = []
        try:
            if len(bound) == 1:
                submitted = [await self._store.run(self._claim(bound[0], options, trace, node))]
            else:
                submitted = await self._store.run_many([self._claim(item, options, trace, node) for item in bound])
        finally:
            if waits:
                answered = {item.record.task_id: item for item in submitted}
                for item in bound:
                    self._deliveries.commit_watch(item.task_id, answered.get(item.task_id), asked_at)
        return submitted

    def _claim(self, bound: Bound, options: SubmitOptions, trace: str, node: str) -> Call[SubmitReply]:
        return self._store.calls.submit(
            bound.task_id,
            bound.task_type.name,
            bound.task_type.version,
            bound.canonical_input,
            recompute=options.recompute,
            priority=options.priority,
            not_before=options.not_before,
            tenant=options.tenant,
            trace=trace,
            node=node,
        )
