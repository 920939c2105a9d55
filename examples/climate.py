"""Arrays: an xarray reduction over a grid that does not fit into one chunk.

`anomaly` returns a DataArray of Dask: the workers compute and write its chunks. Clients read slices and statistics of
it, or open it as Zarr.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dask_graphql import Array, task


def temperature(years: int, rows: int) -> Any:
    """Made-up monthly temperatures on a grid of latitudes and longitudes, in chunks of one year."""
    import dask.array as da
    import numpy as np
    import xarray as xr

    months = 12 * years
    latitude = np.linspace(-90, 90, rows)
    noise = da.random.default_rng(0).normal(0, 2, (months, rows, 2 * rows), chunks=(12, rows, 2 * rows))
    season = 15 * np.sin(2 * np.pi * np.arange(months) / 12)[:, None, None] * np.sign(latitude)[None, :, None]
    warming = 0.002 * np.arange(months)[:, None, None]
    values = 27 - 0.4 * np.abs(latitude)[None, :, None] + season + warming + noise
    return xr.DataArray(
        values,
        dims=("time", "latitude", "longitude"),
        coords={
            "time": np.arange(months).astype("M8[M]").astype("M8[ns]"),
            "latitude": latitude,
            "longitude": np.linspace(-180, 180, 2 * rows, endpoint=False),
        },
        attrs={"units": "degree Celsius"},
        name="temperature",
    )


@task
def anomaly(years: Annotated[int, Field(ge=2, le=100)] = 20, rows: Annotated[int, Field(ge=2, le=720)] = 90) -> Array:
    """Monthly differences from the mean of all years."""
    grid = temperature(years, rows)
    months = grid.groupby("time.month")
    difference = months - months.mean("time")
    return difference.drop_vars("month").assign_attrs(grid.attrs)  # type: ignore[no-any-return]


@task
def warming(years: Annotated[int, Field(ge=2, le=100)] = 20, rows: Annotated[int, Field(ge=2, le=720)] = 90) -> Array:
    """The mean temperature of each year: a line of numbers."""
    grid = temperature(years, rows)
    return grid.groupby("time.year").mean(("time", "latitude", "longitude"))  # type: ignore[no-any-return]
