"""The watchdog: in the nanny's process, it keeps the attempts of the worker process alive and ends those that must end.

It sends their heartbeats to Redis, so that an attempt that holds its interpreter for minutes is not taken for lost. An
attempt that has been queued behind others of its Dask task for too long is requeued, to run elsewhere. An attempt past
its time limit fails; one that was revoked (cancelled, failed, superseded) gets a grace period to return by itself.
After that the worker process is killed; its other attempts are requeued first, and not counted as lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from cluster import attempt_errors
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.observability.logs import log_context
from cluster.store.async_store import Store
from cluster.store.task_calls import LossReason
from cluster.worker.attempt_table import AttemptKey, AttemptTable, Entry
from cluster.worker.descendants import Descendants
from cluster.worker.process_exits import ProcessExits
from cluster.worker.process_health import ProcessHealth
from cluster.worker.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 0.25
"""Pause between two checks."""
HEARTBEAT_SECONDS: Final = 1.0
"""How often the heartbeat of a running attempt is sent; shorter attempts need none and cost nothing."""
MAX_QUEUED_BEHIND_SECONDS: Final = 0.25
"""How long an attempt may be queued behind others of its Dask task; such a batch is planned for a fifth of that."""
MAX_DEFERRED_SECONDS: Final = 0.1
"""After how long the start of a running attempt is recorded that was deferred."""
GRACE_SECONDS: Final = 1.0
"""How long a function may run on after its attempt has ended in the record."""
REAP_SECONDS: Final = 5.0
"""How often orphans of tasks that have ended are waited for."""


class Watchdog:
    """Watches one worker process after another, of one worker.

    Attributes:
        exits: reports worker processes that ended.
        health: kills a worker process that uses too much memory or is stuck.
        spares_process: whether an attempt that does not return is left alone as long as another one runs, because the
            process ends what it runs and gets nothing more.
    """

    def __init__(self, store: Store, table: AttemptTable, descendants: Descendants, process: WorkerProcess) -> None:
        self.exits = ProcessExits(store, table, descendants, process)
        self.health = ProcessHealth(table, process, self.exits)
        self.spares_process = False
        self._store = store
        self._table = table
        self._descendants = descendants
        self._process = process
        self._revoked: dict[AttemptKey, float] = {}
        self._heartbeat_at: dict[AttemptKey, float] = {}
        self._requeued: set[AttemptKey] = set()
        self._started: set[AttemptKey] = set()
        self._reaped_at = 0.0

    async def check(self, now: float) -> None:
        """One round: sends heartbeats, fails attempts that timed out, ends what must end. Raises StoreUnavailable."""
        await self.exits.report()
        process_id = self._process.process_id()
        entries = self._table.entries(process_id)
        self._requeued &= {entry.key for entry in entries}
        behind = [entry for entry in entries if entry.queued_behind_seconds(now) > MAX_QUEUED_BEHIND_SECONDS]
        # One that has begun since the table was read runs here, and would run twice.
        await self.requeue(self._withdrawn(behind, process_id), "unbegun")
        running = {entry.key: entry for entry in entries if entry.running}
        self._heartbeat_at = {key: at for key, at in self._heartbeat_at.items() if key in running}
        self._revoked = {key: at for key, at in self._revoked.items() if key in running}
        await self._record_starts(running, now)
        await self._send_heartbeats(running, now)
        for entry in running.values():
            if now > entry.deadline and entry.key not in self._revoked:
                await self._time_out(entry, now)
        overdue = {key for key, since in self._revoked.items() if now - since > GRACE_SECONDS}
        # A call that serves several attempts goes on as long as one of them is wanted.
        wanted = {entry.group for entry in running.values() if entry.group and entry.key not in overdue}
        overdue = {key for key in overdue if running[key].group not in wanted}
        if overdue and not (self.spares_process and running.keys() - overdue):
            await self._kill_process_of(overdue)
        else:
            await self.health.check_event_loop(process_id, now)
        if process_id and now - self._reaped_at > REAP_SECONDS:
            self._reaped_at = now
            self._descendants.reap(process_id)

    def _withdrawn(self, entries: Sequence[Entry], process_id: int | None) -> list[Entry]:
        """Withdraws entries from the worker process, and returns those that it has not begun."""
        if not entries:
            return []
        self._table.withdraw(entries)
        begun = {entry.key for entry in self._table.entries(process_id) if entry.running}
        return [entry for entry in entries if entry.key not in begun]

    async def _record_starts(self, running: dict[AttemptKey, Entry], now: float) -> None:
        """Records the start of attempts that were expected to be short, so that it was deferred, and are not."""
        self._started &= running.keys()
        late = [
            key
            for key, entry in running.items()
            if entry.deferred and key not in self._started and now - entry.started > MAX_DEFERRED_SECONDS
        ]
        calls = [self._store.calls.start(*key, self._process.worker) for key in late]
        for key, reply in zip(late, await self._store.run_many(calls) if calls else (), strict=True):
            self._started.add(key)
            if reply.verdict != "RUN":
                self._revoked[key] = now

    async def _send_heartbeats(self, running: dict[AttemptKey, Entry], now: float) -> None:
        due = [
            key
            for key, entry in running.items()
            if key not in self._revoked and now - self._heartbeat_at.get(key, entry.started) >= HEARTBEAT_SECONDS
        ]
        if due and self._process.is_stopped:
            return  # without heartbeats, its attempts run elsewhere if it stays stopped
        replies = await self._store.run_many([self._store.calls.progress(*key, None) for key in due])
        for key, may_continue in zip(due, replies, strict=True):
            self._heartbeat_at[key] = now
            if not may_continue:
                self._revoked[key] = now

    async def _time_out(self, entry: Entry, now: float) -> None:
        limit = entry.deadline - entry.started
        call = self._store.calls.fail(*entry.key, attempt_errors.timeout(limit), retries=entry.retries)
        verdict = await self._store.run(call)
        if verdict != "REFUSED":
            metrics.OVERDUE.inc()
        with log_context(taskId=entry.task_id, attempt=entry.attempt):
            logger.warning("task %s attempt %d exceeded its time limit: %s", *entry.key, verdict)
        self._revoked[entry.key] = now

    async def _kill_process_of(self, overdue: set[AttemptKey]) -> None:
        """Kills the worker process because some attempts do not return; its other attempts are requeued first.

        Raises StoreUnavailable: the process goes on until a later round.
        """
        async with self._process.ending, self._process.suspended() as process_id:
            # An overdue attempt may have returned since the last look.
            entries = self._table.entries(process_id)
            if process_id is None or not overdue & {entry.key for entry in entries}:
                return
            for key in overdue:
                with log_context(taskId=key[0], attempt=key[1]):
                    logger.warning("task %s attempt %d does not return; its worker process is killed", *key)
            await self._kill(process_id, [entry for entry in entries if entry.key not in overdue])

    async def end_process(self, started_before: float | None = None) -> bool:
        """Ends the worker process if it runs an attempt that started before a time (of `time.monotonic`), or in any
        case without one; its attempts are requeued. The nanny starts another process. Returns whether it was ended.

        Raises:
            StoreUnavailable: it goes on.
        """
        async with self._process.ending, self._process.suspended() as process_id:
            entries = self._table.entries(process_id)
            old = [entry for entry in entries if entry.running and entry.started < (started_before or 0.0)]
            if process_id is None or not (old or started_before is None):
                return False
            await self._kill(process_id, entries)
            return True

    async def _kill(self, process_id: int, requeued: Sequence[Entry]) -> None:
        """Kills the worker process, which must be suspended."""
        # Requeued before the process is gone, so that the fence refuses the loss that Dask reports then; and after the
        # scheduler was notified, or it would send them here again.
        await self._process.announce_leaving(True)
        try:
            await self.requeue(requeued)
        except BaseException:
            await self._process.announce_leaving(False)
            raise
        self.exits.kill(process_id)

    async def requeue(self, entries: Sequence[Entry], loss_reason: LossReason = "none") -> None:
        """Requeues attempts to run elsewhere, not counted as lost: the fence lets them neither start nor finish here.

        Args:
            loss_reason: `unbegun` to leave those alone that have started.

        Raises StoreUnavailable: the state of each is unknown, and the next round requeues them.
        """
        entries = [entry for entry in entries if entry.key not in self._requeued]
        if not entries:
            return
        reason = attempt_errors.error(
            "WORKER_LOST", f"the worker {self._process.worker} requeued the attempt, to run elsewhere"
        )
        verdicts = await self._store.run_many(
            [self._store.calls.mark_lost(*entry.key, loss_reason, reason) for entry in entries]
        )
        self._requeued |= {entry.key for entry, verdict in zip(entries, verdicts, strict=True) if verdict != "BEGUN"}
        for verdict in verdicts:
            metrics.count_lost("ended", verdict)

    async def requeue_before_exit(self, entries: Iterable[Entry]) -> None:
        """As `requeue`, for a worker that exits: it does not wait for a Redis that is unavailable."""
        try:
            await self.requeue(list(entries))
        except StoreUnavailable as error:
            logger.warning("attempts of this worker are left to the recoverer: %s", error)
