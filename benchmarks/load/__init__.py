"""The load generators in C: they cost 3 µs a request, so the measured system has both cores almost for itself.

`tasks.c` keeps tasks in flight, `crowd.c` holds many WebSockets open, and `bare.c` is the server that shows the limit
of the kernel. They are compiled on first use, and kept in the environment. Where no C compiler is found, the measures
use the clients in Python (ours.py, sockets.py).
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent
PROGRAMS: Final = ("tasks", "crowd", "bare")


class LoadFailed(RuntimeError):
    """A load generator got another answer than it expects; the message has it."""


@dataclass(frozen=True)
class Spent:
    """What one run of `tasks` measured.

    Attributes:
        seconds: from the first request to the last result.
        tasks: the number of tasks.
        p50_ms: median time of a task, or of a batch, from its request to its last result.
        p99_ms: the 99th percentile of the same.
        cpu_seconds: user and system time of the load generator itself.
    """

    seconds: float
    tasks: int
    p50_ms: float
    p99_ms: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        return self.tasks / self.seconds


@functools.cache
def programs() -> Path | None:
    """The folder of the compiled programs; None if there is no C compiler, or `BENCH_CLIENT=python` asks for none.

    Raises:
        LoadFailed: they do not compile.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or sys.platform != "linux" or os.environ.get("BENCH_CLIENT") == "python":
        return None
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.[ch]")))).hexdigest()
    folder = Path(sys.prefix) / "bench-load" / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        if not (folder / name).exists():
            made = folder / f"{name}.{os.getpid()}"
            done = subprocess.run(
                [compiler, "-O2", "-o", str(made), str(SOURCES / f"{name}.c"), str(SOURCES / "net.c")],
                capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                raise LoadFailed(f"{name}.c does not compile: {done.stderr}")
            # At once, so that a process that starts at the same time finds a whole file or none.
            made.replace(folder / name)
    return folder


def description() -> str:
    """Which load generator this machine has, for the report."""
    return "the client in C of benchmarks/load" if programs() else "the client in Python of benchmarks/wire.py"


async def run_tasks(port: int, count: int, **options: str | int) -> Spent:
    """Runs `tasks` on 127.0.0.1; tasks.c has the options, whose dashes are underscores here.

    Raises:
        LoadFailed: an answer was not as expected.
    """
    folder = programs()
    assert folder is not None
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = await asyncio.create_subprocess_exec(
        folder / "tasks", f"--port={port}", f"--count={count}", *words, stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise LoadFailed(errors.decode(errors="replace").strip())
    return Spent(**json.loads(output))
