"""What `run_task` returns."""

from __future__ import annotations

import shutil
import weakref
from dataclasses import dataclass, field
from typing import Any

from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.record import TaskState
from cluster.task_types.task_type import Bound
from cluster.task_types.value_types import Blob
from dask_graphql.client.errors import TaskCancelled, TaskFailed
from dask_graphql.testing.kept_data import make_readable


@dataclass
class Attempt:
    """One try to run the function.

    Attributes:
        number: counted from 1.
        progress: every fraction that it reported, in order.
        partials: every partial output that it reported, as clients read it.
        blobs: what it saved, by `save_blob`.
        items: the items of its stream, read back from their JSON.
        error: JSON object with `code`, `message`, `type`, and `traceback` if the function raised; None if it succeeded.
        retry_allowed: whether the task type allows another attempt after this error, if any is left.
    """

    number: int
    progress: list[float] = field(default_factory=list)
    partials: list[Any] = field(default_factory=list)
    blobs: list[Blob] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    error: dict[str, Any] | None = None
    retry_allowed: bool = False


class Outcome:
    """How a task ended. Its blobs are in a temporary folder, which is removed with this object.

    Attributes:
        task_id: the task's id, where tenants share tasks.
        input: the canonical JSON of the arguments.
        state: SUCCEEDED, FAILED or CANCELLED.
        result: the JSON of the output, as the record has it; None without one.
        error: JSON object with `code`, `message`, `type`; None if it succeeded.
        attempts: the attempts, of which the last one decided.
        blob_store: for methods of the output (`@result_field`) that read blobs.
    """

    def __init__(self, bound: Bound, blob_store: FolderBlobStore) -> None:
        self.task_id = bound.task_id
        self.input = bound.canonical_input
        self.state = TaskState.QUEUED
        self.result: bytes | None = None
        self.error: dict[str, Any] | None = None
        self.attempts: list[Attempt] = []
        self.blob_store = blob_store
        self._output = bound.task_type.output
        self._is_stream = bound.task_type.items is not None
        weakref.finalize(self, shutil.rmtree, blob_store.folder, ignore_errors=True)

    def __repr__(self) -> str:
        shown = self.error["code"] if self.error else (self.result or b"")[:80]
        return f"<Outcome {self.state} {shown!r} after {len(self.attempts)} attempt(s)>"

    @property
    def value(self) -> Any:
        """The output, read back from its JSON; of a stream, the list of its items. Tables and arrays in it have the
        methods of a client's: `to_pandas()`, `to_arrow()`, `to_numpy()` and others.

        Raises:
            TaskFailed: the task failed; with the traceback, if the function raised.
            TaskCancelled: it was cancelled.
        """
        if self.state is TaskState.CANCELLED:
            raise TaskCancelled(self.task_id)
        if self.error is not None:
            failed = TaskFailed(self.error["code"], self.error["message"], self.error["type"])
            if traceback := self.error.get("traceback"):
                failed.add_note(traceback)
            raise failed
        assert self.result is not None
        if self._is_stream:
            return self.attempts[-1].items
        return make_readable(self._output.read(self.result), self)

    @property
    def progress(self) -> list[float]:
        """Every fraction that the last attempt reported, in order."""
        return self.attempts[-1].progress

    @property
    def partials(self) -> list[Any]:
        """Every partial output that the last attempt reported, in order."""
        return self.attempts[-1].partials

    @property
    def blobs(self) -> dict[str, Blob]:
        """What the last attempt saved, by name."""
        return {blob.key.rpartition("/")[2]: blob for blob in self.attempts[-1].blobs}

    def read(self, blob: Blob) -> bytes:
        """The content of a blob of the output or of `blobs`."""
        return self.blob_store.read_sync(blob.key, 0, blob.size_bytes)
