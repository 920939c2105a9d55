"""Every private or undocumented interface of prometheus_client that we use, with why, and how it would break.
`tests/cluster/observability/test_prometheus_internals.py` shows that each still has its effect.

Written against prometheus_client 0.21 to 0.26.
"""

from __future__ import annotations

from prometheus_client import values


def count_in_files_of(process: str) -> None:
    """Makes the metrics of this process count in files of PROMETHEUS_MULTIPROC_DIR that are named by `process`, in
    place of its process id. To be called before the first metric is made.

    A worker process that is started again then counts on where the one before it stopped; by process ids there would
    be another set of files for each.

    `values.ValueClass` and the argument of `MultiProcessValue` are undocumented. Renamed, they raise AttributeError at
    the start of a worker that shows metrics; without effect, a restarted worker process leaves its files behind.
    """
    values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]
