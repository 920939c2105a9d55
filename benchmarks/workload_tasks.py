"""The task types of `benchmarks.workloads` beside the examples'."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from dask_graphql import File, Table, task

PIECE_ROWS = 500_000


def frame(rows: int, seed: int) -> Any:
    """A key, which compresses well, and two columns that do not."""
    source = np.random.default_rng(seed)
    return pd.DataFrame({"row": np.arange(rows), "x": source.random(rows), "y": source.random(rows)})


@task
def data_frame(rows: int, seed: int = 0) -> Table:
    """Returns a DataFrame."""
    return frame(rows, seed)  # type: ignore[no-any-return]


@task
def many_rows(pieces: int) -> Table:
    """Yields DataFrames of half a million rows, one after the other."""

    def made() -> Iterator[Any]:
        for piece in range(pieces):
            yield frame(PIECE_ROWS, piece)

    return made()  # type: ignore[return-value]


@task
def count_bytes(file: File) -> str:
    """Reads a file, as a worker of the task would."""
    total = 0
    with file.open() as opened:
        while chunk := opened.read(1 << 20):
            total += len(chunk)
    return f"{file.sha256[:8]} {total}"
