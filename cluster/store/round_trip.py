"""What the two clients of the store share: limits, and what surrounds a round trip. A round trip is measured, and the
errors of redis-py become ours."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.store.refusals import refusal_code

TIMEOUT_SECONDS: Final = 1.8
"""Longest wait for one reply, so that a client learns within 2 s that Redis is unavailable."""

MAX_CONNECTIONS: Final = 64
"""Connections of one process; a call that finds all of them in use waits for one."""


@contextmanager
def measured_round_trip(call: str) -> Iterator[None]:
    """Measures the block as one round trip.

    Args:
        call: label of the metric: the name of a script, `batch` or `command`.

    Raises:
        StoreUnavailable: Redis did not answer, or refuses to serve for now.
        ResponseError: Redis rejected the call itself, which is a bug.
    """
    began = time.perf_counter()
    try:
        yield
        metrics.labelled(metrics.REDIS_SECONDS, call).observe(time.perf_counter() - began)
    except (RedisError, OSError) as error:
        code = refusal_code(error)
        if code is None and isinstance(error, ResponseError):
            raise
        metrics.REDIS_FAILURES.inc()
        what = f"refuses ({code}): " if code else f"does not answer: {type(error).__name__}: "
        raise StoreUnavailable(f"Redis {what}{error}") from error


@contextmanager
def handshake() -> Iterator[None]:
    """Turns an error reply to the commands that open a connection into a ConnectionError.

    SELECT of a database that does not exist, for example, is not the fault of the call that needed the connection.
    """
    try:
        yield
    except ResponseError as error:
        if refusal_code(error) is not None:
            raise
        raise redis.ConnectionError(f"it refuses the connection: {error}") from error


def missing_scripts(replies: Sequence[Any]) -> list[int]:
    """The positions of the calls that did not run because Redis does not know their script.

    A restarted Redis has no scripts. The other calls ran, and must not run again.
    """
    return [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]


def raise_first_error(replies: Sequence[Any]) -> None:
    """Raises the first error among the replies of a round trip."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
