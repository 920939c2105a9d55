"""Child processes that never outlive their parent, whatever kills it."""

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
"""A program that becomes another one, which the kernel ends when its parent dies: prctl(2), PR_SET_PDEATHSIG. Not
between fork and exec (`preexec_fn`), where a process with threads may find any lock taken, for ever."""


@dataclass
class Child:
    """One process that this one started."""

    role: str
    process: asyncio.subprocess.Process


def with_parent_death_signal(command: Sequence[str]) -> list[str]:
    """The command of a process that ends with this one, whatever ends this one; as it is on other systems than Linux.
    The process keeps its id when it becomes what was asked for."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-ISc", _DIES_WITH_PARENT, str(os.getpid()), *command]


async def start_child(
    role: str, command: Sequence[str], *, environment: dict[str, str] | None = None, output: IO[bytes] | None = None
) -> Child:
    """Starts a process in a group of its own, so that a Ctrl-C reaches only us and we stop all in order."""
    process = await asyncio.create_subprocess_exec(
        *with_parent_death_signal(command),
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    return Child(role, process)


async def start_node(settings: Settings, role: str, *arguments: str, output: IO[bytes] | None = None) -> Child:
    """Starts one of our nodes with these settings."""
    # Without -P, a file `cluster.py` or `queue.py` in the working folder would be imported in place of the real one.
    command = [sys.executable, "-P", "-m", "dask_graphql", role, *arguments]
    return await start_child(role, command, environment=settings.environment(), output=output)


async def stop_children(children: Sequence[Child], seconds: float) -> None:
    """Asks the processes to stop, waits, and ends those that do not."""
    living = [child for child in children if child.process.returncode is None]
    for child in living:
        with contextlib.suppress(ProcessLookupError):
            child.process.terminate()
    if not living:
        return
    waits = [asyncio.ensure_future(child.process.wait()) for child in living]
    await asyncio.wait(waits, timeout=seconds)
    for child in living:
        if child.process.returncode is None:
            kill_process_group(child)
    await asyncio.wait(waits)


def kill_process_group(child: Child) -> None:
    """Ends a process by force. Its own children are in its session, so that they go with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)
