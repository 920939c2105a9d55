"""Child processes that never outlive their parent, however it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Final

from cluster.settings import Settings

_DIES_WITH_PARENT: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit(143)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""A program that executes another one after it has asked the kernel to end the process when its parent dies: prctl(2),
PR_SET_PDEATHSIG. `preexec_fn` could do so between fork and exec, but in a process with threads it may deadlock."""


@dataclass
class Child:
    """A process that this one started."""

    role: str
    process: asyncio.subprocess.Process


def with_parent_death_signal(command: Sequence[str]) -> list[str]:
    """Returns a command that runs `command` in a process that ends when this one does; `command` itself if this is not
    Linux. The process keeps its id."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-ISc", _DIES_WITH_PARENT, str(os.getpid()), *command]


async def start_child(
    role: str,
    command: Sequence[str],
    *,
    environment: dict[str, str] | None = None,
    output: IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = True,
) -> Child:
    """Starts a process.

    Args:
        pass_fds: file descriptors that it inherits.
        new_session: whether it has a session of its own, so that a Ctrl-C reaches only us and we stop the children in
            order.
    """
    process = await asyncio.create_subprocess_exec(
        *with_parent_death_signal(command),
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=pass_fds,
        start_new_session=new_session,
    )
    return Child(role, process)


async def start_node(settings: Settings, role: str, *arguments: str, output: IO[bytes] | None = None) -> Child:
    """Starts a node with these settings."""
    # Without -P, a file `cluster.py` or `queue.py` in the working folder would be imported in place of the real one.
    command = [sys.executable, "-P", "-m", "dask_graphql", role, *arguments]
    return await start_child(role, command, environment=settings.environment(), output=output)


async def stop_children(children: Sequence[Child], seconds: float) -> None:
    """Asks the processes to stop, waits for at most `seconds`, and kills those that still run."""
    running = [child for child in children if child.process.returncode is None]
    for child in running:
        with contextlib.suppress(ProcessLookupError):
            child.process.terminate()
    if not running:
        return
    waits = [asyncio.ensure_future(child.process.wait()) for child in running]
    await asyncio.wait(waits, timeout=seconds)
    for child in running:
        if child.process.returncode is None:
            kill_process_group(child)
    await asyncio.wait(waits)


def kill_process_group(child: Child) -> None:
    """Kills a process with its own children, which are in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)
