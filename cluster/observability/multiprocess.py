"""Metrics that the processes of one node, or of one command, count together, in the files of one folder."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cluster.settings import Settings

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names that folder; prometheus_client reads it at import."""

LOCK: Final = "lock"
"""A file in the folder that is locked as long as the folder is used."""

_names: list[str] = []


@contextlib.contextmanager
def multiprocess_metrics(settings: Settings, prefix: str = "metrics-") -> Iterator[Path]:
    """Makes this process and its children count in the folder that is yielded: the counts of a process that dies are
    kept. Enter it before cluster.observability.metrics is imported."""
    scratch = Path(settings.data_dir).absolute() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(scratch, prefix)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=scratch, ignore_cleanup_errors=True) as folder,
        (Path(folder) / LOCK).open("w") as lock,
    ):
        # It ends with the process.
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.environ[FOLDER_VARIABLE] = folder
        yield Path(folder)


def _remove_abandoned(scratch: Path, prefix: str) -> None:
    """Removes what processes left that were killed."""
    for path in scratch.glob(f"{prefix}*/{LOCK}"):
        with contextlib.suppress(OSError), path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)


def count_as(name: str) -> None:
    """Sets the name of this process's files, unique among running processes; a process that is started again under
    the same name continues the counts. Call it before cluster.observability.metrics is imported."""
    _names[:] = [name]


def counted_as() -> str:
    """The name of this process's files; by default the role of a worker node's process."""
    return _names[0] if _names else "worker" if multiprocessing.parent_process() else "nanny"
