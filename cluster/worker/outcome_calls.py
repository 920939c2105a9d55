"""The call that stores the outcome of an attempt, and what its reply means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cluster.store.deferred_start import DeferredStart
from cluster.store.lua_scripts import Call
from cluster.store.replies import StartReply
from cluster.store.script_calls import Calls
from cluster.task_types.file import MANIFEST
from cluster.task_types.retry_policy import NO_RETRIES, Retries
from cluster.task_types.task_type import TaskType
from cluster.task_types.value_types import Blob
from cluster.worker.outcome import Failed, Outcome, Succeeded
from cluster.worker.output_capture import finish_lines
from cluster.worker.task_context import RunningAttempt

NOTHING_KEPT: Final = 2
"""The reply to `finish` if no earlier attempt has a result that is kept."""
PLATFORM_RETRIES: Final = Retries(10, delay=5, max_delay=300)
"""Retries of a task whose blobs could not be stored, in addition to its own `retries`: half an hour in all."""
HAND_BACK_RETRIES: Final = Retries(10_000, delay=2, max_delay=30)
"""Retries of a task that found no room to wait for its children: it is no failure."""
MIN_WAITED_SECONDS: Final = 0.1
"""What an attempt that waited for children is reported to take at least: it shares no Dask task with others, which it
would keep waiting."""


def store_outcome(
    calls: Calls,
    running: RunningAttempt,
    task_type: TaskType | None,
    version: str,
    outcome: Outcome,
    deferred: DeferredStart | None = None,
) -> Call[Any]:
    """The call that stores an outcome of a task that was submitted for this version of its type.

    Args:
        deferred: how the attempt began, if its start was deferred.
    """
    task_id, attempt = running.task_id, running.attempt
    kept_bytes = running.checkpoint_bytes + sum(blob.size_bytes for blob in saved_blobs(running, outcome))
    if running.stream:
        kept_bytes += running.stream.size_bytes
    finish_lines(running)
    _, lines = running.log.pending()
    if isinstance(outcome, Succeeded):
        # The code has changed since, or is older on this worker.
        made_by = task_type.version if task_type and version not in ("", task_type.version) else ""
        return calls.finish(
            task_id, attempt, outcome.result, kept_bytes=kept_bytes, lines=lines, made_by=made_by,
            deferred=deferred,
        )  # fmt: skip
    if running.stop.is_set():
        # Redis has told it to stop, so its failure says nothing of the task. Usually it was cancelled or replaced,
        # and this is refused too. Or Redis lost the attempt's start in its last second: then it runs again.
        return calls.mark_lost(task_id, attempt, "none", outcome.error)
    if outcome.handed_back:
        return calls.fail(
            task_id, attempt, outcome.error, retries=HAND_BACK_RETRIES, counter="handed_back",
            kept_bytes=kept_bytes, lines=lines, deferred=deferred,
        )  # fmt: skip
    if outcome.platform:
        return calls.fail(
            task_id, attempt, outcome.error, retries=PLATFORM_RETRIES, counter="unstored", kept_bytes=kept_bytes,
            lines=lines, deferred=deferred,
        )  # fmt: skip
    retries = task_type.retries if task_type else NO_RETRIES
    return calls.fail(
        task_id, attempt, outcome.error, retries=retries, allowed=outcome.retries, kept_bytes=kept_bytes,
        lines=lines, deferred=deferred,
    )  # fmt: skip


def own_seconds(seconds: float, waited_seconds: float) -> float:
    """How long an attempt occupied its thread."""
    return max(MIN_WAITED_SECONDS, seconds - waited_seconds) if waited_seconds else seconds


def saved_blobs(running: RunningAttempt, outcome: Outcome) -> set[Blob]:
    """The blobs of an attempt: those that its own thread saved, and those that parts of its graph did, if it returned
    them."""
    returned = outcome.blobs if isinstance(outcome, Succeeded) else ()
    prefix = f"{running.blob_prefix}/"
    return {*running.saved.values(), *(blob for blob in returned if blob.key.startswith(prefix))}


def needs_no_earlier(running: RunningAttempt, outcome: Outcome, start: StartReply) -> bool:
    """Whether a successful attempt uses nothing that earlier ones saved, to which a checkpoint may have led it."""
    returned = outcome.blobs if isinstance(outcome, Succeeded) else ()
    own = all(blob.key.startswith(f"{running.blob_prefix}/") for blob in returned)
    return running.attempt > 1 and own and not start.checkpoint


def size_as_file(blob: Blob, saved: Iterable[Blob]) -> int:
    """The length of a file that other tasks take; of a manifest, that of all that it lists too."""
    if blob.media_type != MANIFEST:
        return blob.size_bytes
    return blob.size_bytes + sum(it.size_bytes for it in saved if it.key.startswith(f"{blob.key}."))


def verdict_on(outcome: Outcome, reply: Any) -> str:
    """What the store did with an outcome: `SUCCEEDED`, `FAILED`, `RETRY` or `REFUSED`."""
    if isinstance(outcome, Failed):
        return "RETRY" if reply == "QUEUED" else str(reply)
    return "SUCCEEDED" if reply else "REFUSED"
