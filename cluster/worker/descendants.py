"""The processes that tasks start: they end with the worker process in which their task ran.

A task may start programs, fork, or use multiprocessing. Processes that it leaves behind live as long as its worker
process and end with it, daemons too: on Linux, the nanny's process adopts all orphans.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
from multiprocessing import resource_tracker

import psutil

logger = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER = 36


class Descendants:
    """The processes below one worker process, seen from its parent, the nanny's process.

    Processes that were started before this object was made are never touched.
    """

    def __init__(self) -> None:
        # It would otherwise start with the first queue to the worker process, and look like a task's.
        resource_tracker.ensure_running()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._own = {child.pid for child in psutil.Process().children()}

    def kill(self, process_id: int) -> None:
        """Kills a process and everything it started that still runs below it."""
        below: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(process_id)
            # So that it cannot start another one while these are collected.
            process.suspend()
            below = process.children(recursive=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)
        _kill(below)

    def kill_orphans(self, worker_process: int | None = None) -> None:
        """Kills processes that lost their parent. Call it after the worker process has ended and before the next one is
        started, or name the one that runs."""
        orphans = self._orphans(worker_process)
        _kill([below for orphan in orphans for below in _children(orphan)])
        _kill(orphans)
        self.reap(worker_process)

    def reap(self, worker_process: int | None) -> None:
        """Waits for orphans that have ended, which would otherwise stay zombies.

        Args:
            worker_process: the worker process's id, which Dask's nanny waits for.
        """
        for orphan in self._orphans(worker_process):
            with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
                if orphan.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(orphan.pid, os.WNOHANG)

    def _orphans(self, worker_process: int | None) -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if child.pid not in self._own | {worker_process}]


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.children(recursive=True))
    return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            # By psutil, which also compares the start time: the id may have been reused.
            process.kill()
            logger.info("killed the process %d, which a task left behind", process.pid)
