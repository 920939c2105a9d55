"""Tables and arrays of the attempt that the calling thread runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from cluster.data.data_sink import DataSink
from cluster.store.blob_writer import Written
from cluster.task_types.value_types import Blob
from cluster.worker.graph_tasks import as_completed
from cluster.worker.saved_blobs import register
from cluster.worker.task_context import RunningAttempt, running_attempt


def attempt_sink() -> DataSink | None:
    """Where the running attempt writes its tables and arrays; None outside a task."""
    attempt = running_attempt()
    if attempt is None:
        return None
    return DataSink(
        attempt.blobs,
        attempt.blob_prefix,
        as_completed,
        before_write=partial(register, attempt),
        on_written=partial(_count, attempt),
        stop=attempt.stop,
    )


def _count(attempt: RunningAttempt, key: str, written: Written, media_type: str | None) -> None:
    """Counts a blob against the task's tenant, as those of `save_blob`; one that is a file of its own can be the
    argument of another task."""
    blob = Blob(key, written.size_bytes)
    attempt.saved[key] = blob if media_type is None else replace(blob, media_type=media_type, sha256=written.sha256)
