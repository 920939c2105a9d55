"""The health of the worker process: it is killed if it uses too much memory, or if its event loop is stuck."""

from __future__ import annotations

import logging
from typing import Final

from cluster import attempt_errors
from cluster.system import memory
from cluster.worker.attempt_table import AttemptTable
from cluster.worker.process_exits import ProcessExits
from cluster.worker.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

MEMORY_CHECK_SECONDS: Final = 0.1
"""Pause between two checks of the worker process's memory."""
MAX_HEARTBEAT_AGE_SECONDS: Final = 3.0
"""Maximum age of the heartbeat of an event loop or a thread that runs. Each sends two per second."""


class ProcessHealth:
    """Checks one worker process after another, of one worker."""

    def __init__(self, table: AttemptTable, process: WorkerProcess, exits: ProcessExits) -> None:
        self._table = table
        self._process = process
        self._exits = exits
        self._stuck_since: float | None = None

    async def check_memory(self) -> None:
        """Kills the worker process if it uses too much memory. Its attempts count as lost, with the reason."""
        process_id, limit = self._process.process_id(), self._process.memory_limit_bytes
        if not limit or not self._process.memory_share or process_id is None:
            return
        used = memory.resident_bytes(process_id)
        if used is None or used <= limit * self._process.memory_share:
            return
        how = f"was killed at {self._process.memory_share:.0%} of it"
        self._exits.set_error(process_id, attempt_errors.out_of_memory(self._process.worker, limit, how))
        logger.warning("the worker process uses %d of %d bytes of memory and is killed", used, limit)
        async with self._process.ending, self._process.suspended() as suspended:
            if suspended != process_id:
                return
            await self._process.announce_leaving(True)
            self._exits.kill(process_id)

    async def check_event_loop(self, process_id: int | None, now: float) -> None:
        """Kills the worker process if its event loop is stuck. Its attempts count as lost, with the reason."""
        if not self._is_stuck(process_id, now):
            return
        async with self._process.ending:
            process_id = self._process.process_id()
            if process_id is None or not self._is_stuck(process_id, now):
                return
            how = f"did not respond for {self._process.stuck_seconds:g} s"
            logger.error("the worker process %s and is killed", how)
            self._exits.set_error(process_id, attempt_errors.worker_lost(self._process.worker, how))
            self._stuck_since = None
            await self._process.announce_leaving(True)
            self._exits.kill(process_id)

    def _is_stuck(self, process_id: int | None, now: float) -> bool:
        """Whether the event loop of the process has been blocked for too long while its threads run. If they do not
        run either, a task holds the interpreter, as it may, or the machine was suspended."""
        beats = self._table.heartbeats(process_id)
        limit = self._process.stuck_seconds
        if (
            not limit
            or beats is None
            or now - beats.loop < MAX_HEARTBEAT_AGE_SECONDS
            or now - beats.thread > MAX_HEARTBEAT_AGE_SECONDS
        ):
            self._stuck_since = None
            return False
        if self._stuck_since is None:
            self._stuck_since = now
        return now - self._stuck_since > limit
