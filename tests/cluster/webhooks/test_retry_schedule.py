"""What follows a try of a delivery."""

from __future__ import annotations

import pytest

from cluster.store.webhook_calls import DeliveryOutcome
from cluster.webhooks.retry_schedule import Answer, decide, parse_retry_after


def test_a_receiver_that_never_accepts_is_tried_ten_times_over_three_days() -> None:
    pauses: list[float] = []
    while (verdict := decide(Answer(500, "HTTP 500"), len(pauses), 0.0)).outcome is DeliveryOutcome.RETRY:
        pauses.append(verdict.pause_seconds)
    assert verdict.outcome is DeliveryOutcome.FAILED
    assert len(pauses) + 1 == 10
    assert pauses[0] == 5
    assert sum(pauses) == pytest.approx(75 * 3600 + 35 * 60 + 5)


def test_pauses_are_spread_by_a_fifth() -> None:
    assert [decide(Answer(None, ""), 1, spread).pause_seconds for spread in (0.0, 1.0)] == [300, 360]


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_an_acceptance(status: int) -> None:
    assert decide(Answer(status, ""), 9, 0.0).outcome is DeliveryOutcome.DELIVERED


@pytest.mark.parametrize("status", [301, 302, 400, 404, 500, None])
def test_anything_else_is_tried_again(status: int | None) -> None:
    assert decide(Answer(status, ""), 0, 0.0).outcome is DeliveryOutcome.RETRY


def test_a_receiver_that_is_gone_is_not_tried_again() -> None:
    assert decide(Answer(410, ""), 0, 0.0).outcome is DeliveryOutcome.FAILED


def test_an_overloaded_receiver_rests_as_long_as_it_asks() -> None:
    assert Answer(503, "").rest_seconds == 30
    assert Answer(429, "", retry_after=7).rest_seconds == 7
    assert Answer(500, "", retry_after=7).rest_seconds == 0
    assert decide(Answer(429, "", retry_after=7), 0, 0.0).pause_seconds == 7


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Thu, 01 Jan 1970 00:17:40 GMT", 60),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("99999999999999999999", 86_400),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert parse_retry_after(text, now=1_000.0) == seconds
