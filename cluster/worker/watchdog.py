"""The warden: in the nanny's process, it speaks for the attempts of its worker process and ends what must end.

It says in Redis and to the scheduler that they live, so that an attempt which holds its interpreter for minutes is not
taken for lost. One that waits behind others of its Dask task for longer than it should is given back, to run elsewhere.
An attempt past its time limit is failed; one that is no longer wanted (cancelled, failed, superseded) gets a grace
period to return by itself. Then the worker process goes, and its other attempts are given back first, uncharged.

It also ends a worker process that takes too much memory, or that answers nobody any more, and says of one that ended by
itself how it did.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import psutil

from cluster import attempt_errors
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.observability.logs import log_context
from cluster.store.async_store import Store
from cluster.system import memory
from cluster.worker.attempt_table import AttemptTable, Entry
from cluster.worker.descendants import Descendants

logger = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.25
"""Pause between two rounds."""
MEMORY_SECONDS: Final = 0.1
"""Pause between two looks at the worker process's memory."""
BEAT_SECONDS: Final = 1.0
"""How often a running attempt is spoken for; shorter ones come and go unseen, at no cost."""
BEHIND_SECONDS: Final = 0.25
"""How long an attempt may wait behind others of its Dask task, in which there is a fifth of that to do."""
GRACE_SECONDS: Final = 1.0
"""How long a function may go on after its attempt has ended in the record."""
FRESH_SECONDS: Final = 3.0
"""How old the beat of an event loop, or of a thread, may be that works. Each beats twice a second."""
REAP_SECONDS: Final = 5.0
"""How often what tasks left behind, and has ended since, is taken note of."""

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """What the warden must know of its worker process, and may ask for.

    Attributes:
        worker: the worker's name.
        process_id: answers the process's id; None while there is none.
        memory_limit_bytes: what it may take, in all; None for no limit.
        memory_share: the share of that at which it is ended; 0 for never.
        stuck_seconds: how long its event loop may stand still while its threads run; 0 for ever.
        leaving: tells the scheduler that nothing more must go to it, or, with False, that it may again.
    """

    worker: str
    process_id: Callable[[], int | None]
    leaving: Callable[[bool], Awaitable[None]]
    memory_limit_bytes: int | None = None
    memory_share: float = 0.0
    stuck_seconds: float = 0.0


@dataclass(slots=True)
class _Ended:
    """A worker process that has ended, and what it ran then."""

    entries: list[Entry]
    loss_reason: Literal["worker", "none"]
    error: dict[str, Any]


class Watchdog:
    """Watches one worker process after another, of one worker."""

    def __init__(self, store: Store, board: AttemptTable, descendants: Descendants, process: WorkerProcess) -> None:
        self._store = store
        self._board = board
        self._descendants = descendants
        self._process = process
        self._unwanted: dict[Key, float] = {}
        self._beaten: dict[Key, float] = {}
        self._given_back: set[Key] = set()
        self._stuck_since: float | None = None
        self._reaped = 0.0
        self._ending = asyncio.Lock()
        self._ended: list[_Ended] = []
        self._reasons: dict[int, dict[str, Any]] = {}
        self._kernel_kills = memory.oom_kill_count()

    # Rounds -----------------------------------------------------------------------------------------------------------

    async def turn(self, now: float) -> None:
        """One round: beat, judge, end. Raises StoreUnavailable."""
        await self.tell_ended()
        process_id = self._process.process_id()
        board = self._board.entries(process_id)
        keys = {_key(entry) for entry in board}
        self._given_back &= keys
        await self.give_back([entry for entry in board if entry.behind(now) > BEHIND_SECONDS])
        entries = {_key(entry): entry for entry in board if entry.running}
        self._beaten = {key: at for key, at in self._beaten.items() if key in entries}
        self._unwanted = {key: at for key, at in self._unwanted.items() if key in entries}
        await self._beat(entries, now)
        for entry in entries.values():
            if now > entry.deadline and _key(entry) not in self._unwanted:
                await self._time_out(entry, now)
        if over := {key for key, since in self._unwanted.items() if now - since > GRACE_SECONDS}:
            await self._end(over)
        elif self._is_stuck(process_id, now):
            await self._end_stuck(now)
        if process_id and now - self._reaped > REAP_SECONDS:
            self._reaped = now
            self._descendants.reap(process_id)

    async def _beat(self, entries: dict[Key, Entry], now: float) -> None:
        due = [
            key
            for key, entry in entries.items()
            if key not in self._unwanted and now - self._beaten.get(key, entry.started) >= BEAT_SECONDS
        ]
        if due and self.is_stopped:
            return  # nobody speaks for it: if it stays so, its attempts run elsewhere
        answers = await self._store.run_many([self._store.calls.progress(*key, None) for key in due])
        for key, wanted in zip(due, answers, strict=True):
            self._beaten[key] = now
            if not wanted:
                self._unwanted[key] = now

    @property
    def is_stopped(self) -> bool:
        """Whether there is a worker process that somebody has stopped (SIGSTOP), so that nothing in it works."""
        process_id = self._process.process_id()
        with contextlib.suppress(psutil.Error):
            return process_id is not None and psutil.Process(process_id).status() == psutil.STATUS_STOPPED
        return False

    async def _time_out(self, entry: Entry, now: float) -> None:
        limit = entry.deadline - entry.started
        error = attempt_errors.error("TIMEOUT", f"the task ran longer than its limit of {limit:g} s")
        verdict = await self._store.run(
            self._store.calls.fail(*_key(entry), error, retries=entry.retries, delay_seconds=1.0)
        )
        if verdict != "REFUSED":
            metrics.OVERDUE.inc()
        with log_context(taskId=entry.task_id, attempt=entry.attempt):
            logger.warning("task %s attempt %d is over its limit: %s", entry.task_id, entry.attempt, verdict)
        self._unwanted[_key(entry)] = now

    # Ending a worker process ------------------------------------------------------------------------------------------

    async def _end(self, culprits: set[Key]) -> None:
        """Ends the worker process for the sake of attempts that do not return; what else it has is given back first.

        Raises StoreUnavailable: then it goes on, until a later round.
        """
        async with self._ending, self._suspended() as process_id:
            # A culprit may have returned since it was looked at.
            entries = self._board.entries(process_id)
            if process_id is None or not culprits & {_key(entry) for entry in entries}:
                return
            for key in culprits:
                with log_context(taskId=key[0], attempt=key[1]):
                    logger.warning("task %s attempt %d does not return; its worker process goes", *key)
            # Before the process is gone, so that the loss which Dask reports then meets the fence; and after the
            # scheduler knows, or it would send them here again.
            await self._process.leaving(True)
            try:
                await self.give_back([entry for entry in entries if _key(entry) not in culprits])
            except BaseException:
                await self._process.leaving(False)
                raise
            self._descendants.end(process_id)

    async def look_at_memory(self) -> None:
        """Ends the worker process if it takes too much: what it runs is charged, and hears why."""
        process_id, limit = self._process.process_id(), self._process.memory_limit_bytes
        if not limit or not self._process.memory_share or process_id is None:
            return
        taken = memory.resident_bytes(process_id)
        if taken is None or taken <= limit * self._process.memory_share:
            return
        how = f"was ended at {self._process.memory_share:.0%} of it"
        self._reasons[process_id] = attempt_errors.out_of_memory(self._process.worker, limit, how)
        logger.warning("the worker process takes %d bytes of %d and is ended", taken, limit)
        async with self._ending, self._suspended() as suspended:
            if suspended != process_id:
                return
            await self._process.leaving(True)
            self._descendants.end(process_id)

    def _is_stuck(self, process_id: int | None, now: float) -> bool:
        """Whether the event loop of the process stands still for too long though its threads run. Where they do not, a
        task holds the interpreter, as it may, or the machine stands still."""
        beats = self._board.beats(process_id)
        limit = self._process.stuck_seconds
        if not limit or beats is None or now - beats.loop < FRESH_SECONDS or now - beats.thread > FRESH_SECONDS:
            self._stuck_since = None
            return False
        if self._stuck_since is None:
            self._stuck_since = now
        return now - self._stuck_since > limit

    async def _end_stuck(self, now: float) -> None:
        async with self._ending:
            process_id = self._process.process_id()
            if process_id is None or not self._is_stuck(process_id, now):
                return
            how = f"answered nobody for {self._process.stuck_seconds:g} s"
            logger.error("the worker process %s and is ended", how)
            self._reasons[process_id] = attempt_errors.worker_lost(self._process.worker, how)
            self._stuck_since = None
            await self._process.leaving(True)
            self._descendants.end(process_id)

    @contextlib.asynccontextmanager
    async def _suspended(self) -> Any:
        """The worker process, stopped for a moment: what it began now would be lost with it, and be charged."""
        process_id = self._process.process_id()
        try:
            if process_id is not None:
                os.kill(process_id, signal.SIGSTOP)
        except ProcessLookupError:
            process_id = None
        try:
            yield process_id
        finally:
            if process_id is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGCONT)

    # After it ---------------------------------------------------------------------------------------------------------

    def process_ended(self, exit_code: int, *, orderly: bool) -> None:
        """Hears that the worker process has ended, before another one is started.

        Args:
            exit_code: negative: the signal that ended it.
            orderly: whether the nanny was closing, as after a SIGTERM or when the scheduler is gone.
        """
        self._descendants.end_orphans()
        process_id = self._board.owner
        entries = self._board.entries(process_id)
        self._board.clear()
        reason = self._reasons.pop(process_id, None) or self._how_it_ended(exit_code)
        if entries:
            self._ended.append(_Ended(entries, "none" if orderly else "worker", reason))

    def _how_it_ended(self, exit_code: int) -> dict[str, Any]:
        worker, kills = self._process.worker, memory.oom_kill_count()
        known, self._kernel_kills = self._kernel_kills, kills
        if exit_code == -signal.SIGKILL and None not in (kills, known) and kills != known:
            return attempt_errors.out_of_memory(worker, None, "was ended by the kernel")
        if exit_code < 0:
            with contextlib.suppress(ValueError):
                return attempt_errors.worker_lost(worker, f"was ended by {signal.Signals(-exit_code).name}")
        return attempt_errors.worker_lost(worker, f"ended with exit code {exit_code}" if exit_code else "ended")

    async def tell_ended(self) -> None:
        """Gives up what ended worker processes ran. Raises StoreUnavailable: a later call tells what is left."""
        while self._ended:
            ended = self._ended[0]
            calls = [
                self._store.calls.mark_lost(*_key(entry), ended.loss_reason if entry.running else "none", ended.error)
                for entry in ended.entries
            ]
            verdicts = await self._store.run_many(calls)
            self._ended.pop(0)
            for entry, verdict in zip(ended.entries, verdicts, strict=True):
                metrics.count_lost("worker_died", verdict)
                if verdict != "REFUSED":
                    with log_context(taskId=entry.task_id, attempt=entry.attempt):
                        message = ended.error["message"]
                        logger.warning("task %s attempt %d is lost: %s: %s", *_key(entry), message, verdict)

    async def give_back(self, entries: Sequence[Entry]) -> None:
        """They run elsewhere, uncharged: here, the fence lets them neither begin nor end any more.

        Raises StoreUnavailable: nothing is known of any of them, and the next round gives them back.
        """
        entries = [entry for entry in entries if _key(entry) not in self._given_back]
        if not entries:
            return
        reason = attempt_errors.error(
            "WORKER_LOST", f"the worker {self._process.worker} hands it back, to run elsewhere"
        )
        verdicts = await self._store.run_many(
            [self._store.calls.mark_lost(*_key(entry), "none", reason) for entry in entries]
        )
        self._given_back |= {_key(entry) for entry in entries}
        for verdict in verdicts:
            metrics.count_lost("ended", verdict)

    async def give_all_back(self, entries: Iterable[Entry]) -> None:
        """As `give_back`, for a worker that ends: a Redis that is away does not keep it."""
        try:
            await self.give_back(list(entries))
        except StoreUnavailable as error:
            logger.warning("what this worker still ran is found by the recoverer: %s", error)


def _key(entry: Entry) -> Key:
    return entry.task_id, entry.attempt
