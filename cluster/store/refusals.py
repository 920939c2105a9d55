"""Which errors mean that Redis may not serve right now, as opposed to a mistake of ours.

Redis says so by an error code, the first word of its answer. redis-py makes classes of most codes and takes them off
the text; of a code that it does not know the word stays in front. Redis 6.2 hides the code of a command that a script
called in the text of the script's own error (redis/redis issue 10165): that text is read here and nowhere else.
"""

from __future__ import annotations

import re
from typing import Final

from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
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
    # MasterDownError is a kind of ClusterDownError.
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
        "BUSY",  # somebody's script runs for longer than `busy-reply-threshold`
        "UNBLOCKED",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "NOPERM",  # the access list is being changed
    }
)
_INNER: Final = re.compile(r"(?:^ERR |: ?)-([A-Z]+) ")
"""The code of a command within the error of a script, as Redis 6.2 writes it: `... user_script: 30: -READONLY You`."""


def refusal_code(error: BaseException) -> str | None:
    """The code by which Redis refuses to serve for now; None where the error is of another kind.

    What is refused may be repeated as it is, later or at another server.
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
    inner = _INNER.search(text)
    return inner[1] if inner and inner[1] in _CODES else None


def is_demoted_primary(error: BaseException) -> bool:
    """Whether the connection that got this error leads to a server that is not (any longer) the primary: close it."""
    return refusal_code(error) == "READONLY"
