"""Functions for a running task: report progress and partial outputs, check whether it was cancelled."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event, local
from typing import Any, Final

from cluster.scheduling.attempt_keys import GRAPH_ANNOTATION
from cluster.scheduling.dask_internals import running_part
from cluster.store.blob_store import BlobStore
from cluster.store.lua_scripts import Call
from cluster.store.replies import StartReply
from cluster.task_types.value_types import Blob
from cluster.worker.progress_note import ProgressNote, progress_note
from cluster.worker.stream_writer import StreamWriter
from cluster.worker.task_log import PrintedCount, TaskLog

_attempt: ContextVar[RunningAttempt | None] = ContextVar("attempt", default=None)

MIN_PARTIAL_SECONDS: Final = 0.25
"""Minimum time between two partial outputs of one attempt; heartbeats carry them no more often."""
PARTIAL_BYTES_PER_SECOND: Final = 256 * 1024
"""Limits how often long partial outputs are taken: each is written to Redis and its append-only file."""
OVERSIZED_PARTIAL_SECONDS: Final = 10.0
"""Time until the next partial output after one that was too long to show."""

PART_DIGITS: Final = 16
"""Hex digits of a part's name in the keys of its blobs: parts with equal names for their blobs write different ones."""

_NOT_RUNNING: Final = (
    "no task is running here: call this from a task function, in its own thread, or from a part of its graph"
)

_parts = local()
_make_part: Callable[[str, int], RunningAttempt] | None = None


@dataclass
class RunningAttempt:
    """One attempt that runs in this process. The heartbeat thread reads `progress`, takes `partial` and sets `stop`.

    Attributes:
        encode: returns the JSON of an output, or None if it is too long for a record; raises TaskError if it is not
            what the task type declares.
        note: the message and the data of the latest report.
        make: makes the latest reported partial output, until it is shown.
        partial: a partial output, until a heartbeat has carried it.
        partial_due: when the next one is due, by `time.monotonic`.
        partial_dropped: whether one was too long to show, which is logged once.
        saved: the blobs that it saved, by name.
        register_blobs: records in Redis that the task may have blobs, before the first one is written.
        stream: where its items go, if the output is a stream.
        part: identifies the part of the graph; empty in the task's own function.
        compute_here: computes a Dask collection in this process; None on a worker, where the cluster does.
        on_cluster: whether it waits for a graph that runs on the cluster; false again if the scheduler is gone.
        make_files: makes blobs of its stream's items files that other tasks take, before the items are seen.
        record_checkpoint: records the key of its first checkpoint; returns False if the attempt must stop.
        checkpoint: key of the newest checkpoint of this run, its own or an earlier attempt's; empty if there is none.
        checkpoint_bytes: length of its own checkpoint.
        children: the tasks that it submits; None if it cannot.
        deferred_start: makes the call that records that it has begun, as long as Redis does not know it
            (deferred_starts.py).
        record_start: runs that call, before anything that only running attempts may do.
        log: the lines that it prints and logs.
        unfinished_lines: what it has printed to `stdout` and `stderr` without a line feed.
        printed: how many lines it has printed in this second.
    """

    task_id: str
    attempt: int
    blobs: BlobStore
    encode: Callable[[Any], bytes | None]
    register_blobs: Callable[[], object] = lambda: None
    record_checkpoint: Callable[[str], bool] = lambda key: True
    checkpoint: str = ""
    checkpoint_bytes: int = 0
    progress: float | None = None
    note: ProgressNote = ProgressNote()
    make: Callable[[], Any] | None = None
    partial: bytes | None = None
    partial_due: float = 0.0
    stop: Event = field(default_factory=Event)
    partial_dropped: bool = False
    saved: dict[str, Blob] = field(default_factory=dict)
    stream: StreamWriter | None = None
    part: str = ""
    log: TaskLog = field(default_factory=TaskLog)
    unfinished_lines: dict[str, str] = field(default_factory=dict)
    printed: PrintedCount = field(default_factory=PrintedCount)
    compute_here: Callable[[Any], Any] | None = None
    on_cluster: bool = False
    make_files: Callable[[Sequence[Blob]], object] = lambda blobs: None
    children: Any = None
    deferred_start: Callable[[], Call[StartReply]] | None = None
    record_start: Callable[[], None] = lambda: None

    @property
    def blob_prefix(self) -> str:
        """The keys of its blobs, up to their names."""
        return f"{self.task_id}/{self.attempt}" + (f"/{self.part}" if self.part else "")


def enter(attempt: RunningAttempt | None) -> None:
    """Sets the attempt that the calling thread runs from now on; None at its end."""
    _attempt.set(attempt)


def report_progress(fraction: float | None, message: str | None = None, data: Any = None) -> None:
    """Reports how far the running task is. Cheap: call it as often as you like; the latest report is sent, about four
    times a second. It replaces the message and the data of the report before.

    Args:
        fraction: from 0 to 1; None if it is unknown, which leaves the last one.
        message: what the task is doing, for people; the first 500 characters are shown.
        data: anything with a JSON form, for programs, such as `{"epoch": 3}`; at most 2,000 bytes of JSON.

    Raises:
        ValueError: the fraction is not from 0 to 1, or the data have no JSON form or are too long.
    """
    if fraction is not None and not 0 <= fraction <= 1:
        raise ValueError(f"progress is a number from 0 to 1, not {fraction!r}")
    note = progress_note(message, data)
    if attempt := _attempt.get():
        attempt.note = note
        if fraction is not None:
            attempt.progress = fraction


def report_partial(make: Callable[[], Any]) -> None:
    """Shows the running task's output so far: a picture that grows, the rows up to now.

    Call it as often as you like: `make` is called when the next one is due, at most four times a second, less often for
    long ones, by this or a later call, or by `as_completed` while it waits; always in this thread. Subscribers see it
    as `Task.partial` until the task ends; it is not kept. One that is too long for a record is not shown: the worker
    logs that, and the task continues.

    Args:
        make: returns the output so far, of the type that the task declares.

    Raises:
        TaskError: it is not of that type.
    """
    if attempt := _attempt.get():
        attempt.make = make
        show_partial()


def show_partial() -> None:
    """Shows the latest reported partial output, if there is one and the next is due.

    Called while the task's thread waits, because the last of several reports may have come too early.
    """
    attempt = _attempt.get()
    if attempt is None or attempt.make is None or attempt.partial is not None:
        return
    if time.monotonic() < attempt.partial_due:
        return
    make, attempt.make = attempt.make, None
    partial = attempt.encode(make())
    if partial is None:
        attempt.partial_due = time.monotonic() + OVERSIZED_PARTIAL_SECONDS
        return
    attempt.partial_due = time.monotonic() + max(MIN_PARTIAL_SECONDS, len(partial) / PARTIAL_BYTES_PER_SECOND)
    attempt.partial = partial


def running_attempt() -> RunningAttempt | None:
    """The attempt that the calling thread runs; None outside a running task, as in a unit test."""
    return _attempt.get()


def require_attempt() -> RunningAttempt:
    """The attempt that the calling thread runs.

    Raises:
        RuntimeError: no task is running in this thread.
    """
    attempt = _attempt.get()
    if attempt is None:
        raise RuntimeError(_NOT_RUNNING)
    return attempt


def cancelled() -> bool:
    """Whether the running task was cancelled. If so, its function should return soon; its result is discarded."""
    attempt = _attempt.get()
    return attempt is not None and attempt.stop.is_set()


def use_parts(make_part: Callable[[str, int], RunningAttempt] | None) -> None:
    """Sets how this process makes the attempt that a part of a graph belongs to; called by the worker's executor."""
    global _make_part
    _make_part = make_part


def part_id(key: str) -> str:
    """Identifies a part of a graph in the keys of its blobs."""
    return hashlib.sha256(key.encode()).hexdigest()[:PART_DIGITS]


def attempt_or_part() -> RunningAttempt:
    """The attempt that the calling thread runs, or whose graph it runs a part of.

    Raises:
        RuntimeError: neither.
    """
    attempt = _attempt.get()
    if attempt is not None:
        return attempt
    found = running_part(GRAPH_ANNOTATION) if _make_part else None
    if _make_part is None or found is None:
        raise RuntimeError(_NOT_RUNNING)
    # One thread runs one part at a time; a part that runs again begins anew.
    if getattr(_parts, "run", None) != found:
        task_id, _, number = found.tag.rpartition(":")
        part = _make_part(task_id, int(number))
        part.part = part_id(found.key)
        _parts.run, _parts.attempt = found, part
    made: RunningAttempt = _parts.attempt
    return made
