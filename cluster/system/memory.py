"""Memory as seen from outside a process: how much it uses, and whether the kernel killed processes for lack of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

OOM_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""Where Linux counts the processes that its OOM killer ended: in this container, or else on this machine."""


def resident_bytes(process_id: int) -> int | None:
    """Returns the resident memory of a process in bytes, or None if there is no such process."""
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(process_id).memory_info().rss)
    return None


def oom_kill_count() -> int | None:
    """Returns how many processes the kernel's OOM killer has ended, or None if that is not known."""
    for path in OOM_COUNTERS:
        with contextlib.suppress(OSError, ValueError):
            counts = dict(line.split(maxsplit=1) for line in path.read_text().splitlines() if " " in line)
            if "oom_kill" in counts:
                return int(counts["oom_kill"])
    return None
