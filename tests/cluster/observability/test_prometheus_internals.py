"""What we use of prometheus_client's inside has its effect: a release that changes it fails here, not in production."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import Histogram

from cluster.observability.prometheus_internals import observe_times

COUNT = """
from cluster.observability.prometheus_internals import count_in_files_of
count_in_files_of("worker")
from prometheus_client import CollectorRegistry, Counter, multiprocess
Counter("canary", "A canary.", registry=None).inc()
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(registry.get_sample_value("canary_total"))
"""


def test_a_process_that_is_started_again_counts_on_where_the_one_before_it_stopped(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COUNT]
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    assert [run.stdout for run in runs] == ["1.0\n", "2.0\n"]
    assert [file.name for file in tmp_path.iterdir()] == ["counter_worker.db"]


def test_equal_times_that_are_observed_at_once_count_as_many() -> None:
    one_by_one, at_once = (Histogram("canary", "A canary.", buckets=(0.1, 1), registry=None) for _ in range(2))
    for amount, count in ((0.05, 2), (0.1, 1), (0.5, 3), (7.0, 1), (1.0, 0)):
        observe_times(at_once, amount, count)
        for _ in range(count):
            one_by_one.observe(amount)
    samples = [
        [(s.name, s.labels, round(s.value, 9)) for m in h.collect() for s in m.samples] for h in (one_by_one, at_once)
    ]
    samples = [[item for item in found if not item[0].endswith("_created")] for found in samples]
    assert samples[0] == samples[1]
