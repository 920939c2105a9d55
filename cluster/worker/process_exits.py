"""The exits of worker processes: why each ended, and the attempts that were lost with it."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from dataclasses import dataclass
from typing import Any, Literal

from cluster import attempt_errors
from cluster.observability import metrics
from cluster.observability.logs import log_context
from cluster.store.async_store import Store
from cluster.store.deferred_start import DeferredStart
from cluster.system import memory
from cluster.worker.attempt_table import AttemptTable, Entry
from cluster.worker.descendants import Descendants
from cluster.worker.worker_process import WorkerProcess

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Exit:
    """A worker process that has ended, and the attempts that it was running."""

    entries: list[Entry]
    loss_reason: Literal["worker", "memory", "none"]
    error: dict[str, Any]


class ProcessExits:
    """Kills worker processes, and reports the attempts that were lost with any process that ended."""

    def __init__(self, store: Store, table: AttemptTable, descendants: Descendants, process: WorkerProcess) -> None:
        self._store = store
        self._table = table
        self._descendants = descendants
        self._process = process
        self._unreported: list[_Exit] = []
        self._errors: dict[int, dict[str, Any]] = {}
        """By process id: the error of attempts in a process that was killed for a known reason."""
        self._kernel_kills = memory.oom_kill_count()

    def set_error(self, process_id: int, error: dict[str, Any]) -> None:
        """Sets the error of the attempts that are lost with a process, in place of how it ended."""
        self._errors[process_id] = error

    def kill(self, process_id: int) -> None:
        """Kills the worker process with all processes below it."""
        self._descendants.kill(process_id)

    def process_ended(self, exit_code: int, *, orderly: bool) -> None:
        """Called when the worker process has ended, before another one is started.

        Args:
            exit_code: negative for the signal that ended it.
            orderly: whether the nanny was closing, as after a SIGTERM or when the scheduler is gone.
        """
        self._descendants.kill_orphans()
        process_id = self._table.owner
        entries = self._table.entries(process_id)
        self._table.clear()
        error = self._errors.pop(process_id, None) or self._exit_error(exit_code)
        if entries:
            for_memory = attempt_errors.is_out_of_memory(error)
            self._unreported.append(_Exit(entries, "none" if orderly else "memory" if for_memory else "worker", error))

    def _exit_error(self, exit_code: int) -> dict[str, Any]:
        worker, kills = self._process.worker, memory.oom_kill_count()
        known, self._kernel_kills = self._kernel_kills, kills
        if exit_code == -signal.SIGKILL and None not in (kills, known) and kills != known:
            return attempt_errors.out_of_memory(worker, None, "was killed by the kernel")
        if exit_code < 0:
            with contextlib.suppress(ValueError):
                return attempt_errors.worker_lost(worker, f"was killed by {signal.Signals(-exit_code).name}")
        return attempt_errors.worker_lost(worker, f"exited with code {exit_code}" if exit_code else "exited")

    def _deferred_start(self, entry: Entry) -> DeferredStart | None:
        """How an attempt began whose start Redis may not know; without it, its loss would count against nothing."""
        if not (entry.running and entry.deferred):
            return None
        return DeferredStart(self._process.worker, max(0.0, time.monotonic() - entry.started))

    async def report(self) -> None:
        """Marks the attempts of ended processes as lost. Raises StoreUnavailable: a later call reports the rest."""
        while self._unreported:
            ended = self._unreported[0]
            calls = [
                self._store.calls.mark_lost(
                    *entry.key, ended.loss_reason if entry.running else "none", ended.error,
                    deferred=self._deferred_start(entry),
                )
                for entry in ended.entries
            ]  # fmt: skip
            verdicts = await self._store.run_many(calls)
            self._unreported.pop(0)
            for entry, verdict in zip(ended.entries, verdicts, strict=True):
                metrics.count_lost("worker_died", verdict)
                if verdict != "REFUSED":
                    with log_context(taskId=entry.task_id, attempt=entry.attempt):
                        message = ended.error["message"]
                        logger.warning("task %s attempt %d is lost: %s: %s", *entry.key, message, verdict)
