"""An attempt whose start is deferred: the script that records its end, or its loss, records its start too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeferredStart:
    """How an attempt began that `read_starts` has let run.

    Attributes:
        worker: the worker's name.
        seconds: how long ago.
        waited_seconds: how long the task had waited since it could have started; None unless this is its first attempt.
    """

    worker: str
    seconds: float
    waited_seconds: float | None = None

    @property
    def text(self) -> str:
        """As the scripts take it."""
        waited = "" if self.waited_seconds is None else f"{self.waited_seconds * 1000:.0f}"
        return f"{self.seconds * 1000:.0f} {waited} {self.worker}"
