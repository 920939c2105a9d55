"""Metrics that the two processes of a worker node count together, in files of one folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cluster.settings import Settings

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which the two processes of a worker node count together; prometheus_client reads it at import."""


@contextlib.contextmanager
def multiprocess_metrics(settings: Settings) -> Iterator[None]:
    """For a worker node that shows metrics: its nanny and its worker process count in one folder, so that a worker
    process that dies takes no count with it. To be entered before cluster.observability.metrics is imported."""
    if not settings.metrics_port:
        yield
        return
    scratch = Path(settings.data_dir).absolute() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="metrics-", dir=scratch, ignore_cleanup_errors=True) as folder:
        os.environ[FOLDER_VARIABLE] = folder
        yield
