"""Every private or undocumented interface of prometheus_client that we use, with why, and how it would break.
`tests/cluster/observability/test_prometheus_internals.py` checks that each still has its effect.

Written against prometheus_client 0.21 to 0.26.
"""

from __future__ import annotations

from bisect import bisect_left

from prometheus_client import Histogram, values


def count_in_files_of(process: str) -> None:
    """Makes the metrics of this process count in files of PROMETHEUS_MULTIPROC_DIR that are named after `process`, not
    after its process id. Call it before the first metric is created.

    A restarted worker process then continues the counts of the one before it; with process ids, each would have its own
    set of files.

    `values.ValueClass` and the argument of `MultiProcessValue` are undocumented. Renamed, they raise AttributeError at
    the start of a worker that exposes metrics; without their effect, a restarted worker process leaves its files
    behind.
    """
    values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]


def observe_times(histogram: Histogram, amount: float, count: int) -> None:
    """Observes the same amount `count` times, at the cost of one observation: one result may reach thousands of
    subscribers at the same time.

    `_sum`, `_upper_bounds` and `_buckets` of a Histogram are undocumented. Renamed, they raise AttributeError at the
    first delivery.

    Args:
        histogram: without labels, or one of its children.
    """
    if count:
        histogram._sum.inc(amount * count)
        histogram._buckets[bisect_left(histogram._upper_bounds, amount)].inc(count)
