"""Percentiles from buckets are within a bucket of the exact ones."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.observability.log_histogram import lower_bound, percentile, total_seconds


def bucket_of(seconds: float) -> int:
    """The bucket of a duration, as the scripts count it."""
    milliseconds = seconds * 1000
    return 0 if milliseconds < 1 else math.floor(2 * math.log2(milliseconds) + 1e-9) + 1


DURATIONS = st.floats(0, 1e6, allow_nan=False)


@given(DURATIONS)
def test_a_duration_is_within_the_bounds_of_its_bucket(seconds: float) -> None:
    bucket = bucket_of(seconds)
    assert lower_bound(bucket) <= seconds * (1 + 1e-8)
    assert seconds < lower_bound(bucket + 1)


@given(st.lists(DURATIONS, min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_exact_one(durations: list[float], share: float) -> None:
    exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
    found = percentile(Counter(map(bucket_of, durations)), share)
    assert found is not None
    assert lower_bound(bucket_of(exact)) <= found <= lower_bound(bucket_of(exact) + 1)


def test_without_durations_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None


def test_percentiles_are_spread_within_a_bucket() -> None:
    low, high = lower_bound(21), lower_bound(22)
    assert percentile({21: 10}, 0.5) == pytest.approx((low + high) / 2)
    assert percentile({21: 10}, 1.0) == pytest.approx(high)


@given(st.lists(st.floats(0.01, 1e5), min_size=1))
def test_the_sum_is_exact_to_a_fifth(durations: list[float]) -> None:
    assert total_seconds(Counter(map(bucket_of, durations))) == pytest.approx(sum(durations), rel=0.21)
