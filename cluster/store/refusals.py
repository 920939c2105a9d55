"""Which errors mean that Redis cannot serve right now, as opposed to a bug of ours.

Redis starts an error reply with a code. redis-py turns most codes into exception classes and removes them from the
text; a code that it does not know stays at the front. Redis 6.2 reports the code of a command that a script called
inside the text of the script's own error (redis/redis issue 10165); only this module reads that text.
"""

from __future__ import annotations

import re
from typing import Final

from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

_CLASSES: Final[dict[type[Exception], str]] = {
    ReadOnlyError: "READONLY",
    OutOfMemoryError: "OOM",
    BusyLoadingError: "LOADING",
    TryAgainError: "TRYAGAIN",
    NoPermissionError: "NOPERM",
    # A cluster that is being changed, after some tries. MovedError is a subclass of AskError.
    MovedError: "MOVED",
    AskError: "ASK",
    # MasterDownError is a subclass of ClusterDownError.
    ClusterDownError: "CLUSTERDOWN",
}
_CODES: Final = frozenset(
    {
        "READONLY",  # a replica, for instance a primary that was just demoted
        "OOM",  # `maxmemory` is reached
        "LOADING",  # the data is being read from disk
        "MASTERDOWN",  # a replica without its primary
        "MISCONF",  # the data cannot be written to disk
        "NOREPLICAS",  # fewer replicas than `min-replicas-to-write`
        "BUSY",  # a script has been running for longer than `busy-reply-threshold`
        "UNBLOCKED",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "NOPERM",  # the access list is being changed
    }
)
_SCRIPT_ERROR: Final = re.compile(r"(?:^ERR |: ?)-([A-Z]+) ")
"""The code of a command within a script's error, as Redis 6.2 writes it: `... user_script: 30: -READONLY You`."""


def refusal_code(error: BaseException) -> str | None:
    """Returns the code with which Redis refuses to serve for now, or None for any other error.

    The refused call may be repeated as it is, later or at another server.
    """
    if not isinstance(error, (ResponseError, BusyLoadingError)):
        return None
    for kind, code in _CLASSES.items():
        if isinstance(error, kind):
            return code
    text = str(error)
    first = text.partition(" ")[0]
    if first in _CODES:
        return first
    inner = _SCRIPT_ERROR.search(text)
    return inner[1] if inner and inner[1] in _CODES else None


def is_demoted_primary(error: BaseException) -> bool:
    """Returns whether the error came from a server that is not the primary (any more): close the connection to it."""
    return refusal_code(error) == "READONLY"
