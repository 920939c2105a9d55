"""Retries: which refusals are retried, how long to pause, and when to give up."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from dask_graphql.client.errors import ApiUnavailable, ClientError, Refused

FIRST_PAUSE_SECONDS: Final = 0.2
MAX_PAUSE_SECONDS: Final = 5.0
"""Pauses double from the first to the maximum; each is random within its upper half, so that clients spread out."""

RETRYABLE_CODES: Final = frozenset(
    {"SERVICE_UNAVAILABLE", "QUEUE_FULL", "STORE_FULL", "RATE_LIMITED", "TOO_MANY_SUBSCRIPTIONS", "BLOB_UNAVAILABLE"}
)
"""Codes of temporary refusals: the same request may be accepted a moment later."""


class RetryBudget:
    """How long one request, or one lost connection, is retried.

    Args:
        seconds: how long to retry, from the first failure.
        url: the target, for the error message.
    """

    def __init__(self, seconds: float, url: str) -> None:
        self._seconds = seconds
        self._url = url
        self._failures = 0
        self._deadline: float | None = None

    def pause_seconds(self, reason: ClientError | Exception, at_least: float = 0.0) -> float:
        """Counts a failure and returns how many seconds to pause before the next attempt.

        Args:
            reason: why the last attempt failed.
            at_least: minimum pause in seconds, as requested by the api.

        Raises:
            Refused: the time is up, and the last attempt was refused.
            ApiUnavailable: the time is up, and the api did not respond.
        """
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._seconds
        longest = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._failures)
        self._failures += 1
        pause = max(at_least, random.uniform(longest / 2, longest))  # noqa: S311 - spreads load, hides nothing
        if now + pause > self._deadline:
            if isinstance(reason, Refused):
                raise reason
            waited = f" for {self._seconds:g} s" if self._seconds else ""
            raise ApiUnavailable(f"{self._url} did not respond{waited}: {reason or type(reason).__name__}") from reason
        return pause

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def reset(self) -> None:
        """Forgets all failures after a success."""
        self._failures = 0
        self._deadline = None


def retry_after_seconds(refused: Refused) -> float:
    """The pause that a refusal requests, in seconds; 0 if it requests none."""
    asked = refused.extensions.get("retryAfterSeconds")
    return float(asked) if isinstance(asked, int | float) else 0.0
