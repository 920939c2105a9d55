"""What a running task function may ask for: `report_progress`, `cancelled`, `save_blob`; and the node's settings."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from cluster.blobs import BlobStore
from cluster.settings import Settings
from cluster.values import Blob

_settings: Settings | None = None
_attempt: ContextVar[RunningAttempt | None] = ContextVar("attempt", default=None)

_NOT_RUNNING: Final = "no task runs here: call this from a task function, in its own thread"


@dataclass
class RunningAttempt:
    """One attempt that runs in this process. The worker's pulse reads `progress` and sets `stop`."""

    task_id: str
    attempt: int
    blobs: BlobStore
    progress: float | None = None
    stop: Event = field(default_factory=Event)


def use_settings(settings: Settings) -> None:
    """Makes the node's settings known to task types; called once, at start."""
    global _settings
    _settings = settings


def current_settings() -> Settings:
    """The settings of this node; the defaults where no node runs (a user's unit test of a function)."""
    return _settings or Settings()


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


def cancelled() -> bool:
    """Whether the running task was cancelled, so that its function should return soon; what it returns is not kept."""
    attempt = _attempt.get()
    return attempt is not None and attempt.stop.is_set()


def save_blob(name: str, data: bytes, *, media_type: str = "application/octet-stream") -> Blob:
    """Stores bytes that are too large for a result, and answers the `Blob` to return in their place.

    Args:
        name: the file name of the download: letters, digits, '.', '-' and '_'.

    Raises:
        RuntimeError: not called by a running task.
        BlobError: the blob store refuses or does not answer.
    """
    attempt = _attempt.get()
    if attempt is None:
        raise RuntimeError(_NOT_RUNNING)
    if not name or not all(char.isalnum() or char in "._-" for char in name) or name.startswith("."):
        raise ValueError(f"a blob's name has letters, digits, '.', '-' and '_' only, not {name!r}")
    key = f"{attempt.task_id}/{attempt.attempt}/{name}"
    attempt.blobs.write(key, data)
    return Blob(key=key, size_bytes=len(data), media_type=media_type)
