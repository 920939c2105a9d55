"""Child processes end with their parent, however it dies."""

from __future__ import annotations

import asyncio
import sys

import psutil
import pytest

from cluster.system.child_processes import kill_process_group, start_child, stop_children

PARENT = """
import asyncio, sys, threading
from cluster.system.child_processes import start_child
async def main():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    child = await start_child("worker", [sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part of it is Linux's")
async def test_a_child_ends_when_its_parent_is_killed() -> None:
    parent = await start_child("parent", [sys.executable, "-c", PARENT])
    try:
        async with asyncio.timeout(30):
            while not (children := psutil.Process(parent.process.pid).children()):
                await asyncio.sleep(0.01)
            # The process has executed the command, under the same id.
            while "time.sleep(60)" not in " ".join(children[0].cmdline()) or "prctl" in " ".join(children[0].cmdline()):
                await asyncio.sleep(0.01)
            parent.process.kill()
            await parent.process.wait()
            while children[0].is_running() and children[0].status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.01)
    finally:
        if parent.process.returncode is None:
            kill_process_group(parent)


async def test_a_child_has_its_own_exit_code_and_its_output() -> None:
    child = await start_child("worker", [sys.executable, "-c", "raise SystemExit(7)"])
    async with asyncio.timeout(30):
        assert await child.process.wait() == 7


async def test_children_that_do_not_stop_are_killed() -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    children = [await start_child("worker", [sys.executable, "-c", program]) for _ in range(2)]
    async with asyncio.timeout(30):
        await stop_children(children, 0.1)
    assert all(child.process.returncode is not None for child in children)
