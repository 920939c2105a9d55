"""The warden: in the nanny's process, it speaks for the attempts of its worker process and ends what must end.

It says in Redis that they live, so that an attempt which holds its interpreter for minutes is not taken for lost.
One that waits behind others of its Dask task for longer than it should is given back, to run elsewhere.
An attempt past its time limit is failed; one that is no longer wanted (cancelled, failed, superseded) gets a grace
period to return by itself. Then the worker process goes, and its other attempts are given back first, uncharged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final

from cluster import attempts, metrics
from cluster.board import Entry, RunningBoard
from cluster.logs import about
from cluster.registry import Registry
from cluster.store.store import Store

logger = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.25
"""Pause between two rounds."""
BEAT_SECONDS: Final = 1.0
"""How often a running attempt is spoken for; shorter ones come and go unseen, at no cost."""
BEHIND_SECONDS: Final = 0.25
"""How long an attempt may wait behind others of its Dask task, in which there is a fifth of that to do."""
GRACE_SECONDS: Final = 1.0
"""How long a function may go on after its attempt has ended in the record."""


class Warden:
    """Watches one worker process.

    Args:
        process_id: answers the worker process's id, or None while there is none.
    """

    def __init__(
        self, store: Store, board: RunningBoard, registry: Registry, process_id: Callable[[], int | None]
    ) -> None:
        self._store = store
        self._board = board
        self._registry = registry
        self._process_id = process_id
        self._unwanted: dict[tuple[str, int], float] = {}
        self._beaten: dict[tuple[str, int], float] = {}

    async def turn(self, now: float) -> None:
        """One round: beat, judge, end."""
        board = self._board.entries(self._process_id())
        await self.give_back([entry for entry in board if entry.behind(now) > BEHIND_SECONDS])
        entries = {(entry.task_id, entry.attempt): entry for entry in board if entry.running}
        self._beaten = {key: at for key, at in self._beaten.items() if key in entries}
        self._unwanted = {key: at for key, at in self._unwanted.items() if key in entries}
        await self._beat(entries, now)
        for entry in entries.values():
            if now > entry.deadline and (entry.task_id, entry.attempt) not in self._unwanted:
                await self._time_out(entry, now)
        if over := {key for key, since in self._unwanted.items() if now - since > GRACE_SECONDS}:
            await self._end(over)

    async def _beat(self, entries: dict[tuple[str, int], Entry], now: float) -> None:
        due = [
            key
            for key, entry in entries.items()
            if key not in self._unwanted and now - self._beaten.get(key, entry.started) >= BEAT_SECONDS
        ]
        answers = await self._store.run_many([self._store.calls.progress(*key, None) for key in due])
        for key, wanted in zip(due, answers, strict=True):
            self._beaten[key] = now
            if not wanted:
                self._unwanted[key] = now

    async def _time_out(self, entry: Entry, now: float) -> None:
        limit = entry.deadline - entry.started
        error = attempts.error("TIMEOUT", f"the task ran longer than its limit of {limit:g} s")
        record = await self._store.read(entry.task_id)
        retries = self._registry[record.name].retries if record and record.name in self._registry else 0
        verdict = await self._store.run(
            self._store.calls.fail(entry.task_id, entry.attempt, error, retries=retries, delay_seconds=1.0)
        )
        if verdict != "REFUSED":
            metrics.OVERDUE.inc()
        with about(taskId=entry.task_id, attempt=entry.attempt):
            logger.warning("task %s attempt %d is over its limit: %s", entry.task_id, entry.attempt, verdict)
        self._unwanted[entry.task_id, entry.attempt] = now

    async def _end(self, culprits: set[tuple[str, int]]) -> None:
        """Ends the worker process, and gives back first whatever else it has."""
        process_id = self._process_id()
        if process_id is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # It must not begin anything while the others are given back: that would be lost with it, and be charged.
            os.kill(process_id, signal.SIGSTOP)
            try:
                await self._give_others_back(culprits)
            finally:
                os.kill(process_id, signal.SIGKILL)

    async def _give_others_back(self, culprits: set[tuple[str, int]]) -> None:
        for key in culprits:
            with about(taskId=key[0], attempt=key[1]):
                logger.warning("task %s attempt %d does not return; its worker process goes", *key)
        # Before the process is gone, so that the loss which Dask reports then meets the fence.
        await self.give_back(
            [e for e in self._board.entries(self._process_id()) if (e.task_id, e.attempt) not in culprits]
        )

    async def give_back(self, entries: Sequence[Entry]) -> None:
        """They run elsewhere, uncharged: here, the fence lets them neither begin nor end any more."""
        reason = attempts.worker_lost("that has no time for it")
        verdicts = await self._store.run_many(
            [self._store.calls.lose(entry.task_id, entry.attempt, "none", reason) for entry in entries]
        )
        for verdict in verdicts:
            metrics.count_lost("ended", verdict)
