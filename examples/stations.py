"""Tables: readings of weather stations, and their means by station.

`station_readings` yields a DataFrame for each day, which become one Parquet file. `station_means` takes that file by
the table's `fileId`, or any other upload, and returns a declared row for each station. `station_days` returns a Dask
DataFrame, whose partitions the workers write in parallel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from dask_graphql import File, Table, task

STATIONS = ("alder", "birch", "cedar", "dogwood")


@dataclass
class StationMean:
    """The readings of one station."""

    station: str
    readings: int
    mean: float
    highest: float


def one_day(day: int, per_day: int) -> Any:
    """The readings of one day, which depend on nothing but its number."""
    import numpy as np
    import pandas as pd

    source = np.random.default_rng(day)
    season = 12 - 10 * np.cos(2 * np.pi * day / 365)
    return pd.DataFrame(
        {
            "at": pd.Timestamp("2026-01-01")
            + pd.to_timedelta(np.arange(per_day) * 86_400 / per_day + day * 86_400, "s"),
            "station": source.choice(STATIONS, per_day),
            "degrees": source.normal(season, 3, per_day).round(2),
        }
    )


@task
def station_readings(
    days: Annotated[int, Field(ge=1, le=3_650)] = 30, per_day: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
) -> Table:
    """Makes up readings, day by day."""
    return (one_day(day, per_day) for day in range(days))  # type: ignore[return-value]


@task
def station_means(readings: File) -> Table[StationMean]:
    """Groups the readings in a Parquet file by station."""
    import pandas as pd

    frame = pd.read_parquet(readings.path(), columns=["station", "degrees"])
    groups = frame.groupby("station").degrees
    return groups.agg(readings="size", mean="mean", highest="max").reset_index()  # type: ignore[no-any-return]


@task
def station_days(
    days: Annotated[int, Field(ge=1, le=3_650)] = 365, per_day: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
) -> Table:
    """The readings, a partition for each day, with their distance from the day's mean."""
    import dask.dataframe as dd

    readings: Any = dd.from_map(one_day, range(days), per_day=per_day)
    table: Table = readings.map_partitions(lambda day: day.assign(distance=day.degrees - day.degrees.mean()))
    return table
