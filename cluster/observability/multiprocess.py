"""Metrics that the two processes of a worker node count together, in the files of one folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cluster.settings import Settings

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names that folder; prometheus_client reads it at import."""


@contextlib.contextmanager
def multiprocess_metrics(settings: Settings) -> Iterator[None]:
    """Makes the nanny and the worker process of a worker node count in one folder, if it exposes or publishes
    metrics: the counts of a worker process that dies are kept. Enter it before cluster.observability.metrics is
    imported."""
    if not settings.metrics_port and not settings.cloudwatch_namespace:
        yield
        return
    scratch = Path(settings.data_dir).absolute() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="metrics-", dir=scratch, ignore_cleanup_errors=True) as folder:
        os.environ[FOLDER_VARIABLE] = folder
        yield
