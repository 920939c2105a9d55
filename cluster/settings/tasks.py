"""The settings of task types and of how their tasks fail."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import boolean, integer, modules


@dataclass(frozen=True)
class TaskSettings(SettingsGroup):
    TITLE = "Tasks"

    task_modules: tuple[str, ...] = setting(
        (),
        modules,
        "Modules with @task functions, separated by commas; the same list on every node. Each is an importable name, "
        "or the path of a file, of a package's folder, or of a name below a folder (`/srv/pkg.tasks`).",
    )
    task_entry_points: bool = setting(
        True,
        boolean,
        "Loads the task modules of installed distributions too, which they offer as entry points in the group "
        "`dask_graphql.tasks`.",
    )
    source_versions: bool = setting(
        False,
        boolean,
        "Ends the version of every task type, except the built-in ones, with a hash of its source, so that a changed "
        "function never serves a result of the old one. `dev` sets it.",
    )
    reload_task_modules: bool = setting(
        False,
        boolean,
        "Lets the nodes load changed task modules anew while they run. `dev` sets it, except with `--no-reload`.",
    )
    fibonacci_max_n: int = setting(1_000_000_000, integer(0, 2**31 - 1), "Largest n that `fibonacci` accepts.")
    queue_limit: int = setting(
        100_000, integer(1), "Maximum number of QUEUED tasks, of all task types; further submissions are refused."
    )
    queue_limit_per_tenant: int = setting(
        50_000,
        integer(1),
        "Maximum number of open tasks of one tenant (without authentication: of one address). Tasks whose `notBefore` "
        "is more than an hour ahead count here, not in QUEUE_LIMIT.",
    )
    tenant_bytes: int = setting(
        10_000_000_000,
        integer(100_000),
        "Maximum bytes of one tenant's records, blobs and files: inputs, results and errors, and 1,500 for each "
        "record. "
        "Further submissions are refused.",
    )
    input_limit_bytes: int = setting(
        65_536,
        integer(1_000, 4_000_000),
        "Largest input of a task, in bytes of its canonical JSON, which is kept in Redis; `@task(input_limit=)` sets "
        "another limit for a task type.",
    )
    not_before_days: int = setting(
        30, integer(1, 36_500), "How far ahead `notBefore` may be. A task that waits for its time is kept in Redis."
    )
    lost_worker_limit: int = setting(
        3,
        integer(1, 100),
        "How many workers may die while they run one task before it is FAILED with WORKER_LOST or OUT_OF_MEMORY.",
    )
    larger_pool: bool = setting(
        True,
        boolean,
        "Whether a task that ran out of memory runs again in the pool with the next more memory, once. Task types can "
        "differ by `@task(larger_pool=)`, unless this is false.",
    )
    children_limit: int = setting(
        10_000, integer(1, 1_000_000), "How many tasks one run of a task may submit (`dask_graphql.submit`)."
    )
    depth_limit: int = setting(
        16, integer(1, 1_000), "How deep tasks that submit tasks may be nested; a task of a client has depth 0."
    )
    expose_tracebacks: bool = setting(
        False,
        boolean,
        "Stores the traceback of a failed task in its record, where clients with `read` and `admin` can read it. "
        "`dev` sets it.",
    )
