"""The heartbeat of a worker's running attempts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, TypeAlias

from cluster.system.background import BackgroundThread
from cluster.worker.deferred_starts import record_start
from cluster.worker.executor import Executor
from cluster.worker.progress_note import ProgressNote

ROUND_SECONDS: Final = 0.25
"""How often running attempts report new progress and check whether they were cancelled."""

Report: TypeAlias = tuple[float | None, ProgressNote]
"""The fraction, and what was reported beside it."""

HEARTBEAT_SECONDS: Final = 1.0
"""How often an attempt without new progress sends a heartbeat."""


class HeartbeatThread:
    """Sends the heartbeats of a worker's running attempts from a thread of its own, so that no task function waits for
    Redis. A heartbeat carries progress, partial output and printed lines; its reply stops an attempt that must not
    continue."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._sent: dict[tuple[str, int], tuple[Report, int]] = {}
        """The report that was last sent for each attempt, and the number of the round."""
        self._round_number = 0
        self.thread = BackgroundThread("heartbeat", self._round, pause_seconds=ROUND_SECONDS)

    def _round(self) -> None:
        store = self._executor.store
        self._round_number += 1
        running = dict(self._executor.running)
        self._sent = {key: value for key, value in self._sent.items() if key in running}
        for key, attempt in running.items():
            # Short tasks finish before they are seen twice, and cost nothing here.
            sent, last = self._sent.setdefault(key, ((None, ProgressNote()), self._round_number))
            if attempt.stream:
                attempt.stream.send_overdue(partial(self._append_items, *key))
            shown = attempt.partial
            silent_seconds = (self._round_number - last) * ROUND_SECONDS
            has_lines = attempt.log.due()
            report = attempt.progress, attempt.note
            nothing_new = report == sent and not shown and not has_lines
            if nothing_new and silent_seconds < HEARTBEAT_SECONDS:
                continue
            record_start(attempt, store.run_once)
            last_line, lines = attempt.log.pending() if has_lines else (0, b"")
            may_continue = store.run_once(store.calls.progress(*key, report[0], shown or b"", lines, *report[1]))
            self._sent[key] = (report, self._round_number)
            if has_lines:
                attempt.log.sent(last_line)
            if shown is not None:
                # Only now that Redis has it. The task's thread writes the next one only if there is none.
                attempt.partial = None
            if not may_continue:
                attempt.stop.set()

    def _append_items(self, task_id: str, attempt: int, before: int, items: Sequence[bytes]) -> int:
        store = self._executor.store
        return store.run_once(store.calls.append_items(task_id, attempt, before, items))
