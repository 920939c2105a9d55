"""A task that tells what its process knows of the environment, and one that takes its worker process down first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from dask_graphql import task

SHOW = "import os; print(dict(os.environ))"


@task
def environment(folder: str, kill_first: bool = False) -> list[str]:
    """The variables of this process, those that it began with, a child's, and the names in Dask's configuration."""
    import dask

    marker = Path(folder) / "killed"
    if kill_first and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    child = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    initial = Path("/proc/self/environ")
    began_with = initial.read_text() if initial.exists() else ""
    return [str(dict(os.environ)), began_with, child.stdout, str(sorted(dask.config.config))]
