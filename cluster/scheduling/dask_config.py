"""The settings of Dask that we change, and why."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def keep_dask_in(folder: Path) -> None:
    """Keeps Dask's configuration in this folder. Must be called before dask is imported, because at import Dask copies
    its default configuration into a folder, by default in the user's home. DASK_CONFIG wins if the user has set it."""
    os.environ.setdefault("DASK_CONFIG", str(folder / "dask"))


def configure_dask(scratch: Path, *, pages: bool = False) -> None:
    """Configures a process that runs Dask or is its client. The user's own settings (DASK_*, files) win.

    Args:
        scratch: folder for temporary files.
        pages: whether Dask's HTTP servers have their pages, which show arguments, results, logs and stacks to whoever
            reaches them. If not, only /health and /metrics are left.
    """
    import dask
    import distributed  # noqa: F401 - sets its defaults at import, and later defaults win

    forget_our_variables()
    distributed_defaults: dict[str, Any] = {
        # A scheduler's memory grows with its logs (distributed issue 3898), and every stream keeps its last messages,
        # each of which may be a batch of tasks.
        # The tick, 50 times a second by default, only detects a blocked event loop, and is half of the work of an idle
        # Dask process.
        # The system monitor keeps an hour of its samples by default, 3 MB in each process; the dashboard shows minutes.
        # It also reads what each disk of the machine has read and written, which takes as long as the rest.
        "admin": {
            "log-length": 1_000,
            "low-level-log-length": 30,
            "tick": {"interval": "500ms"},
            "system-monitor": {"log-length": 600, "disk": pages},
        },
        # A scheduler that is never idle adds every graph to its newest "computation", for ever: 0.5 kB for each task.
        # Nothing shows computations.
        "diagnostics": {"computations": {"max-history": 0}},
        # Our plugin handles silent workers, because it also gets heartbeats of their nannies: a task may hold the
        # interpreter of its process for as long as it likes. Dask would remove the worker after five minutes.
        "scheduler": {"events-cleanup-delay": "10m", "worker-ttl": None},
        # Only the dashboard shows the statistical profile: at the default of 10 ms 3 to 4 % of a busy worker,
        # and the profiles of the last hour, one a second, take 10 MB.
        # A daemon process of multiprocessing must not have children, but a task may start some; descendants.py ends
        # them with it.
        "worker": {"profile": {"enabled": pages, "interval": "100ms"}, "daemon": False},
        # Dask makes glibc return freed memory early (MALLOC_TRIM_THRESHOLD_), which disables glibc's dynamic mmap
        # threshold: each large block is mapped anew, and long numbers took 14 % longer. This is the value that glibc
        # would reach by itself.
        "nanny": {"pre-spawn-environ": {"MALLOC_MMAP_THRESHOLD_": 32 * 2**20}},
        # Nodes start in any order: a worker waits this long for its scheduler.
        "comm": {"timeouts": {"connect": "30s"}},
    }
    if find_spec("uvloop"):
        # The loop of worker processes, which nannies start.
        distributed_defaults["admin"]["event-loop"] = "uvloop"
    if not pages:
        distributed_defaults["scheduler"]["http"] = {"routes": _routes("scheduler")}
        distributed_defaults["worker"]["http"] = {"routes": _routes("worker")}
    use_fast_connections()
    dask.config.update_defaults({"temporary-directory": str(scratch), "distributed": distributed_defaults})


def use_fast_connections() -> None:
    """Makes Dask's connections of this process use asyncio's transports, and send without delay, from now on."""
    from cluster.scheduling.transport.backend import use_asyncio_transports
    from cluster.scheduling.transport.prompt_send import use_prompt_streams

    use_asyncio_transports()
    use_prompt_streams()


def _routes(role: str) -> list[str]:
    """The modules of `/metrics` and `/health` (`distributed.<role>.http.routes`)."""
    return [f"distributed.http.{role}.prometheus", "distributed.http.health"]


def forget_our_variables() -> None:
    """Removes our settings from Dask's configuration: it collects every variable that begins with DASK_ at import, with
    passwords and keys, and a nanny sends its configuration to the worker process."""
    import dask

    for name in [name for name in dask.config.config if name.replace("-", "_").startswith("graphql_")]:
        del dask.config.config[name]
