"""A reduction with xarray: a field that no machine has to hold becomes an array that clients read in slices.

Start the whole system with it, from the top of the clone:

    dask-graphql dev examples/sea_temperature.py

The field is a Dask array inside an xarray DataArray. Dask's workers make its chunks, reduce them, and write the chunks
of the result themselves; the result keeps its dimensions and coordinates:

    with Client() as client:
        means = client.submit(monthly_means, years=20, degrees=1.0).result()
        means[6, 80:100, ::10]              # a part, as numpy
        means.to_xarray().sel(month=7)      # all of it, as xarray
"""

from __future__ import annotations

from typing import Annotated, Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

from dask_graphql import Array, task

DAYS_OF_A_CHUNK = 73
"""A fifth of a year: at one degree, 38 MB of 64-bit numbers."""


@task(timeout_seconds=600)
def monthly_means(
    years: Annotated[int, Field(ge=1, le=50)] = 2,
    degrees: Annotated[float, Field(ge=0.5, le=30, description="Distance of the points of the grid.")] = 5.0,
) -> Array:
    """The mean temperature of the sea in each month of the year, in degrees Celsius."""
    means = daily_field(years, degrees).groupby("time.month").mean("time")
    means.attrs = {"units": "degC", "years": years}
    return means.chunk(month=1, latitude=-1, longitude=-1)  # type: ignore[no-any-return]


def daily_field(years: int, degrees: float) -> Any:
    """An invented temperature for each day, latitude and longitude: a graph that is not computed yet."""
    latitude = np.arange(-90 + degrees / 2, 90, degrees)
    longitude = np.arange(degrees / 2, 360, degrees)
    days = 365 * years
    shape = days, len(latitude), len(longitude)
    field = da.map_blocks(
        chunk_of_days,
        latitude=latitude,
        longitude=longitude,
        chunks=da.core.normalize_chunks((DAYS_OF_A_CHUNK, -1, -1), shape),
        dtype="float64",
        meta=np.empty((0, 0, 0)),
    )
    times = pd.date_range("2001-01-01", periods=days)
    return xr.DataArray(
        field,
        dims=("time", "latitude", "longitude"),
        coords={"time": times, "latitude": latitude, "longitude": longitude},
        name="sea_temperature",
    )


def chunk_of_days(latitude: Any, longitude: Any, block_info: Any = None) -> Any:
    """The days of one chunk: warm at the equator, and each half of the earth warmest in its own late summer."""
    first, last = block_info[None]["array-location"][0]
    days = np.arange(first, last)[:, None, None]
    north = np.deg2rad(latitude)[None, :, None]
    east = np.deg2rad(longitude)[None, None, :]
    season = np.cos(2 * np.pi * (days - 230) / 365.25)
    noise = np.random.default_rng(int(first)).normal(0, 0.5, (last - first, latitude.size, longitude.size))
    return 28 * np.cos(north) ** 2 - 2 + 6 * season * np.sin(north) + np.cos(2 * east) + noise
