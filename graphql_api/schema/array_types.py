"""The GraphQL type of arrays."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from typing import Annotated, Any, Final

import strawberry

from cluster.data.array_reader import MAX_VALUES, band_rows
from cluster.data.manifest import MAX_FILES
from cluster.errors import BadInput
from cluster.task_types.array_types import Array, coordinate_key
from cluster.task_types.file import file_id
from graphql_api.context import ApiInfo
from graphql_api.http.array_downloads import BYTES
from graphql_api.schema.expires_in import ExpiresIn
from graphql_api.schema.scalars import BigInt, FileId
from graphql_api.schema.signed_links import HREF, Kept, file_name, signed_link
from graphql_api.schema.table_types import read_rows
from graphql_api.strawberry_internals import set_type_check

READING_FIELDS: Final = frozenset({"slice", "values"})
"""The fields that read values."""
MAX_COORDINATE_VALUES: Final = 10_000
"""Values of a coordinate that are read at once, along its first dimension."""


@strawberry.type(name="ArrayStats", description="The values of an array of numbers.")
class ArrayStatsType:
    missing: BigInt = strawberry.field(description="How many are NaN, which count for nothing else here.")
    min: float | None = strawberry.field(
        description="Null if there are no values, or if it is infinite; likewise below."
    )
    max: float | None
    mean: float | None
    std: float | None = strawberry.field(description="The population's standard deviation.")


@strawberry.type(name="ArrayCoordinate", description="A coordinate of an array.")
class CoordinateType:
    array: strawberry.Private[Array]
    number: strawberry.Private[int]
    name: str
    dims: list[str] = strawberry.field(description="The dimensions that it runs along.")
    dtype: str
    shape: list[BigInt]

    @strawberry.field(description="Path of a download as numpy's .npy file.")
    def npy(self, info: ApiInfo) -> str:
        return f"{info.context.base_path}/arrays/{coordinate_key(self.array.key, self.number)}"

    @strawberry.field(description=HREF)
    async def href(self, info: ApiInfo, expires_in: ExpiresIn = strawberry.UNSET) -> str:
        key = coordinate_key(self.array.key, self.number)
        return await signed_link(info, f"/arrays/{key}", expires_in, Kept(key, BYTES, file_name(key)))

    @strawberry.field(description=f"Its first values along its first dimension, at most {MAX_COORDINATE_VALUES}.")
    async def values(self, info: ApiInfo, limit: int) -> strawberry.scalars.JSON:
        if not 0 <= limit <= MAX_COORDINATE_VALUES:
            raise BadInput(f"limit must be from 0 to {MAX_COORDINATE_VALUES}, not {limit}", argument="limit")
        node = info.context.node
        read = node.tables.in_thread(lambda: node.arrays.coordinate(self.array, self.number, limit))
        values: Any = await read_rows(read)
        return values  # type: ignore[no-any-return]


@strawberry.type(
    name="Array", description="A grid of values of any size: read slices of it, or download it as .npy or Zarr."
)
class ArrayType:
    """The GraphQL type of `dask_graphql.Array`; its values are instances of that."""

    key: strawberry.Private[str]
    chunks: list[BigInt] | None = strawberry.field(description="The shape of a chunk; null if it is kept as one file.")
    sha256: strawberry.Private[str | None]
    dtype: str = strawberry.field(description="numpy's name of its type: float64, int32, datetime64[ns], ...")
    shape: list[BigInt]
    dims: list[str] = strawberry.field(description="The names of its dimensions; empty if they have none.")
    name: str | None
    attrs: strawberry.scalars.JSON = strawberry.field(description="The attributes of an xarray DataArray.")
    size_bytes: BigInt = strawberry.field(description="Length of its files.")
    stats: ArrayStatsType | None = strawberry.field(description="Null unless its values are real numbers.")

    @strawberry.field(description="The coordinates of an xarray DataArray.")
    def coords(self) -> list[CoordinateType]:
        array: Any = self
        return [
            CoordinateType(array=array, number=number, name=it.name, dims=it.dims, dtype=it.dtype, shape=it.shape)
            for number, it in enumerate(array.coords)
        ]

    @strawberry.field(
        description=f"Nested lists of at most {MAX_VALUES} values, sliced as in Python: one number for each dimension, "
        "negative ones from its end. Values are written as in rows of a table; a complex number is [real, imaginary]."
    )
    async def slice(
        self,
        info: ApiInfo,
        start: list[BigInt],
        stop: list[BigInt],
        step: Annotated[
            list[BigInt] | None, strawberry.argument(description="1 or more for each dimension; null for 1.")
        ] = None,
    ) -> strawberry.scalars.JSON:
        array: Any = self
        node = info.context.node
        read = node.tables.in_thread(lambda: node.arrays.part(array, start, stop, step or []))
        values: Any = await read_rows(read)
        return values  # type: ignore[no-any-return]

    @strawberry.field(
        description="Path of a download as numpy's .npy file; null if the array is too large for that: use `zarr`."
    )
    def npy(self, info: ApiInfo) -> str | None:
        array: Any = self
        kept_whole = array.chunks is None or band_rows(array)
        return f"{info.context.base_path}/arrays/{array.npy_key}" if kept_whole else None

    @strawberry.field(description=f"{HREF} The .npy file; null as `npy` is.")
    async def href(self, info: ApiInfo, expires_in: ExpiresIn = strawberry.UNSET) -> str | None:
        array: Any = self
        path = f"/arrays/{array.npy_key}"
        if array.chunks is None:
            return await signed_link(info, path, expires_in, Kept(array.npy_key, BYTES, file_name(path)))
        return await signed_link(info, path, expires_in) if band_rows(array) else None

    @strawberry.field(
        description="Path of a Zarr 3 group with the array `data`, for libraries that open URLs; null unless the array "
        "is kept in chunks."
    )
    def zarr(self, info: ApiInfo) -> str | None:
        array: Any = self
        return None if array.chunks is None else f"{info.context.base_path}/arrays/{array.zarr_key}"

    @strawberry.field(
        description="The value of a `FileId` argument that passes it on to another task; null if it is kept in more "
        f"than {MAX_FILES} files."
    )
    def file_id(self) -> FileId | None:
        return FileId(file_id(self.sha256)) if self.sha256 else None


set_type_check(ArrayType, lambda value: type(value) is Array)
