"""Durations counted in buckets that grow by a factor: percentiles of any number of them, in little space.

Bucket 0 is less than a millisecond, and bucket n from 2**((n - 1) / 2) to 2**(n / 2) milliseconds: each is 1.41 times
as wide as the one before. `time_bucket` in `_common.lua` has the same rule, for the scripts that end a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Histogram: TypeAlias = Mapping[int, int]
"""Bucket -> number of durations in it."""


def lower_bound(bucket: int) -> float:
    """Where a bucket begins, in seconds; it ends where the next one begins."""
    return 0.0 if bucket <= 0 else 2 ** ((bucket - 1) / 2) / 1000


def percentile(histogram: Histogram, share: float) -> float | None:
    """The duration in seconds that this share of all is at most as long as: exact to the width of a bucket, within
    which durations are taken to be spread evenly. None if there are none.

    Args:
        share: 0 to 1; 0.95 for p95.
    """
    total = sum(histogram.values())
    if not total:
        return None
    rank, below = share * total, 0
    for bucket in sorted(histogram):
        count = histogram[bucket]
        if below + count >= rank:
            low, high = lower_bound(bucket), lower_bound(bucket + 1)
            return low + (high - low) * max(0.0, rank - below) / count
        below += count
    raise AssertionError("the last bucket ends above every rank")


def total_seconds(histogram: Histogram) -> float:
    """The sum of all durations, each taken as the middle of its bucket."""
    return sum(count * (lower_bound(bucket) + lower_bound(bucket + 1)) / 2 for bucket, count in histogram.items())
