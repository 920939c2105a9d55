"""What follows a try of a delivery: pure decisions."""

from __future__ import annotations

import datetime
import email.utils
from dataclasses import dataclass
from typing import Final

from cluster.store.webhook_calls import DeliveryOutcome

PAUSES: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each further try: the schedule of Standard Webhooks 1.0.0, ten tries in 75.6 hours."""
SPREAD: Final = 0.2
"""A pause is longer by up to this share, drawn at random, so that what failed together is not tried together."""
MAX_RETRY_AFTER_SECONDS: Final = 86_400.0
REST_SECONDS: Final = 30.0
"""How long a receiver that is overloaded is sent nothing, unless it says how long."""
OVERLOADED: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from a receiver.

    Attributes:
        status: the HTTP status; None if there was no answer.
        text: for people: `HTTP 503`, or what went wrong.
        retry_after: seconds that the receiver asked for.
    """

    status: int | None
    text: str
    retry_after: float | None = None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.status == 410

    @property
    def rest_seconds(self) -> float:
        """How long the receiver is to be sent nothing at all."""
        return (self.retry_after or REST_SECONDS) if self.status in OVERLOADED else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the delivery; `pause_seconds` if it is tried again."""

    outcome: DeliveryOutcome
    pause_seconds: float = 0.0


def decide(answer: Answer, tries: int, spread: float) -> Verdict:
    """What follows an answer.

    Args:
        tries: how many there were before this one.
        spread: drawn at random, 0 to 1.
    """
    if answer.accepted:
        return Verdict(DeliveryOutcome.DELIVERED)
    if answer.gone or tries >= len(PAUSES):
        return Verdict(DeliveryOutcome.FAILED)
    pause = PAUSES[tries] * (1 + SPREAD * spread)
    return Verdict(DeliveryOutcome.RETRY, max(pause, answer.retry_after or 0.0))


def parse_retry_after(text: str, now: float) -> float | None:
    """The seconds in a Retry-After header (RFC 9110, 10.2.3): a number, or a date; at most a day. None if it is
    neither."""
    try:
        wanted = float(int(text)) if text.strip().isascii() and text.strip().isdigit() else _until(text, now)
    except (ValueError, OverflowError):
        return None
    return min(max(wanted, 0.0), MAX_RETRY_AFTER_SECONDS)


def _until(text: str, now: float) -> float:
    at = email.utils.parsedate_to_datetime(text)
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp() - now
