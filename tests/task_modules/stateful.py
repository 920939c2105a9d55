"""A task that needs what its worker process makes once, which fails while a file exists."""

import os
import time
from pathlib import Path

from dask_graphql import task, worker_state


@worker_state
def made() -> int:
    """Takes a moment, as the download of a model does."""
    time.sleep(1.0)
    if (Path(os.environ["STATEFUL_FOLDER"]) / "broken").exists():
        raise OSError("the model cannot be read")
    return os.getpid()


@task
def state_and_process(n: int) -> list[int]:
    """The process that made the state, and the one that uses it."""
    return [n, made(), os.getpid()]
