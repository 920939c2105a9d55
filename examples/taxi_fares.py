"""A groupby over Parquet files: Dask's DataFrame on all workers, from the tables of other tasks to a table.

Start the whole system with it, from the top of the clone:

    dask-graphql dev examples/taxi_fares.py

`taxi_trips` makes the trips of a day, which are kept as a Parquet file. `fares_by_hour` takes any number of such days,
by the `file_id` of their tables: the files go from the blob store to the workers, never through the client.

    with Client() as client:
        days = client.map(taxi_trips, [{"day": day} for day in range(7)])
        client.submit(fares_by_hour, [day.file_id for day in days]).result().to_pandas()
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
from pydantic import Field

from dask_graphql import File, Table, task

FIRST_DAY = np.datetime64("2026-01-01")
DAY_SECONDS = 24 * 3600


@dataclass
class Trip:
    """One trip of a taxi."""

    picked_up: str
    """The hour of the day at which it began, such as `07`."""
    kilometres: float
    fare: float


@dataclass
class HourlyFares:
    """What is paid in an hour of the day, over all days."""

    hour: str
    trips: int
    mean_fare: float
    fare_per_kilometre: float


@task
def taxi_trips(day: int, trips: Annotated[int, Field(ge=1, le=5_000_000)] = 100_000) -> Table[Trip]:
    """Invents the trips of one day, with more of them in the evening than at night."""
    source = np.random.default_rng(day)
    hours = source.triangular(0, 19, 24, trips).astype(int)
    kilometres = source.gamma(2.0, 2.0, trips)
    night = (hours < 6) | (hours >= 22)
    fares = 3.5 + kilometres * np.where(night, 2.6, 2.1)
    names = np.array([f"{hour:02}" for hour in range(24)])
    return pd.DataFrame({"picked_up": names[hours], "kilometres": kilometres, "fare": fares.round(2)})  # type: ignore[no-any-return]


@task
def fares_by_hour(days: Annotated[list[File], Field(min_length=1, max_length=1000)]) -> Table[HourlyFares]:
    """Fares by the hour of the day, of the trips of all days; a partition for each day, on whichever worker is free."""
    trips = dd.from_map(read_day, days, meta=pd.DataFrame({"picked_up": [""], "kilometres": [0.0], "fare": [0.0]}))
    sums = trips.groupby("picked_up").agg({"fare": ["sum", "count"], "kilometres": "sum"})
    return finish(sums.compute())  # type: ignore[no-any-return]


def read_day(day: File) -> Any:
    """The trips of a day. This runs on a worker, which fetches the file once, however many tasks read it."""
    return pd.read_parquet(day)


def finish(sums: Any) -> Any:
    """The rows of the result from the sums, in the order of the hours."""
    sums = sums.sort_index()
    fares, count, kilometres = sums[("fare", "sum")], sums[("fare", "count")], sums[("kilometres", "sum")]
    return pd.DataFrame(
        {
            "hour": sums.index,
            "trips": count.to_numpy(),
            "mean_fare": (fares / count).to_numpy(),
            "fare_per_kilometre": (fares / kilometres).to_numpy(),
        }
    )
