"""Task types that return tables, as a user of pandas, polars and Dask would write them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_graphql import Array, File, Table, task


@dataclass
class Reading:
    station: str
    number: int
    value: float | None


@dataclass
class Summary:
    readings: Table[Reading]
    stations: int
    extra: Table | None = None


def frame(rows: int) -> Any:
    import numpy as np
    import pandas as pd

    numbers = np.arange(rows)
    return pd.DataFrame({"station": [f"s{n % 7}" for n in numbers], "number": numbers, "value": numbers / 4})


@task
def make_table(rows: int) -> Table:
    """Returns a DataFrame."""
    return frame(rows)  # type: ignore[no-any-return]


@task
def make_readings(rows: int) -> Table[Reading]:
    """Returns a DataFrame with declared columns."""
    return frame(rows)  # type: ignore[no-any-return]


@task
def make_pieces(rows: int, pieces: int) -> Table:
    """Yields DataFrames, which are never in memory together."""

    def parts() -> Iterator[Any]:
        for _ in range(pieces):
            yield frame(rows)

    return parts()  # type: ignore[return-value]


@task
def make_partitions(rows: int, partitions: int) -> Table:
    """Returns a Dask DataFrame, whose partitions the workers write."""
    import dask.dataframe as dd

    return dd.from_pandas(frame(rows), npartitions=partitions)  # type: ignore[no-any-return]


@task
def summarise(rows: int) -> Summary:
    """Returns a table inside an object."""
    return Summary(frame(rows), 7)


@task
def not_a_table(n: int) -> Table:
    """Returns what is no table."""
    return n  # type: ignore[return-value]


@dataclass
class Fields:
    mean: Array
    count: int


@task
def make_array(rows: int, columns: int) -> Array:
    """Returns an array of numpy."""
    import numpy as np

    return np.arange(rows * columns, dtype="float64").reshape(rows, columns)  # type: ignore[return-value]


@task
def make_grid(shape: list[int]) -> Array:
    """Returns an array of any number of dimensions."""
    import numpy as np

    return np.arange(np.prod(shape), dtype="int64").reshape(shape)  # type: ignore[return-value]


@task
def make_chunks(rows: int, columns: int, chunk: int) -> Array:
    """Returns an array of Dask, whose chunks the workers write."""
    import dask.array as da

    return da.arange(rows * columns, dtype="float64").reshape(rows, columns).rechunk(chunk)  # type: ignore[no-any-return]


@task
def make_field(rows: int) -> Fields:
    """Returns an array of xarray inside an object."""
    import numpy as np
    import xarray as xr

    field = xr.DataArray(
        np.arange(2.0 * rows).reshape(2, rows),
        dims=("time", "x"),
        coords={"time": np.array(["2020-01-01", "2020-01-02"], "M8[ns]"), "x": np.arange(rows)},
        attrs={"units": "K"},
    )
    return Fields(field, rows)


@task
def count_rows(table: File) -> int:
    """Reads a Parquet file, such as another task's table."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(table.path()).num_rows)


@dataclass
class TableFacts:
    row_count: int
    columns: list[str]
    numbers: int
    stations: int
    files: int


@task
def describe_table(table: Table, more: list[Table] | None = None) -> TableFacts:
    """Reads a table in every way."""
    import pandas as pd

    tables = [table, *(more or [])]
    for it in tables:
        assert it.to_dask().compute()["number"].tolist() == it.to_pandas()["number"].tolist()
    folder = table.path()
    files = len(list(folder.iterdir())) if folder.is_dir() else 1
    read = pd.read_parquet(folder)
    stations = table.to_arrow(["station"]).num_rows
    rows = sum(it.row_count for it in tables)
    return TableFacts(rows, [it.name for it in table.columns], int(read["number"].sum()), stations, files)


@task
def sum_by_station(table: Table) -> Table:
    """Computes with a table where its parts are read, and returns what the workers write."""
    return table.to_dask(["station", "value"]).groupby("station").sum()  # type: ignore[no-any-return]


@task
def double_array(array: Array) -> Array:
    """Computes with an array where its chunks are read, and returns what the workers write."""
    return array.to_dask() * 2  # type: ignore[no-any-return]


@task
def sum_array(array: Array) -> float:
    """Reads an array in every way."""
    import numpy as np

    values = array.to_numpy()
    assert (array.to_xarray().values == values).all()
    assert values.shape == tuple(array.shape)
    assert np.asarray(array).dtype == array.dtype
    return float(values.sum())


@task
def make_gated_partitions(rows: int, partitions: int, folder: str) -> Table:
    """Returns a Dask DataFrame whose last partition waits for a file `gate` in a folder."""
    import dask.dataframe as dd

    size = rows // partitions

    def part(number: int) -> Any:
        while number == partitions - 1 and not Path(folder, "gate").exists():
            time.sleep(0.02)
        return frame(rows)[number * size : (number + 1) * size]

    return dd.from_map(part, range(partitions), meta=frame(1)[:0])  # type: ignore[no-any-return]
