"""An attempt whose reports are recorded, and whose graphs run in this process."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from cluster.errors import TaskError
from cluster.task_types.value_types import Blob
from cluster.worker.task_context import RunningAttempt, enter, part_id


def _ignore(_: Any) -> None: ...


class RecordedAttempt(RunningAttempt):
    """As a heartbeat would see it, if one came after every report.

    Attributes:
        on_progress: called with each fraction.
        on_partial: called with the JSON of each partial output; none is skipped for coming too soon.
        cancelled: whether the task was cancelled.
    """

    on_progress: Callable[[float], None] = staticmethod(_ignore)
    on_partial: Callable[[bytes], None] = staticmethod(_ignore)
    cancelled: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.compute_here = self._compute
        self._parts: list[RunningAttempt] = []

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "progress" and value is not None:
            self.on_progress(value)
        elif name == "partial" and value is not None:
            self.on_partial(value)
            return
        elif name == "partial_due":
            return
        super().__setattr__(name, value)

    def cancel(self) -> None:
        self.cancelled = True
        self.stop.set()

    @property
    def all_blobs(self) -> list[Blob]:
        """What it saved, and what the parts of its graphs did."""
        return [blob for attempt in (self, *self._parts) for blob in attempt.saved.values()]

    def _compute(self, collection: Any) -> Any:
        """The value of a collection; each part of its graph has a context of its own, as on a worker."""
        from dask.callbacks import Callback

        def before(key: Hashable, *_: Any) -> None:
            if self.stop.is_set():
                raise TaskError("CANCELLED", "the task was cancelled")
            part = RunningAttempt(self.task_id, self.attempt, self.blobs, lambda value: None, part=part_id(str(key)))
            self._parts.append(part)
            enter(part)

        def after(*_: Any) -> None:
            enter(self)

        try:
            with Callback(pretask=before, posttask=after):
                return collection.compute(scheduler="synchronous")
        finally:
            enter(self)
