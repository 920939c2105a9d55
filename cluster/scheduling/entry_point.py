"""The function that Dask calls on a worker to run our attempts. Api nodes send it by name, and the worker process sets
what it does.

Its arguments are plain values, so the scheduler never has to unpickle a user's code to run a task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from cluster.scheduling.dask_internals import report_seconds

AttemptInput: TypeAlias = tuple[str, int, bytes]
"""One attempt as sent through Dask: task id, attempt number, canonical input."""

Runner: TypeAlias = Callable[[str, Sequence[AttemptInput]], list[float]]
"""Runs attempts of the named task type. Returns the seconds of each attempt whose outcome was accepted."""

_runner: Runner | None = None


def use_runner(runner: Runner | None) -> None:
    """Sets what `run_attempts` does in this process; called by the worker's preload."""
    global _runner
    _runner = runner


def run_attempts(name: str, members: Sequence[AttemptInput]) -> None:
    """Runs attempts on a worker: usually one, or a batch of short ones while the workers are busy.

    Raises:
        RuntimeError: the worker was started without our preload.
    """
    if _runner is None:
        raise RuntimeError("this Dask worker was not started by `dask-graphql worker` (it lacks our preload)")
    report_seconds(_runner(name, members))


# Nodes of the previous release know the function only by this name, and during a rolling update both send to each
# other.
run_attempts.__module__ = "cluster.execute"
