"""The processes that tasks start: they end with the worker process in which their task ran.

A task may start programs, fork, or use multiprocessing. What it leaves running lives on while its worker process does,
and ends with it, also what made itself a daemon: the nanny's process takes in what loses its parent (on Linux).
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
    """Watches over the processes below one worker process, from its parent, the nanny's process.

    What this process started before is not touched.
    """

    def __init__(self) -> None:
        # It is started with the first queue to the worker process, and stays.
        resource_tracker.ensure_running()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._own = {child.pid for child in psutil.Process().children()}

    def end(self, process_id: int) -> None:
        """Ends a process by force, with all that it started and that still lives below it."""
        below: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(process_id)
            # It must not start another while these are found.
            process.suspend()
            below = process.children(recursive=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)
        _kill(below)

    def end_orphans(self, living: int | None = None) -> None:
        """Ends what lost its parent. To be called when the worker process has ended, and before another one is started
        unless `living` names it."""
        orphans = self._orphans(living)
        _kill([below for orphan in orphans for below in _children(orphan)])
        _kill(orphans)
        self.reap(living)

    def reap(self, living: int | None) -> None:
        """Takes note of orphans that have ended, which would stay as zombies.

        Args:
            living: the worker process's id, which is not ours to wait for.
        """
        for orphan in self._orphans(living):
            with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
                if orphan.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(orphan.pid, os.WNOHANG)

    def _orphans(self, living: int | None) -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if child.pid not in self._own | {living}]


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.children(recursive=True))
    return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            # By psutil, which knows a process by its start too: an id may have been given anew.
            process.kill()
            logger.info("the process %d, which a task left behind, is ended", process.pid)
