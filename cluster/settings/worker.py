"""The settings of workers."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import integer, matching, seconds
from cluster.settings.pools import DEFAULT_POOL, NAME


@dataclass(frozen=True)
class WorkerSettings(SettingsGroup):
    TITLE = "Workers"

    pool: str = setting(
        DEFAULT_POOL,
        matching(NAME.pattern, "the name of a pool, such as gpu"),
        "The pool that a worker belongs to. The controller sets it for the workers that it starts.",
    )
    worker_threads: int = setting(
        1, integer(1, 256), "Tasks that one worker runs at a time. More than one only for code that releases the GIL."
    )
    worker_memory_bytes: int = setting(
        0,
        integer(0),
        "Memory limit of one worker. 0: all memory of the machine or the container; the local workers of one "
        "controller share it.",
    )
    worker_stuck_seconds: float = setting(
        120.0,
        seconds(0),
        "How long the event loop of a worker process may be blocked while its threads run before the process is "
        "replaced. Time in which a task holds the GIL does not count. 0: for ever.",
    )
    file_cache_bytes: int = setting(
        10_000_000_000,
        integer(0),
        "How much of a worker machine's disk the files of tasks may take, in `file-cache` in DATA_DIR; those that were "
        "used least recently are deleted first. Files that running tasks use are kept beyond it.",
    )
    waiting_tasks_limit: int = setting(
        400,
        integer(1, 500),
        "How many tasks of one worker may wait for their children at a time, of each depth. They occupy no "
        "`WORKER_THREADS`, but memory; a further one is put back into the queue and begins anew some seconds later.",
    )
    drain_seconds: float = setting(
        100.0,
        seconds(0),
        "How long a worker that is asked to stop continues the tasks that it runs. Fargate Spot allows 120 s in all.",
    )
