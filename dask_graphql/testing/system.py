"""A real system for tests: `dask-graphql dev` as a process, on a private port and with a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from cluster.errors import DaskGraphQLError
from cluster.system.child_processes import with_parent_death_signal
from dask_graphql.client.sync_client import Client
from dask_graphql.dev_processes import read_state
from dask_graphql.dev_system import free_port

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 15.0
"""How long the system may take to stop; `dask-graphql dev` promises 10 s."""
POLL_SECONDS: Final = 0.1
LOG_CHARACTERS: Final = 4_000


class SystemNotReady(DaskGraphQLError):
    """The system did not start; the message has what it printed last."""


@contextlib.contextmanager
def running_system(*task_modules: str, max_workers: int = 2, **settings: str) -> Iterator[Client]:
    """Starts a whole system (Redis, scheduler, workers, controller, api) and stops it at the end of the block.

    Args:
        task_modules: importable modules with task functions. They are found where this process finds modules.
        max_workers: maximum number of worker processes.
        settings: settings of the nodes, as environment variables without the prefix:
            `RESULT_TTL_SECONDS="60"`. The environment of this process has none of them.

    Yields:
        A client of the system; `client.url` is the address for others.

    Raises:
        SystemNotReady: a module cannot be imported, for example.
    """
    folder = Path(tempfile.mkdtemp(prefix="dask-graphql-test-"))
    port = free_port()
    try:
        with (folder / "output.log").open("w+b") as output:
            process = _start(folder, port, max_workers, _environment(task_modules, settings), output)
            try:
                _wait_until_ready(process, port, Path(output.name))
                with Client(f"http://127.0.0.1:{port}") as client:
                    yield client
            finally:
                _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(task_modules: tuple[str, ...], settings: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DASK_GRAPHQL_")}
    # Versions as declared, so that a task has the id that `run_task` gives it.
    chosen = {"TASK_MODULES": ",".join(task_modules), "SOURCE_VERSIONS": "false"} | settings
    return (
        inherited
        | {f"DASK_GRAPHQL_{name}": value for name, value in chosen.items()}
        | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    )


def _start(
    folder: Path, port: int, max_workers: int, environment: dict[str, str], output: IO[bytes]
) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "dask_graphql", "dev", "--port", str(port), "--data-dir", str(folder / "data"),
        "--max-workers", str(max_workers),
    ]  # fmt: skip
    return subprocess.Popen(
        with_parent_death_signal(command), env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=folder
    )


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not read_state(f"http://127.0.0.1:{port}/readyz").serves:
        code = process.poll()
        if code is not None or time.monotonic() > deadline:
            reason = f"is not ready after {START_SECONDS:g} s" if code is None else f"ended with exit code {code}"
            printed = log.read_text(errors="replace")[-LOG_CHARACTERS:]
            raise SystemNotReady(f"the system {reason}; it printed:\n{printed}")
        time.sleep(POLL_SECONDS)  # another process, which sets no event here


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
