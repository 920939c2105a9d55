"""What we use of prometheus_client's inside has its effect: a release that changes it fails here, not in production."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
