"""What we set in Dask's configuration, and why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def keep_dask_in(folder: Path) -> None:
    """Must be called before dask is imported: Dask copies its default configuration into a folder at import, by default
    in the user's home. A folder that the user chose by DASK_CONFIG stays."""
    os.environ.setdefault("DASK_CONFIG", str(folder / "dask"))


def configure_dask(scratch: Path) -> None:
    """Settings of every process that runs Dask, or is its client. What the user sets (DASK_*, files) wins."""
    import dask
    import distributed  # noqa: F401 - its own defaults come with it, and the later ones win

    distributed_defaults: dict[str, Any] = {
        # A scheduler grows with its logs (distributed issue 3898), and every stream keeps its last messages, each of
        # which may be a batch of tasks.
        # The tick, 50 times a second by default, only finds out that an event loop is held up; it is half of what idle
        # processes of Dask do.
        "admin": {"log-length": 1_000, "low-level-log-length": 30, "tick": {"interval": "500ms"}},
        # A worker that is silent is judged by our plugin, which hears of it from its nanny too: a task may hold the
        # interpreter of its process for as long as it likes. Dask would end that after five minutes.
        "scheduler": {"events-cleanup-delay": "10m", "worker-ttl": None},
        # The statistical profile, of the dashboard's page: the default of 10 ms takes 3 to 4 % of a busy worker.
        # A daemon of multiprocessing may have no children; a task may want some, and they end with it all the same
        # (descendants.py).
        "worker": {"profile": {"interval": "100ms"}, "daemon": False},
        # Dask has glibc give freed memory back early (MALLOC_TRIM_THRESHOLD_), by which glibc no longer learns that
        # large blocks come and go: each is mapped anew, and long numbers took 14 % longer. This is what it would learn.
        "nanny": {"pre-spawn-environ": {"MALLOC_MMAP_THRESHOLD_": 32 * 2**20}},
        # Nodes start in any order: a worker waits this long for its scheduler.
        "comm": {"timeouts": {"connect": "30s"}},
    }
    dask.config.update_defaults({"temporary-directory": str(scratch), "distributed": distributed_defaults})
