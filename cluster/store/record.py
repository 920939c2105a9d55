"""The record of a task, as Redis stores it and as the rest of the program reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

import orjson


class TaskState(StrEnum):
    """The state of a task: `QUEUED -> RUNNING -> SUCCEEDED | FAILED | CANCELLED`; a lost attempt returns it to
    `QUEUED`."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether the task has ended."""
        return self not in (TaskState.QUEUED, TaskState.RUNNING)


class SubmissionOutcome(StrEnum):
    """What a submission met: a new task, one in flight, one that had succeeded, or one that it runs again."""

    NEW = "NEW"
    JOINED = "JOINED"
    CACHED = "CACHED"
    RECOMPUTED = "RECOMPUTED"


class EventKind(StrEnum):
    """What an event tells. A kind that a later release has added is read as PROGRESS: the event's state is true, and
    its message says more."""

    QUEUED = "QUEUED"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    RETRY = "RETRY"
    LOST = "LOST"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @classmethod
    def _missing_(cls, value: object) -> EventKind:
        return cls.PROGRESS


FIELDS: Final = (
    "name",
    "version",
    "input",
    "state",
    "attempt",
    "seq",
    "submitted_at",
    "started_at",
    "finished_at",
    "expires_at",
    "progress",
    "priority",
    "not_before",
    "submissions",
    "worker",
    "lost",
    "retries",
    "tenant",
    "trace",
    "error",
    "result",
    "account",
    "submitted_by",
    "cancelled_by",
    "previous_at",
    "tags",
    "message",
    "data",
    "runs",
    "run_key",
    "pool",
)
"""The fields of a record's hash, in the order in which the scripts return them. New ones are added at the end: other
releases ignore what follows the fields that they know, and read what is missing as empty."""

RESULT_AT: Final = FIELDS.index("result")
FIELDS_BUT_RESULT: Final = (*FIELDS[:RESULT_AT], "-", *FIELDS[RESULT_AT + 1 :])
"""The same positions, with a name that no field has in the place of the result."""


Run: TypeAlias = tuple[int, int]
"""One run of a task: when it was submitted, milliseconds since 1970, and its newest attempt."""


@dataclass(frozen=True, slots=True)
class Record:
    """What Redis stores about a task. Times are milliseconds since 1970, or None if the event has not happened.

    Attributes:
        input: the canonical JSON of the arguments; empty if it was not requested.
        attempt: number of the newest attempt, from 1; the fence.
        seq: number of the newest event.
        progress: fraction done, 0 to 1, as the newest attempt reported it.
        submissions: number of submissions that share this run.
        worker: name of the worker that runs or ran the newest attempt.
        lost: attempts lost with their worker, in this run.
        retries: attempts retried after an error, in this run.
        tenant: the owner, if tenants are isolated; else empty.
        trace: W3C trace context (`traceparent`) of the submission that began this run; empty without tracing.
        error: JSON object with `code`, `message`, `type`; None unless FAILED or CANCELLED.
        result: JSON of the output; while RUNNING, the partial output of the newest attempt. None if there is none, or
            if it was left out, because it is long or was not requested.
        account: whose quotas and fair share the run counts against; empty in records of an earlier release.
        submitted_by: the text of the actor whose submission began this run (`Actor.parse`); empty if unknown.
        cancelled_by: the text of the actor that ended it; empty unless CANCELLED.
        previous_at: when the earlier run finished whose result is kept until this run has one; None if none is kept.
        tags: what the submission that began this run was tagged with.
        message: what the newest attempt reported with its progress, for people; empty for none.
        data: the same for programs: JSON; None for none.
        runs: how often the task was computed, this run included, since its record was made.
        run_key: the run key of its submissions, part of the task id; empty for none.
        pool: the larger pool that the run moved to after an attempt ran out of memory; empty for that of its task type.
    """

    task_id: str
    name: str
    version: str
    input: bytes
    state: TaskState
    attempt: int
    seq: int
    submitted_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    progress: float | None
    priority: int
    not_before: int | None
    submissions: int
    worker: str | None
    lost: int
    retries: int
    tenant: str
    trace: str
    error: bytes | None
    result: bytes | None
    account: str = ""
    submitted_by: str = ""
    cancelled_by: str = ""
    previous_at: int | None = None
    tags: tuple[str, ...] = ()
    message: str = ""
    data: bytes | None = None
    runs: int = 1
    run_key: str = ""
    pool: str = ""

    @property
    def final(self) -> bool:
        return self.state.final

    @property
    def run(self) -> Run:
        """Identifies the run of the task and its newest attempt."""
        return self.submitted_at, self.attempt

    @property
    def result_omitted(self) -> bool:
        """Whether it has a result that was left out."""
        return self.result is None and self.state is TaskState.SUCCEEDED

    def error_fields(self) -> dict[str, Any] | None:
        """Returns the error as a dict, or None."""
        return None if self.error is None else dict(orjson.loads(self.error))


def parse_record(task_id: str, values: Sequence[bytes | None]) -> Record | None:
    """Parses a record in a script's reply: `values` in the order of FIELDS. Returns None if there is no such record.
    Ignores fields that a later release has added at the end, and reads those that an earlier one lacks as empty."""
    if not values or not values[0]:
        return None
    if len(values) < len(FIELDS):
        values = [*values, *[None] * (len(FIELDS) - len(values))]
    (name, version, input_, state, attempt, seq, submitted, started, finished, expires, progress, priority, not_before,
     submissions, worker, lost, retries, tenant, trace, error, result, account, submitted_by,
     cancelled_by, previous_at, tags, message, data, runs, run_key, pool) = values[: len(FIELDS)]  # fmt: skip
    assert name is not None
    assert version is not None
    assert state is not None
    return Record(
        task_id=task_id,
        name=name.decode(),
        version=version.decode(),
        input=input_ or b"",
        state=TaskState(state.decode()),
        attempt=int(attempt or 0),
        seq=int(seq or 0),
        submitted_at=int(submitted or 0),
        started_at=int(started) if started else None,
        finished_at=int(finished) if finished else None,
        expires_at=int(expires) if expires else None,
        progress=float(progress) if progress else None,
        priority=int(priority or 0),
        not_before=int(not_before) if not_before else None,
        submissions=int(submissions or 0),
        worker=worker.decode() if worker else None,
        lost=int(lost or 0),
        retries=int(retries or 0),
        tenant=(tenant or b"").decode(),
        trace=(trace or b"").decode(),
        error=error or None,
        result=result or None,
        account=(account or b"").decode(),
        submitted_by=(submitted_by or b"").decode(),
        cancelled_by=(cancelled_by or b"").decode(),
        previous_at=int(previous_at) if previous_at else None,
        tags=tuple(orjson.loads(tags)) if tags else (),
        message=(message or b"").decode(),
        data=data or None,
        runs=int(runs or 1),
        run_key=(run_key or b"").decode(),
        pool=(pool or b"").decode(),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a record, numbered by `seq` from 1 within the task. `at` is milliseconds since 1970."""

    seq: int
    kind: EventKind
    state: TaskState
    attempt: int
    at: int
    progress: float | None
    message: str | None
    data: bytes | None = None
    """JSON, if the event reports any."""
    worker: str | None = None
    """Of STARTED: the worker that began the attempt; None in events of an earlier release."""


def parse_event(line: bytes) -> Event:
    """Parses one line of a task's event log."""
    raw = orjson.loads(line)
    return Event(
        seq=int(raw["seq"]),
        kind=EventKind(raw["kind"]),
        state=TaskState(raw["state"]),
        attempt=int(raw["attempt"]),
        at=int(raw["at"]),
        progress=raw.get("progress"),
        message=raw.get("message"),
        data=raw["data"].encode() if "data" in raw else None,
        worker=raw.get("worker"),
    )


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a task has printed or logged.

    Attributes:
        number: from 1 within the task; numbers jump where lines were dropped.
        at: milliseconds since 1970.
        level: such as `INFO`, which printed lines have too.
    """

    number: int
    attempt: int
    at: int
    level: str
    text: str


def parse_log_line(line: bytes) -> LogLine:
    """Parses one line of a task's log: number, attempt, time, level and text, separated by spaces."""
    number, attempt, at, level, text = line.decode(errors="replace").split(" ", 4)
    return LogLine(int(number), int(attempt), int(at), level, text)
