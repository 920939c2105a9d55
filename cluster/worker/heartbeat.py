"""The heartbeat of a worker's running attempts."""

from __future__ import annotations

from typing import Final

from cluster.system.background import BackgroundThread
from cluster.worker.executor import Executor

PULSE_SECONDS: Final = 0.25
"""How often running attempts say that they live, tell their progress, and hear whether they were cancelled."""

QUIET_SECONDS: Final = 1.0
"""How often an attempt without new progress says so."""


class HeartbeatThread:
    """Speaks for a worker's running attempts, in a thread of its own, so that no task function waits for Redis."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._told: dict[tuple[str, int], tuple[float | None, int]] = {}
        self._beat = 0
        self.thread = BackgroundThread("pulse", self._round, pause_seconds=PULSE_SECONDS)

    def _round(self) -> None:
        store = self._executor.store
        self._beat += 1
        running = dict(self._executor.running)
        self._told = {key: value for key, value in self._told.items() if key in running}
        for key, attempt in running.items():
            # Short tasks end before they are seen twice, and cost nothing here.
            fraction, last = self._told.setdefault(key, (None, self._beat))
            partial = attempt.partial
            quiet = (self._beat - last) * PULSE_SECONDS
            if attempt.progress == fraction and not partial and quiet < QUIET_SECONDS:
                continue
            fraction = attempt.progress
            may_go_on = store.run_once(store.calls.progress(*key, fraction, partial or b""))
            self._told[key] = (fraction, self._beat)
            if partial is not None:
                # Now that Redis has it. The task's thread writes the next one only where there is none.
                attempt.partial = None
            if not may_go_on:
                attempt.stop.set()
