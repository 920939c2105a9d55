"""What a running task function may call: report progress and partial outputs, save blobs, see if it was cancelled."""

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

PARTIAL_SECONDS: Final = 0.25
"""Shortest time between two partial outputs of one attempt; the pulse takes them no more often."""
PARTIAL_BYTES_PER_SECOND: Final = 256 * 1024
"""Longer partial outputs come less often: each is written to Redis and its file."""
TOO_LONG_SECONDS: Final = 10.0
"""Time until the next look at a partial output after one that was too long to show."""

BLOB_NAME_BYTES: Final = 200
"""Longest name of a blob, in UTF-8: file systems end at 255."""

_NOT_RUNNING: Final = "no task runs here: call this from a task function, in its own thread"


@dataclass
class RunningAttempt:
    """One attempt that runs in this process. The worker's pulse reads `progress`, takes `partial` and sets `stop`.

    Attributes:
        encode: the JSON of an output, None where it is too long for a record; raises TaskError where it is not what the
            task type declares.
        make: makes what was reported last of the output, until it is shown.
        partial: what there is of the output, until the pulse has taken it.
        partial_due: when the next one is wanted, by `time.monotonic`.
        partial_dropped: whether one was too long to show, which the log says once.
        saved: the blobs that it saved, by name.
        register_blobs: says in Redis that the task may have blobs, before the first one is written.
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
    """Says which attempt the calling thread runs from here on; None at its end."""
    _attempt.set(attempt)


def report_progress(fraction: float) -> None:
    """Tells how far the running task is, 0 to 1. Cheap: call it as often as you like; the newest value is sent on.

    Raises:
        ValueError: the fraction is not from 0 to 1.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"progress is a number from 0 to 1, not {fraction!r}")
    if attempt := _attempt.get():
        attempt.progress = fraction


def report_partial(make: Callable[[], Any]) -> None:
    """Shows what there is of the running task's output: a picture that grows, the rows so far.

    Call it as often as you like: `make` is called when the next one is wanted, four times a second at most, less often
    for long ones, by this or a later call, or by `as_completed` while it waits; always in this thread. Subscribers see
    it as `Task.partial` until the task ends; nothing of it is kept. One that is too long for a record is not shown: the
    worker's log says so, and the task goes on.

    Args:
        make: answers the output as it is now, of the type that the task declares.

    Raises:
        TaskError: it is not of that type.
    """
    if attempt := _attempt.get():
        attempt.make = make
        show_partial()


def show_partial() -> None:
    """Shows what was reported last of the output, if there is something and another look is wanted.

    For whoever waits in the task's thread: the last of several reports may have come too early.
    """
    attempt = _attempt.get()
    if attempt is None or attempt.make is None or attempt.partial is not None:
        return
    if time.monotonic() < attempt.partial_due:
        return
    make, attempt.make = attempt.make, None
    partial = attempt.encode(make())
    if partial is None:
        attempt.partial_due = time.monotonic() + TOO_LONG_SECONDS
        return
    attempt.partial_due = time.monotonic() + max(PARTIAL_SECONDS, len(partial) / PARTIAL_BYTES_PER_SECOND)
    attempt.partial = partial


def running_attempt() -> RunningAttempt | None:
    """The attempt that the calling thread runs; None outside of a running task, as in a unit test."""
    return _attempt.get()


def cancelled() -> bool:
    """Whether the running task was cancelled, so that its function should return soon; what it returns is not kept."""
    attempt = _attempt.get()
    return attempt is not None and attempt.stop.is_set()


def save_blob(name: str, data: bytes, *, media_type: str = "application/octet-stream") -> Blob:
    """Stores bytes that are too large for a result, and answers the `Blob` to return in their place.

    Args:
        name: the file name of the download: letters, digits, '.', '-' and '_', at most 200 bytes in UTF-8. One attempt
            saves one blob of a name; the same bytes again are the same blob.
        media_type: Content-Type of the download, such as `image/png` or `text/csv; charset=utf-8`.

    Raises:
        RuntimeError: not called by a running task.
        ValueError: the name or the media type is none, or this attempt has saved other bytes under the name.
        BlobError: the blob store refuses or does not answer.
    """
    attempt = _attempt.get()
    if attempt is None:
        raise RuntimeError(_NOT_RUNNING)
    if not name or not all(char.isalnum() or char in "._-" for char in name) or name.startswith("."):
        raise ValueError(f"a blob's name has letters, digits, '.', '-' and '_' only, not {name!r}")
    if len(name.encode()) > BLOB_NAME_BYTES:
        raise ValueError(
            f"a blob's name has at most {BLOB_NAME_BYTES} bytes, not {len(name.encode())}: {name[:40]!r}..."
        )
    if not MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"a media type is ASCII, as 'text/csv; charset=utf-8', not {media_type[:100]!r}")
    blob = Blob(f"{attempt.task_id}/{attempt.attempt}/{name}", len(data), media_type)
    if name in attempt.saved:
        if attempt.saved[name] == blob and attempt.blobs.read_sync(blob.key, 0, len(data)) == bytes(data):
            return blob
        raise ValueError(
            f"this attempt has saved other bytes as {name!r} already, and both would have one URL: give each blob a "
            "name of its own, as by a number"
        )
    if not attempt.saved:
        try:
            attempt.register_blobs()
        except StoreUnavailable as error:
            raise BlobError(f"the blob {blob.key} cannot be noted for its deletion: {error}") from error
    attempt.blobs.write_with_retries(blob.key, data, attempt.stop)
    attempt.saved[name] = blob
    return blob
