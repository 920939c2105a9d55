"""`Array`: a grid of numbers that a task returns, kept as `.npy` or Zarr in the blob store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from cluster.task_types.data_reading import Grid
from cluster.task_types.value_types import BigInt


@dataclass(frozen=True)
class ArrayStats:
    """The values of an array of numbers.

    Attributes:
        missing: how many are NaN; they count for nothing else here.
        min, max, mean, std: None if there are no values, or if one of them is infinite.
        std: the population's standard deviation.
    """

    missing: BigInt
    min: float | None
    max: float | None
    mean: float | None
    std: float | None


@dataclass(frozen=True)
class Coordinate:
    """A coordinate of an xarray DataArray, kept as `.npy`."""

    name: str
    dims: list[str]
    dtype: str
    shape: list[BigInt]
    size_bytes: BigInt


@dataclass(frozen=True)
class Array(Grid):
    """An array of any size, kept in the blob store.

    A return annotation: `-> Array`. The function returns a numpy array, a Dask array, whose chunks the workers write in
    parallel, or an xarray DataArray of either.

    As an argument, the array of another task or a `.npy` file that a client has uploaded: `to_numpy()`, `to_dask()` and
    `to_xarray()` read it.

    Attributes:
        key: the common part of its files' names in the blob store.
        dtype: numpy's name of its type: `float64`, `datetime64[ns]`, `<U5`.
        dims: the names of its dimensions; empty if they have none.
        attrs: of a DataArray.
        chunks: the shape of a chunk, if it is kept as Zarr; None if it is kept as one `.npy` file.
        size_bytes: length of its files, without coordinates.
        name: of a DataArray.
        sha256: in hex, of the `.npy` file, or of the manifest of its chunks; None if these are too many.
    """

    key: str
    dtype: str
    shape: list[BigInt]
    size_bytes: BigInt
    dims: list[str] = field(default_factory=list)
    attrs: dict[str, Any] = field(default_factory=dict)
    stats: ArrayStats | None = None
    chunks: list[BigInt] | None = None
    coords: list[Coordinate] = field(default_factory=list)
    name: str | None = None
    sha256: str | None = None

    if TYPE_CHECKING:
        # An argument that is declared `Array` is an ArrayFile (data_files.py).
        def path(self) -> Path: ...

    @property
    def npy_key(self) -> str:
        """The blob of an array without chunks."""
        return f"{self.key}.npy"

    @property
    def zarr_key(self) -> str:
        """The first part of the names of a chunked array's blobs: a Zarr group with the array `data`."""
        return f"{self.key}.zarr"


def coordinate_key(key: str, number: int) -> str:
    """The blob of a coordinate, by its number from 0."""
    return f"{key}.coord.{number}.npy"


def is_array(bare: Any) -> TypeGuard[type[Array]]:
    """Whether a type is `Array`."""
    return bare is Array
