"""A task module that takes long to import."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dask_graphql import task

if folder := os.environ.get("LAZY_FOLDER"):
    (Path(folder) / f"importing-{os.getpid()}").touch()
    while not (Path(folder) / "imported").exists():
        time.sleep(0.02)


@task
def lazy(n: int) -> int:
    """Its module took long."""
    return n
