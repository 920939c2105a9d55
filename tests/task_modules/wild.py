"""Task types that do to their worker process what a worker process should not have done to it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from dask_graphql import task


@task
def deafening(limit: int) -> int:
    """Leaves its worker process with an event loop that cannot run."""
    sys.setrecursionlimit(limit)
    return limit


@task(timeout_seconds=1)
def shelling(seconds: float) -> int:
    """Waits for a program longer than it may."""
    return subprocess.run(["sleep", str(seconds)], check=False).returncode


@task
def pooled(n: int) -> list[int]:
    """Computes in processes of its own."""
    with multiprocessing.Pool(2) as pool, ProcessPoolExecutor(1) as executor:
        return [*pool.map(abs, range(-n, 0)), executor.submit(abs, -n).result()]


@task
def marked(folder: str, seconds: float) -> int:
    """Leaves a mark for each of its runs, then works until the gate opens, for so long at most."""
    place = Path(folder)
    (place / f"run-{os.getpid()}-{time.monotonic_ns()}").touch()
    until = time.monotonic() + seconds
    while time.monotonic() < until and not (place / "gate").exists():
        time.sleep(0.02)
    return os.getpid()


@task
def holding(seconds: int) -> int:
    """Holds its interpreter, as an extension may that does not release it."""
    import ctypes

    return int(ctypes.PyDLL(None).sleep(seconds))


@task
def crashing(how: str) -> int:
    """Takes its worker process with it."""
    if how == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)
    os._exit(17 if how == "exit" else 0)
