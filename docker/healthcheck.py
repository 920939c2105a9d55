"""Checks whether the node in this container works: exit code 0, or 1 with the reason.

    python3 -I -S healthcheck.py api|scheduler|worker|controller

It imports neither the product nor Dask, because it runs every few seconds on the cores that the tasks need.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

TIMEOUT_SECONDS = 2.0
STALE_SECONDS = 90.0
"""How long a node may give no sign of life: it gives one a second, and a round of the controller takes up to 60 s."""
BUSY_SECONDS = 900.0
SAMPLE_SECONDS = 1.0
BUSY_SHARE = 0.05
"""Part of a CPU that a busy node uses at least, also on a quarter of one."""


def setting(name: str, default: str) -> str:
    return os.environ.get(f"DASK_GRAPHQL_{name}", "").strip() or default


def loopback(host: str) -> str:
    """The address at which a listener on all addresses can be reached."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def api() -> None:
    """/healthz responds, or its event loop is busy. Not /readyz: an api node must not be replaced because Redis is
    unavailable."""
    try:
        status = status_of_healthz()
    except TimeoutError:
        alive("api")
        return
    if " 200 " not in status:
        raise OSError(f"/healthz returned {status!r}")


def status_of_healthz() -> str:
    address = loopback(setting("HOST", "127.0.0.1")), int(setting("PORT", "8000"))
    with socket.create_connection(address, TIMEOUT_SECONDS) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return connection.recv(64).split(b"\r\n")[0].decode("latin-1")


def scheduler() -> None:
    """Its event loop runs, or is busy; also while another scheduler serves and this one waits for its turn."""
    alive("scheduler")


def alive(role: str) -> None:
    """The node has touched its file lately (cluster/system/liveness.py). One that has not may be busy, for example with
    a large graph: it is healthy for BUSY_SECONDS as long as it uses the CPU. One that hangs uses none."""
    file = Path(setting("DATA_DIR", ".data")) / f"alive-{role}-{socket.gethostname()}"
    age = time.time() - file.stat().st_mtime
    if age < STALE_SECONDS:
        return
    process = int(file.read_text())
    before = cpu_ticks(process)
    time.sleep(SAMPLE_SECONDS)
    used = (cpu_ticks(process) - before) / os.sysconf("SC_CLK_TCK") / SAMPLE_SECONDS
    if age > BUSY_SECONDS or used < BUSY_SHARE:
        raise OSError(f"no sign of life for {age:.0f} s, and it uses {used:.0%} of a CPU")


def cpu_ticks(process: int) -> int:
    """The CPU time of a process so far: utime and stime of proc(5)."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def worker() -> None:
    """It serves its scheduler, or did until a moment ago: it joins the one that replaces its own, or ends."""
    alive("worker")


def controller() -> None:
    """Its loop goes round, also while Redis, the scheduler or ECS are unavailable."""
    alive("controller")


if __name__ == "__main__":
    try:
        {"api": api, "scheduler": scheduler, "worker": worker, "controller": controller}[sys.argv[1]]()
    except OSError as error:
        raise SystemExit(f"not healthy: {error}") from None
