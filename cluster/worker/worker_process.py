"""The worker process, as the watchdog in the nanny's process sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import psutil


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """The worker process of one worker; one process after another, as the nanny restarts it.

    Attributes:
        worker: the worker's name.
        process_id: returns the process's id, or None while there is no process.
        announce_leaving: tells the scheduler to send this worker nothing more, or, with False, to resume.
        memory_limit_bytes: the memory that it may use in all; None for no limit.
        memory_share: the share of that at which it is killed; 0 for never.
        stuck_seconds: how long its event loop may block while its threads run; 0 for no limit.
        ending: held while the process is being ended.
    """

    worker: str
    process_id: Callable[[], int | None]
    announce_leaving: Callable[[bool], Awaitable[None]]
    memory_limit_bytes: int | None = None
    memory_share: float = 0.0
    stuck_seconds: float = 0.0
    ending: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_stopped(self) -> bool:
        """Whether there is a worker process that was stopped (SIGSTOP), so that nothing in it runs."""
        process_id = self.process_id()
        with contextlib.suppress(psutil.Error):
            return process_id is not None and psutil.Process(process_id).status() == psutil.STATUS_STOPPED
        return False

    @contextlib.asynccontextmanager
    async def suspended(self) -> AsyncIterator[int | None]:
        """Stops the process for a moment and yields its id, or None if there is none.

        Attempts that it started in this moment would be lost with it, and counted as lost.
        """
        process_id = self.process_id()
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
