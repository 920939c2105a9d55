"""Which errors are retried, and what an author may declare."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.errors import RegistryError
from cluster.task_types.retry_policy import Retries, parse_retries


class NotPortable(Exception):
    """As Dask's stand-in for an exception that it could not pickle."""

    original_type = "ConnectionError"


@pytest.mark.parametrize(
    ("policy", "raised", "allowed"),
    [
        (Retries(5), ValueError(), 5),
        (Retries(5), SystemExit(), 5),
        (Retries(5, on=OSError), ConnectionError(), 5),
        (Retries(5, on=(KeyError, OSError)), ValueError(), 0),
        (Retries(5, on=OSError), TimeoutError(), 5),
        (Retries(5, never_on=(OSError,)), FileNotFoundError(), 0),
        (Retries(5, on=OSError, never_on=FileNotFoundError), ConnectionError(), 5),
        (Retries(5, on=OSError, never_on=FileNotFoundError), FileNotFoundError(), 0),
        (Retries(5, on=ConnectionError), NotPortable(), 5),
        (Retries(5, on=KeyError), NotPortable(), 0),
    ],
)
def test_an_error_is_retried_if_it_is_one_of_on_and_none_of_never_on(
    policy: Retries, raised: BaseException, allowed: int
) -> None:
    assert policy.allowed_for(raised) == allowed


def test_a_number_alone_retries_everything_after_pauses_of_up_to_a_minute() -> None:
    policy = parse_retries("m.f", 3)
    assert policy == Retries(3)
    assert (policy.delay, policy.factor, policy.longest_seconds, policy.jitter) == (1, 2, 60, 0)


def test_a_first_pause_of_more_than_a_minute_is_also_the_longest_one() -> None:
    assert Retries(1, delay=300).longest_seconds == 300
    assert Retries(1, delay=300, max_delay=900).longest_seconds == 900


def test_jitter_makes_a_pause_longer_or_shorter_by_its_share() -> None:
    drawn = [Retries(1, jitter=0.25).draw_spread() for _ in range(200)]
    assert 0.75 <= min(drawn) < 0.9 < 1.1 < max(drawn) <= 1.25
    assert Retries(1).draw_spread() == 1


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (-1, "retries must be a whole number from 0 to 1000"),
        (True, "retries must be a whole number"),
        (1.5, "retries must be a whole number"),
        (Retries(2_000), "retries must be a whole number from 0 to 1000"),
        (Retries(1, delay=-1), "delay of Retries must be from 0 to 86400"),
        (Retries(1, delay=float("nan")), "delay of Retries must be"),
        (Retries(1, factor=0.5), "factor of Retries must be from 1 to 1000"),
        (Retries(1, jitter=1.5), "jitter of Retries must be from 0 to 1"),
        (Retries(1, delay=10, max_delay=5), "max_delay of Retries must be from 10 to 86400"),
        (Retries(1, on="OSError"), "on of Retries takes an exception class"),  # type: ignore[arg-type]
        (Retries(1, never_on=(OSError, "x")), "never_on of Retries takes"),  # type: ignore[arg-type]
    ],
)
def test_a_policy_out_of_bounds_is_refused_with_the_bounds(declared: Any, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        parse_retries("m.f", declared)
