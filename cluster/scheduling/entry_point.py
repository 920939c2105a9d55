"""The function that Dask calls on a worker for attempts of ours. Api nodes send it by its name; the worker fills it.

Only plain values travel with it, so the scheduler never has to unpickle a user's code to run a task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from cluster.scheduling.dask_internals import report_seconds

AttemptInput: TypeAlias = tuple[str, int, bytes]
"""One attempt as it travels through Dask: task id, attempt, canonical input."""

Runner: TypeAlias = Callable[[str, Sequence[AttemptInput]], list[float]]
"""Runs attempts of the task type of that name; returns the seconds that each took whose outcome counted."""

_runner: Runner | None = None


def use_runner(runner: Runner | None) -> None:
    """Makes the process's executor known to `run_attempts`; called by the worker's preload."""
    global _runner
    _runner = runner


def run_attempts(name: str, members: Sequence[AttemptInput]) -> None:
    """What Dask calls on a worker: mostly with one attempt, with several short ones while the queue is deep.

    Raises:
        RuntimeError: the worker was started without our preload.
    """
    if _runner is None:
        raise RuntimeError("this Dask worker was not started by `dask-graphql worker` (it lacks our preload)")
    report_seconds(_runner(name, members))


# Nodes of the release before know the function by this name only, and in a rolling update either may send to the other.
run_attempts.__module__ = "cluster.execute"
