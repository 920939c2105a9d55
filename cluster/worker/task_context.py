"""Functions for a running task: report progress and partial outputs, save blobs, check whether it was cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Final

from cluster.errors import BlobError, StoreUnavailable
from cluster.store.blob_store import BlobStore
from cluster.task_types.value_types import MEDIA_TYPE, Blob

_attempt: ContextVar[RunningAttempt | None] = ContextVar("attempt", default=None)

MIN_PARTIAL_SECONDS: Final = 0.25
"""Minimum time between two partial outputs of one attempt; heartbeats carry them no more often."""
PARTIAL_BYTES_PER_SECOND: Final = 256 * 1024
"""Limits how often long partial outputs are taken: each is written to Redis and its append-only file."""
OVERSIZED_PARTIAL_SECONDS: Final = 10.0
"""Time until the next partial output after one that was too long to show."""

MAX_BLOB_NAME_BYTES: Final = 200
"""Maximum length of a blob's name in UTF-8; file systems allow 255."""

_NOT_RUNNING: Final = "no task is running here: call this from a task function, in its own thread"


@dataclass
class RunningAttempt:
    """One attempt that runs in this process. The heartbeat thread reads `progress`, takes `partial` and sets `stop`.

    Attributes:
        encode: returns the JSON of an output, or None if it is too long for a record; raises TaskError if it is not
            what the task type declares.
        make: makes the latest reported partial output, until it is shown.
        partial: a partial output, until a heartbeat has carried it.
        partial_due: when the next one is due, by `time.monotonic`.
        partial_dropped: whether one was too long to show, which is logged once.
        saved: the blobs that it saved, by name.
        register_blobs: records in Redis that the task may have blobs, before the first one is written.
    """

    task_id: str
    attempt: int
    blobs: BlobStore
    encode: Callable[[Any], bytes | None]
    register_blobs: Callable[[], object] = lambda: None
    progress: float | None = None
    make: Callable[[], Any] | None = None
    partial: bytes | None = None
    partial_due: float = 0.0
    stop: Event = field(default_factory=Event)
    partial_dropped: bool = False
    saved: dict[str, Blob] = field(default_factory=dict)


def enter(attempt: RunningAttempt | None) -> None:
    """Sets the attempt that the calling thread runs from now on; None at its end."""
    _attempt.set(attempt)


def report_progress(fraction: float) -> None:
    """Reports how far the running task is, from 0 to 1. Cheap: call it as often as you like; the latest value is sent.

    Raises:
        ValueError: the fraction is not from 0 to 1.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"progress is a number from 0 to 1, not {fraction!r}")
    if attempt := _attempt.get():
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


def cancelled() -> bool:
    """Whether the running task was cancelled. If so, its function should return soon; its result is discarded."""
    attempt = _attempt.get()
    return attempt is not None and attempt.stop.is_set()


def save_blob(name: str, data: bytes, *, media_type: str = "application/octet-stream") -> Blob:
    """Stores bytes that are too large for a result, and returns the `Blob` to return in their place.

    Args:
        name: the file name of the download: letters, digits, '.', '-' and '_', not '.' first, at most 200 bytes in
            UTF-8. Each blob of an attempt needs its own name; saving the same bytes again returns the same blob.
        media_type: Content-Type of the download, such as `image/png` or `text/csv; charset=utf-8`.

    Raises:
        RuntimeError: no task is running in this thread.
        ValueError: the name or the media type is invalid, or this attempt has saved other bytes under the name.
        BlobError: the blob store refuses or does not respond.
    """
    attempt = _attempt.get()
    if attempt is None:
        raise RuntimeError(_NOT_RUNNING)
    if not name or not all(char.isalnum() or char in "._-" for char in name) or name.startswith("."):
        raise ValueError(f"a blob's name may have letters, digits, '-', '_' and, not first, '.'; this is {name!r}")
    if len(name.encode()) > MAX_BLOB_NAME_BYTES:
        raise ValueError(
            f"a blob's name has at most {MAX_BLOB_NAME_BYTES} bytes, not {len(name.encode())}: {name[:40]!r}..."
        )
    if not MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"a media type is ASCII text like 'text/csv; charset=utf-8', not {media_type[:100]!r}")
    blob = Blob(f"{attempt.task_id}/{attempt.attempt}/{name}", len(data), media_type)
    if name in attempt.saved:
        if attempt.saved[name] == blob and attempt.blobs.read_sync(blob.key, 0, len(data)) == bytes(data):
            return blob
        raise ValueError(
            f"this attempt has already saved other bytes as {name!r}, and both would have the same URL: give each blob "
            "its own name, by a number for example"
        )
    if not attempt.saved:
        try:
            attempt.register_blobs()
        except StoreUnavailable as error:
            raise BlobError(f"the blob {blob.key} cannot be registered for deletion: {error}") from error
    attempt.blobs.write_with_retries(blob.key, data, attempt.stop)
    attempt.saved[name] = blob
    return blob
