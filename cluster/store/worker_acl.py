"""The rules of a Redis user for workers: the scripts that a worker runs, on the keys of tasks, and nothing else.

Redis checks the commands of a script against the rules of the user who runs it (https://redis.io/docs/latest/operate/
oss_and_stack/management/security/acl/), so the user needs each of them, and could send them without a script too.
"""

from __future__ import annotations

import re
from typing import Final

from cluster.store.keys import SHARDS
from cluster.store.lua_scripts import SCRIPTS

WORKER_SCRIPTS: Final = ("start", "progress", "finish", "fail", "mark_lost", "register_blobs")
"""The scripts that a worker and its nanny run."""

CONNECTION: Final = ("auth", "hello", "select", "ping", "client|setname", "evalsha", "script|load")
"""The commands that a worker sends. redis-py also sends `client|setinfo`, which Redis 7.0 does not know, and ignores a
refusal."""


def worker_rules(prefix: str) -> list[str]:
    """The rules of `ACL SETUSER` that let a user do what a worker does, without its password.

    Args:
        prefix: KEY_PREFIX.
    """
    sources = b"".join(SCRIPTS[name].source for name in WORKER_SCRIPTS)
    inner = {name.decode().lower() for name in re.findall(rb"redis\.p?call\('([A-Z]+)'", sources)}
    return [
        "resetkeys",
        f"~{prefix}:{{{prefix}:[{SHARDS[0]}-{SHARDS[9]}{SHARDS[10]}-{SHARDS[-1]}]}}:*",
        "resetchannels",
        f"&{prefix}:*",
        "-@all",
        *(f"+{command}" for command in (*CONNECTION, *sorted(inner))),
    ]
