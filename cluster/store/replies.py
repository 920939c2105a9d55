"""What the scripts return, and the notifications that they publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cluster.store.lua_scripts import unpack
from cluster.store.record import Event, Record, SubmissionOutcome, parse_record
from cluster.task_types.task_id import ID_DIGITS


@dataclass(frozen=True, slots=True)
class SubmitReply:
    """The reply to `submit`. `dispatch`: the caller must hand this attempt to the scheduler."""

    outcome: SubmissionOutcome
    dispatch: bool
    record: Record


@dataclass(frozen=True, slots=True)
class StartReply:
    """The reply to `start`.

    Attributes:
        verdict: 'RUN', or why the attempt must not run: 'GONE', 'STALE', 'ENDED', 'TAKEN', 'ALIVE', 'EXPIRED'.
        waited_seconds: how long the task waited after it could have started; None unless this is its first attempt.
        trace: W3C trace context of the submission, or empty.
        checkpoint: key of the blob with the latest checkpoint of this run, or empty.
        tenant: the owner, if tenants are isolated.
        version: that the task was submitted for; empty unless it may run.
    """

    verdict: str
    waited_seconds: float | None = None
    trace: str = ""
    checkpoint: str = ""
    tenant: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class EndReply:
    """The reply to `cancel`, `forget` and `set_priority`.

    Attributes:
        done: whether the task was ended, deleted or changed; or would be.
        record: None if there is no such task. As it was before, if it was deleted.
        others: how many others want the task, or had wanted it.
        is_submitter: whether the actor does.
        superseded: the attempt that another one has replaced; 0 for none.
    """

    done: bool
    record: Record | None = None
    others: int = 0
    is_submitter: bool = False
    superseded: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """An open task that is due, as `claim_due` returns it.

    Attributes:
        action: 'dispatch': hand the attempt to the scheduler. 'check': ask the scheduler whether it still has it.
        running: whether the attempt has started.
        account: whose fair share it uses.
        resumes: the attempt replaces one that had started.
        pool: the larger pool that it moved to; empty for that of its task type.
    """

    task_id: str
    action: Literal["dispatch", "check"]
    attempt: int
    running: bool
    name: str
    input: bytes
    priority: int
    account: str = ""
    resumes: bool = False
    pool: str = ""


@dataclass(frozen=True, slots=True)
class WatchReply:
    """The reply to `watch`: the record, or None, and the events after the given seq."""

    record: Record | None
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class WaitReply:
    """What a QUEUED task waits for, as far as Redis knows. Times are milliseconds since 1970 by Redis's clock.

    Attributes:
        now: when it was read.
        dispatched: whether the newest attempt was handed to the scheduler.
        due_at: when that attempt is due; None while it is held.
        limits: the limits that the task is subject to; empty for none.
        order: of the task among those held with the same limits: the lowest is next; None unless it is held.
    """

    now: int
    attempt: int
    dispatched: bool
    due_at: int | None
    limits: str
    order: int | None


def split_notification(data: bytes) -> tuple[str, bytes]:
    """Splits a notification into the task's id and the packed record, which may be empty."""
    return data[:ID_DIGITS].decode(), data[ID_DIGITS:]


def parse_notification(data: bytes) -> tuple[str, Record | None]:
    """Reads a notification to a node that watches a task: the task's id, and the final record if it was included."""
    task_id, packed = split_notification(data)
    return task_id, parse_record(task_id, unpack(packed)) if packed else None


def hash_fields(reply: Mapping[bytes, bytes] | Sequence[Any]) -> dict[bytes, bytes]:
    """The fields of a reply to HGETALL: a map under RESP3, a flat list under RESP2."""
    return dict(reply) if isinstance(reply, Mapping) else dict(zip(reply[::2], reply[1::2], strict=True))
