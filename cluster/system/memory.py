"""What is known of memory from outside a process: how much it takes, and whether the kernel ended processes for want of
it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

OOM_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""Where Linux counts the processes that it ended for want of memory: in this container, else on this machine."""


def resident_bytes(process_id: int) -> int | None:
    """The resident bytes of a process; None where there is no such process."""
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(process_id).memory_info().rss)
    return None


def oom_kill_count() -> int | None:
    """How many processes the kernel has ended for want of memory; None where that is not known."""
    for path in OOM_COUNTERS:
        with contextlib.suppress(OSError, ValueError):
            counts = dict(line.split(maxsplit=1) for line in path.read_text().splitlines() if " " in line)
            if "oom_kill" in counts:
                return int(counts["oom_kill"])
    return None
