"""The enums of records, which several types of the schema use."""

from __future__ import annotations

import strawberry

from cluster.store.record import EventKind, SubmissionOutcome, TaskState

strawberry.enum(
    TaskState,
    name="TaskState",
    description="The state of a task: open (QUEUED, RUNNING) or final (SUCCEEDED, FAILED, CANCELLED).",
)
strawberry.enum(
    SubmissionOutcome,
    name="SubmissionOutcome",
    description="The outcome of a submission. NEW: the task was unknown. JOINED: it is already open. CACHED: it has "
    "succeeded. RECOMPUTED: it had ended and starts again.",
)
strawberry.enum(
    EventKind,
    name="TaskEventKind",
    description="What happened. QUEUED: submitted, or submitted again. STARTED: a worker runs it. PROGRESS: it "
    "reported something. RETRY: the attempt failed, and another one follows. LOST: the attempt's worker is gone, and "
    "another one follows. SUCCEEDED, FAILED, CANCELLED: it has ended.",
)
