"""The settings of task types and of how their tasks fail."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import boolean, integer, modules


@dataclass(frozen=True)
class TaskSettings(SettingsGroup):
    TITLE = "Tasks"

    task_modules: tuple[str, ...] = setting(
        (), modules, "Importable modules with @task functions, separated by commas; the same list on every node."
    )
    fibonacci_max_n: int = setting(1_000_000_000, integer(0, 2**31 - 1), "Largest n that `fibonacci` accepts.")
    queue_limit: int = setting(
        100_000, integer(1), "Maximum number of QUEUED tasks, of all task types; further submissions are refused."
    )
    lost_worker_limit: int = setting(
        3, integer(1, 100), "How many workers may die while they run one task before it is FAILED with WORKER_LOST."
    )
    expose_tracebacks: bool = setting(
        False, boolean, "Keeps the traceback of a failed task in its record, where clients can read it."
    )
