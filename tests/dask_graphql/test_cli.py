"""The console command, as a user runs it: what it prints, where it writes, and that nothing outlives it."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.version import __version__
from dask_graphql.dev_system import free_port
from dask_graphql.redis_server import redis_binary
from tests.graphql_api.schema.test_schema_file import FILE as SCHEMA_FILE

COMMAND = str(Path(sys.executable).with_name("dask-graphql"))
READY_SECONDS = 60.0
STOP_SECONDS = 10.0


class Desk:
    """A user's empty home and empty working folder, and the command run in them."""

    def __init__(self, folder: Path) -> None:
        self.home, self.work, self.data = folder / "home", folder / "work", folder / "data"
        for made in (self.home, self.work):
            made.mkdir()
        # Names that a user's own files are likely to have, and that mean something to our processes.
        self.own = [self.work / f"{name}.py" for name in ("cluster", "graphql_api", "queue", "redis")]
        for file in self.own:
            file.write_text("raise RuntimeError('a file of the working folder was imported')")
        # Nothing that this test run sets for itself may help the command to stay inside its folder.
        hidden = ("DASK", "XDG", "PYTEST", "PYTHONPATH", "TMPDIR")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        self.environment |= {"HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"}
        # Nothing of a local system goes through a proxy, and least through one that is not there.
        self.environment |= dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
        self.started: list[psutil.Process] = []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments], env=self.environment, cwd=self.work, capture_output=True, text=True, timeout=60
        )

    def dev(self, port: int) -> subprocess.Popen[bytes]:
        """Starts `dev` and returns when it says that it serves."""
        process = subprocess.Popen(
            [COMMAND, "dev", "--port", str(port), "--data-dir", str(self.data), "--max-workers", "1"],
            env=self.environment, cwd=self.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.started.append(psutil.Process(process.pid))
        text = read_until(process, b"\nready ")
        assert re.search(rf"^ready http://127\.0\.0\.1:{port}/graphql$", text, re.MULTILINE), text
        return process

    def family(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """The processes that a `dev` started, itself and through others, once the worker is among them."""
        nodes = [f"dask_graphql {role}" for role in ("scheduler", "controller", "api", "worker")]
        expected = (Path(redis_binary()).name, *nodes, "spawn")
        deadline = time.monotonic() + READY_SECONDS
        while True:
            children = psutil.Process(process.pid).children(recursive=True)
            words = [" ".join(command_of(child)) for child in children]
            missing = [part for part in expected if not any(part in text for text in words)]
            if not missing:
                self.started += children
                return children
            assert time.monotonic() < deadline, (missing, words)
            time.sleep(0.05)

    def strays(self) -> list[Path]:
        """Files outside --data-dir."""
        return [path for path in (*self.home.rglob("*"), *self.work.rglob("*")) if path not in self.own]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    for process in living(desk.started):
        process.kill()


def read_until(process: subprocess.Popen[bytes], mark: bytes) -> str:
    """What the process prints, up to the end of the line that begins with `mark`."""
    assert process.stdout is not None
    text = b"\n"
    deadline = time.monotonic() + READY_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not (mark in text and text.endswith(b"\n")):
            assert selector.select(deadline - time.monotonic()), f"not ready in {READY_SECONDS} s: {text.decode()}"
            part = os.read(process.stdout.fileno(), 65536)
            assert part, f"ended with {process.wait()}: {text.decode()}"
            text += part
    return text.decode()


def command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. One that its new parent has not waited for yet has ended all the same."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def all_end(processes: list[psutil.Process], seconds: float) -> list[str]:
    """Waits until all have ended; answers those that have not."""
    deadline = time.monotonic() + seconds
    while left := living(processes):
        if time.monotonic() > deadline:
            return [f"{process.pid} {' '.join(command_of(process))}" for process in left]
        time.sleep(0.05)
    return []


def stop(process: subprocess.Popen[bytes], number: int) -> int:
    process.send_signal(number)
    assert process.stdout is not None
    try:
        return process.wait(STOP_SECONDS)
    finally:
        process.stdout.close()


def test_the_version_is_printed(desk: Desk) -> None:
    answer = desk.run("--version")
    assert (answer.returncode, answer.stdout) == (0, f"dask-graphql, version {__version__}\n")


def test_schema_prints_the_sdl_of_the_built_in_tasks(desk: Desk) -> None:
    answer = desk.run("schema")
    assert (answer.returncode, answer.stdout.strip()) == (0, SCHEMA_FILE.read_text().strip())
    assert desk.strays() == []


def test_a_wrong_setting_is_one_line_with_its_name_and_value(desk: Desk) -> None:
    desk.environment["DASK_GRAPHQL_MAX_WORKERS"] = "many"
    answer = desk.run("dev", "--data-dir", str(desk.data))
    assert answer.returncode != 0
    assert len(answer.stderr.splitlines()) == 1
    assert "DASK_GRAPHQL_MAX_WORKERS is 'many'; expected a whole number" in answer.stderr


def test_the_clients_token_in_the_environment_is_no_wrong_setting(desk: Desk) -> None:
    desk.environment["DASK_GRAPHQL_TOKEN"] = "s3cret"
    answer = desk.run("schema")
    assert answer.returncode == 0, answer.stderr
    told = desk.run("submit", "--help").stdout
    assert "DASK_GRAPHQL_TOKEN" in told
    assert "s3cret" not in told


def test_a_taken_port_is_one_clear_line(desk: Desk) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        answer = desk.run("dev", "--port", str(port), "--data-dir", str(desk.data))
    assert answer.returncode != 0
    assert len(answer.stderr.splitlines()) == 1
    assert f"port {port} on 127.0.0.1 cannot be used" in answer.stderr
    assert "--port" in answer.stderr


@pytest.mark.vital
@pytest.mark.slow
def test_dev_runs_a_task_stops_every_process_and_keeps_results_for_the_next_start(desk: Desk) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/graphql"
    process = desk.dev(port)
    family = desk.family(process)

    done = desk.run("submit", "fibonacci", "n=90", "--wait", "--url", url)
    assert done.returncode == 0, done.stderr
    submission, record = [json.loads(line) for line in done.stdout.splitlines()]
    assert (submission["taskId"], submission["outcome"]) == ("b9a7c7263c0332d12e52f09809754586", "NEW")
    assert (record["state"], record["result"]["value"]) == ("SUCCEEDED", "2880067194370816120")

    refused = desk.run("submit", "fibonacci", "n=-1", "--url", url)
    assert refused.returncode != 0
    assert "BAD_INPUT" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1

    # Nobody else can read or write anything of it, or reach its Redis, and its scheduler wants a certificate.
    open_to_others = [path for path in (desk.data, *desk.data.rglob("*")) if path.stat().st_mode & 0o077]
    assert open_to_others == []
    assert (desk.data / "redis.sock").is_socket()
    assert (desk.data / "tls" / "node-key.pem").exists()

    # A crash of the api is nothing that the others, or the tasks, notice for long.
    [api] = [child for child in family if command_of(child)[-1:] == ["api"]]
    api.kill()
    after = desk.run("submit", "fibonacci", "n=91", "--wait", "--url", url)
    assert json.loads(after.stdout.splitlines()[1])["state"] == "SUCCEEDED", after.stderr
    family = desk.family(process)

    second = desk.run("dev", "--port", str(free_port()), "--data-dir", str(desk.data))
    assert second.returncode != 0
    assert len(second.stderr.splitlines()) == 1
    assert str(desk.data) in second.stderr
    assert "another system uses" in second.stderr

    began = time.monotonic()
    assert stop(process, signal.SIGTERM) == 0
    assert all_end(family, max(0.0, began + STOP_SECONDS - time.monotonic())) == []

    process = desk.dev(port)
    family = desk.family(process)
    again = desk.run("submit", "fibonacci", "n=90", "--wait", "--url", url)
    submission, record = [json.loads(line) for line in again.stdout.splitlines()]
    assert (submission["outcome"], record["result"]["value"]) == ("CACHED", "2880067194370816120")

    # A crash of the parent, which can stop nobody any more.
    stop(process, signal.SIGKILL)
    assert all_end(family, STOP_SECONDS) == []
    assert desk.strays() == []
