"""When to try again, and when to give up."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from dask_graphql.client.errors import ApiUnavailable, ClientError, Refused

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 5.0
"""Pauses double from the first to the longest; each is drawn from its upper half, so that clients spread out."""

RETRIABLE: Final = frozenset(
    {"SERVICE_UNAVAILABLE", "QUEUE_FULL", "RATE_LIMITED", "TOO_MANY_SUBSCRIPTIONS", "BLOB_UNAVAILABLE"}
)
"""Refusals that pass: the same request may be accepted in a moment."""


class Patience:
    """The pauses of one request, or of one lost connection.

    Args:
        seconds: how long to go on trying, from the first failure.
        url: what is tried, for the message at the end.
    """

    def __init__(self, seconds: float, url: str) -> None:
        self._seconds = seconds
        self._url = url
        self._tries = 0
        self._deadline: float | None = None

    def pause_seconds(self, reason: ClientError | Exception, at_least: float = 0.0) -> float:
        """How long to wait before the next try.

        Args:
            reason: why the last one failed.
            at_least: seconds that the api asked for.

        Raises:
            Refused: time is up, and the last try was refused.
            ApiUnavailable: time is up, and the api did not answer.
        """
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._seconds
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2**self._tries)
        self._tries += 1
        pause = max(at_least, random.uniform(longest / 2, longest))  # noqa: S311 - spreads load, hides nothing
        if now + pause > self._deadline:
            if isinstance(reason, Refused):
                raise reason
            raise ApiUnavailable(
                f"{self._url} did not answer for {self._seconds:g} s: {reason or type(reason).__name__}"
            ) from reason
        return pause

    @property
    def tries(self) -> int:
        """How many failures there were since it worked last."""
        return self._tries

    def reset(self) -> None:
        """It works again."""
        self._tries = 0
        self._deadline = None


def asked_seconds(refused: Refused) -> float:
    """The pause that a refusal asks for; 0 where it says nothing."""
    asked = refused.extensions.get("retryAfterSeconds")
    return float(asked) if isinstance(asked, int | float) else 0.0
