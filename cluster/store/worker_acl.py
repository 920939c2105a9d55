"""The rules of a Redis user for workers: what the scripts of a worker do, on the keys of tasks, and nothing else.

Redis checks the commands of a script against the rules of the user who runs it (https://redis.io/docs/latest/operate/
oss_and_stack/management/security/acl/), so the user needs each of them, and could send them without a script too.
"""

from __future__ import annotations

from typing import Final

COMMANDS: Final = (
    # What a worker sends. redis-py also sends `client|setinfo`, which Redis 7.0 does not know, and ignores a refusal.
    *("+auth", "+hello", "+select", "+ping", "+client|setname", "+evalsha", "+script|load"),
    # In a cluster, to find the primary of a task's keys.
    *("+cluster|slots", "+asking"),
    # What its scripts do. By category, so that a new release of the scripts needs no new rules.
    *("+@hash", "+@list", "+@set", "+@sortedset", "+@string", "-@blocking", "-@dangerous"),
    *("+del", "+exists", "+expire", "+persist", "+pexpire", "+pexpireat", "+pttl", "+publish", "+time"),
    # It waits, at a primary, for the ends of the tasks that its tasks submit.
    *("+role", "+subscribe", "+unsubscribe"),
)


def worker_rules(prefix: str) -> list[str]:
    """The rules of `ACL SETUSER` that let a user do what a worker does, without its password.

    Args:
        prefix: KEY_PREFIX.
    """
    keys = f"~{prefix}:{{{prefix}:[0-9a-f]}}:*"
    return ["resetkeys", keys, "resetchannels", f"&{prefix}:*", "-@all", *COMMANDS]
