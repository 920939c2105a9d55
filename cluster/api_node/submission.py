"""Submissions: claims tasks in the store and dispatches those that the claim assigns to this node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cluster.api_node.admission_control import Admission
from cluster.api_node.audit_log import AuditLog
from cluster.api_node.cancellation import Cancellations
from cluster.api_node.dispatcher import Dispatchable, Dispatches
from cluster.api_node.files import Files, Owner
from cluster.api_node.limits import Limits
from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.webhooks import Webhooks
from cluster.observability import metrics, tracing
from cluster.store.actor import NOBODY, Actor
from cluster.store.async_store import Store
from cluster.store.audit_stream import AuditAction
from cluster.store.lua_scripts import Call
from cluster.store.record import SubmissionOutcome
from cluster.store.replies import SubmitReply
from cluster.task_types.task_type import Bound

AUDITED: Final = {
    SubmissionOutcome.NEW: AuditAction.SUBMIT,
    SubmissionOutcome.JOINED: AuditAction.JOIN,
    SubmissionOutcome.CACHED: AuditAction.SUBMIT,
    SubmissionOutcome.RECOMPUTED: AuditAction.RECOMPUTE,
}
"""The action of a submission in the audit log; its code is the outcome."""


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """Options of a submission.

    Attributes:
        recompute: run again even if a result is stored.
        priority: tasks with a higher priority run first; passed to Dask.
        not_before: earliest start, milliseconds since 1970; None for immediately.
        ttl_seconds: how long the result is kept; None for what the task type declares.
        start_before: when the task must have started, milliseconds since 1970; None for what the task type declares.
        tenant: owner of the task if tenants are isolated; else empty.
        account: whose quotas and fair share the task counts against.
        actor: who submits.
        salt: of the tenant's task ids; empty if tenants share tasks.
        tags: texts by which people recognise the task.
        webhook: URL that is told of the task's end; None for none.
    """

    recompute: bool = False
    priority: int = 0
    not_before: int | None = None
    ttl_seconds: float | None = None
    start_before: int | None = None
    tenant: str = ""
    account: str = ""
    actor: Actor = NOBODY
    salt: str = ""
    tags: tuple[str, ...] = ()
    webhook: str | None = None


class Submissions:
    """Accepts submissions on an api node. The scheduler does not need to be up."""

    def __init__(
        self,
        store: Store,
        dispatcher: Dispatches,
        admission: Admission,
        deliveries: ResultDelivery,
        cancellations: Cancellations,
        audit: AuditLog,
        limits: Limits,
        files: Files,
        webhooks: Webhooks,
    ) -> None:
        self._webhooks = webhooks
        self._files = files
        self._cancellations = cancellations
        self._audit = audit
        self._store = store
        self._dispatcher = dispatcher
        self.admission = admission
        self._deliveries = deliveries
        self._limits = limits
        self._claiming: set[asyncio.Task[list[SubmitReply]]] = set()

    async def submit(self, bound: Sequence[Bound], options: SubmitOptions) -> list[SubmitReply]:
        """Claims tasks of one type in one round trip and dispatches those that are not in flight yet.

        Raises:
            QueueFull: too many tasks are queued, in all or of this account; nothing was accepted.
            QuotaExceeded: the account keeps too many bytes; nothing was accepted.
            FileNotFound: a file of the input does not exist; nothing was accepted.
            StoreUnavailable: Redis does not answer. Submissions may have been accepted nevertheless; repeating them is
                safe.
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
                    # Joined or cached: the run belongs to the trace of the first submission.
                    span.link(item.record.trace)
        return submitted

    async def _submit(self, bound: Sequence[Bound], options: SubmitOptions, trace: str) -> list[SubmitReply]:
        await self.admission.admit(
            bound, recompute=options.recompute, account=options.account, not_before=options.not_before
        )
        await self._files.use(bound, Owner(options.tenant, options.account))
        await self._webhooks.loaded()
        # A caller that goes away now must not leave tasks that are claimed for this node and never dispatched.
        claiming = asyncio.create_task(self._claim_and_dispatch(bound, options, trace))
        self._claiming.add(claiming)
        claiming.add_done_callback(self._claiming.discard)
        return await asyncio.shield(claiming)

    async def _claim_and_dispatch(
        self, bound: Sequence[Bound], options: SubmitOptions, trace: str
    ) -> list[SubmitReply]:
        submitted = await self._claim_all(bound, options, trace)
        self.admission.accepted(submitted, not_before=options.not_before)
        self._audit_all(bound, submitted, options.actor)
        for item, claimed in zip(bound, submitted, strict=True):
            metrics.labelled(metrics.SUBMISSIONS, item.task_type.name, claimed.outcome).inc()
            if claimed.dispatch:
                if claimed.outcome is SubmissionOutcome.JOINED and claimed.record.attempt > 1:
                    # The attempt before it may wait in the scheduler, with a lower priority.
                    self._cancellations.put_superseded(item.task_id, claimed.record.attempt - 1)
                self._dispatcher.put(
                    Dispatchable(
                        item.task_id,
                        claimed.record.attempt,
                        item.task_type.name,
                        item.canonical_input,
                        claimed.record.priority,
                        claimed.record.trace,
                        claimed.record.account,
                        pool=claimed.record.pool,
                    )
                )
        return submitted

    def _audit_all(self, bound: Sequence[Bound], submitted: Sequence[SubmitReply], actor: Actor) -> None:
        name = bound[0].task_type.name
        if len(bound) == 1:
            outcome = submitted[0].outcome
            self._audit.add(AUDITED[outcome], actor, task=name, task_ids=(bound[0].task_id,), code=outcome)
            return
        for outcome in SubmissionOutcome:
            ids = [item.record.task_id for item in submitted if item.outcome is outcome]
            if ids:
                self._audit.add(AUDITED[outcome], actor, task=name, task_ids=ids, code=outcome)

    async def _claim_all(self, bound: Sequence[Bound], options: SubmitOptions, trace: str) -> list[SubmitReply]:
        """Claims tasks, with a speculative watch for this node if that pays off."""
        sent_at = time.monotonic()
        watch = self._deliveries.prepare_watches([item.task_id for item in bound])
        node = self._deliveries.node if watch else ""
        submitted: list[SubmitReply] = []
        try:
            if len(bound) == 1:
                submitted = [await self._store.run(self._claim(bound[0], options, trace, node))]
            else:
                submitted = await self._store.run_many([self._claim(item, options, trace, node) for item in bound])
        finally:
            if watch:
                replies = {item.record.task_id: item for item in submitted}
                for item in bound:
                    self._deliveries.commit_watch(item.task_id, replies.get(item.task_id), sent_at)
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
            account=options.account,
            actor=options.actor,
            tags=options.tags,
            run_key=bound.run_key,
            webhooks=self._webhooks.interested(
                options.tenant, options.account, bound.task_type.name, options.tags, options.webhook
            ),
            limits=self._limits.limits_of(bound, options.account),
            ttl_seconds=bound.task_type.ttl_seconds if options.ttl_seconds is None else options.ttl_seconds,
            start_before=options.start_before,
            start_within_seconds=bound.task_type.start_within_seconds,
            salt=options.salt,
            next_pool=bound.task_type.next_pool,
        )
