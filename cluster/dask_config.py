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
    """Settings of every process that runs Dask. What the user sets by DASK_* variables or files wins."""
    import dask

    defaults: dict[str, Any] = {
        "temporary-directory": str(scratch),
        # Memory of a scheduler grows with its logs (distributed issue 3898).
        "distributed.admin.log-length": 1_000,
        "distributed.admin.low-level-log-length": 100,
        "distributed.scheduler.events-cleanup-delay": "10m",
        # The statistical profile, of the dashboard's page: the default of 10 ms takes 3 to 4 % of a busy worker.
        "distributed.worker.profile.interval": "100ms",
        # Nodes start in any order: a worker waits this long for its scheduler.
        "distributed.comm.timeouts.connect": "30s",
    }
    dask.config.update_defaults(defaults)
