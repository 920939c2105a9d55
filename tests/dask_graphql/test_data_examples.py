"""The examples of tables and arrays do what their page says, in the test kit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dask_graphql import File
from dask_graphql.testing import run_task
from examples.climate import anomaly, temperature, warming
from examples.stations import one_day, station_days, station_means, station_readings


def test_readings_are_grouped_by_station(tmp_path: Path) -> None:
    readings = run_task(station_readings, days=3, per_day=50).value
    assert (readings.row_count, readings.columns[0].type) == (150, "timestamp[us]")
    whole = pd.concat(one_day(day, 50) for day in range(3))
    whole.to_parquet(tmp_path / "readings.parquet")
    means = run_task(station_means, readings=File.from_path(tmp_path / "readings.parquet")).value
    assert means.row_count == whole.station.nunique()
    assert [column.name for column in means.columns] == ["station", "readings", "mean", "highest"]


def test_the_partitions_of_dask_are_one_table() -> None:
    days = run_task(station_days, days=4, per_day=20)
    assert [part.row_count for part in days.value.parts] == [20] * 4
    assert [column.name for column in days.value.columns] == ["at", "station", "degrees", "distance"]


def test_the_anomaly_is_kept_in_chunks_with_its_coordinates() -> None:
    found = run_task(anomaly, years=3, rows=4).value
    assert (found.dims, found.shape) == (["time", "latitude", "longitude"], [36, 4, 8])
    assert [it.name for it in found.coords] == ["time", "latitude", "longitude"]
    assert found.chunks is not None
    assert abs(found.stats.mean) < 1e-9


def test_the_warming_is_a_line() -> None:
    found = run_task(warming, years=3, rows=4).value
    expected = temperature(3, 4).groupby("time.year").mean(("time", "latitude", "longitude")).values
    assert found.shape == [3]
    np.testing.assert_allclose(found.stats.mean, expected.mean())
