"""Arrays: what is kept, in which format, and what is read of it."""

from __future__ import annotations

import io
import uuid
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import cluster.data.array_output
from cluster.data.array_output import store_array
from cluster.data.array_reader import ArrayReader, json_array
from cluster.data.data_sink import DataSink
from cluster.errors import AnswerTooLarge, BadInput
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.task_types.array_types import Array, ArrayStats
from cluster.task_types.result_checks import InvalidOutput
from cluster.worker.graph_tasks import as_completed


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FolderBlobStore:
    return FolderBlobStore(tmp_path_factory.mktemp("blobs"))


def stored(blobs: FolderBlobStore, value: Any) -> Array:
    return store_array(value, "", DataSink(blobs, f"{uuid.uuid4().hex}/1", as_completed))


def opened(blobs: FolderBlobStore, array: Array) -> Any:
    return zarr.open_group(blobs.folder / array.zarr_key, mode="r")["data"][...]


@pytest.fixture(scope="module")
def grids(blobs: FolderBlobStore) -> list[Array]:
    """The same numbers as one file, and as chunks that do not divide them."""
    numbers = np.arange(60).reshape(12, 5)
    return [stored(blobs, numbers), stored(blobs, da.from_array(numbers, chunks=(5, 2)))]


@given(st.data())
def test_a_slice_has_the_values_that_numpy_gives(
    blobs: FolderBlobStore, grids: list[Array], data: st.DataObject
) -> None:
    numbers = st.integers(-14, 14)
    start, stop = (data.draw(st.tuples(numbers, numbers)) for _ in range(2))
    step = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    expected = np.arange(60).reshape(12, 5)[tuple(slice(*it) for it in zip(start, stop, step, strict=True))]
    for array in grids:
        found = ArrayReader(blobs).read(array, [slice(*it) for it in zip(start, stop, step, strict=True)])
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "complex128", "M8[ns]", "m8[s]"])
def test_what_is_kept_as_zarr_is_opened_by_zarr_python(blobs: FolderBlobStore, dtype: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(cluster.data.array_output, "NPY_LIMIT_BYTES", 0)
    values = np.arange(30).reshape(5, 6).astype(dtype)
    array = stored(blobs, values)
    np.testing.assert_array_equal(opened(blobs, array), values)
    npy = b"".join(ArrayReader(blobs).npy_stream(array))
    np.testing.assert_array_equal(np.load(io.BytesIO(npy)), values)


def test_irregular_chunks_of_dask_become_regular(blobs: FolderBlobStore) -> None:
    values = np.random.default_rng(0).random((20, 7))
    array = stored(blobs, da.from_array(values, chunks=((3, 11, 6), (7,))))
    assert array.chunks == [11, 7]
    np.testing.assert_array_equal(opened(blobs, array), values)


def test_a_data_array_keeps_its_dimensions_attributes_and_coordinates(blobs: FolderBlobStore) -> None:
    field = xr.DataArray(
        da.from_array(np.random.default_rng(0).random((4, 6)), chunks=(2, 6)),
        dims=("time", "x"),
        coords={"time": pd.date_range("2020", periods=4), "x": np.arange(6.0), "name": ("x", list("abcdef"))},
        attrs={"units": "K", "level": np.float32(2)},
        name="t2m",
    )
    array = stored(blobs, field)
    assert (array.dims, array.attrs, array.name) == (["time", "x"], {"units": "K", "level": 2.0}, "t2m")
    assert [it.name for it in array.coords] == ["time", "x", "name"]
    reader = ArrayReader(blobs)
    assert reader.coordinate(array, 0, 2) == ["2020-01-01T00:00:00.000000", "2020-01-02T00:00:00.000000"]
    assert reader.coordinate(array, 2, 9) == list("abcdef")
    read = xr.open_zarr(blobs.folder / array.zarr_key)["data"]
    xr.testing.assert_equal(read.load(), field.drop_vars("name").load())


def test_statistics_of_chunks_are_those_of_the_whole(blobs: FolderBlobStore) -> None:
    values = np.random.default_rng(1).normal(1e9, 1, (50, 40))
    values[3, 4] = np.nan
    there = values[~np.isnan(values)]
    for array in (stored(blobs, values), stored(blobs, da.from_array(values, chunks=(7, 9)))):
        stats = array.stats
        assert stats is not None
        assert (stats.missing, stats.min, stats.max) == (1, there.min(), there.max())
        assert stats.mean == pytest.approx(there.mean(), rel=1e-15)
        assert stats.std == pytest.approx(there.std(), rel=1e-6)
    assert stored(blobs, np.full(3, np.nan)).stats == ArrayStats(3, None, None, None, None)
    assert stored(blobs, np.array(["a", "b"])).stats is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: pd.DataFrame({"a": [1]}), "or an xarray DataArray; of a table: declare Table"),
        (lambda: {"a": 1}, "is a builtins.dict, which is no array"),
        (lambda: np.array([1, "x"], dtype=object), "is an array of object: convert it, .astype(float) or .astype(str)"),
        (lambda: np.zeros(2, dtype=[("a", "i4")]), "declare Table for a structured array"),
        (lambda: np.ma.array([1, 2], mask=[True, False]), "is a masked array: fill in what is masked"),
        (lambda: xr.Dataset({"a": ("x", [1])}), "is an xarray Dataset: return one variable of it, or a dataclass"),
        (lambda: xr.DataArray([1], attrs={"f": print}), "has attributes that JSON lacks"),
        (lambda: (lambda x: x[x > 2])(da.arange(9, chunks=3)), "call .compute_chunk_sizes()"),
        (lambda: [[1, 2], [3]], "is no regular list of lists"),
        (lambda: np.array(["\udc80"]), "has texts with lone surrogates"),
        (lambda: da.map_blocks(lambda b: b[:1], da.ones(4, chunks=2), dtype="f8"), "give map_blocks the right chunks="),
        (lambda: da.map_blocks(lambda b: b + 0.5, da.ones(4, chunks=2, dtype="i8"), dtype="i8"),
         "is a Dask array of int64 with a block of float64: give map_blocks the right dtype="),
        (lambda: da.ma.masked_greater(da.arange(4, chunks=2), 2), "is a masked array: fill in what is masked"),
    ],
)  # fmt: skip
def test_what_is_no_array_is_refused_with_what_to_do(blobs: FolderBlobStore, value: Any, expected: str) -> None:
    with pytest.raises(InvalidOutput) as refused:
        stored(blobs, value())
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6, dtype=">i4").reshape(2, 3), np.array([1.5, np.nan], ">f8"), np.array(["2026-01-01"], ">M8[s]"),
        np.array([1, 2], "M8[25s]"), np.array([[1]], "m8[2h]"), np.array(5), np.zeros((0, 3)),
        np.arange(128).reshape([2] * 7),
    ],
)  # fmt: skip
def test_arrays_of_any_byte_order_unit_and_shape_are_read_as_they_were(blobs: FolderBlobStore, values: Any) -> None:
    whole = [slice(None)] * values.ndim
    for made in (values, da.from_array(values, chunks=2)):
        array = stored(blobs, made)
        found = ArrayReader(blobs).read(array, whole)
        np.testing.assert_array_equal(found, values)
        assert found.dtype.isnative
        json_array(found)
        if array.chunks is not None:
            npy = np.load(io.BytesIO(b"".join(ArrayReader(blobs).npy_stream(array))))
            np.testing.assert_array_equal(npy, values)


def test_masked_floats_of_a_dask_array_are_missing(blobs: FolderBlobStore) -> None:
    array = stored(blobs, da.ma.masked_greater(da.arange(4.0, chunks=2), 1))
    np.testing.assert_array_equal(ArrayReader(blobs).read(array, [slice(None)]), [0, 1, np.nan, np.nan])
    assert array.stats is not None
    assert array.stats.missing == 2


def test_blocks_of_dask_have_the_declared_type_and_sizes(blobs: FolderBlobStore) -> None:
    narrow = da.map_blocks(lambda b: b.astype("f4"), da.ones(4, chunks=2), dtype="f8")
    np.testing.assert_array_equal(ArrayReader(blobs).read(stored(blobs, narrow), [slice(None)]), np.ones(4))
    for sizes in ((4, 0), (0, 4), (1, 0, 3), (0, 0)):
        values = da.from_array(np.arange(sum(sizes)), chunks=(sizes,))
        np.testing.assert_array_equal(
            ArrayReader(blobs).read(stored(blobs, values), [slice(None)]), np.arange(sum(sizes))
        )


def test_a_coordinate_whose_name_cannot_be_a_file_is_kept_beside_the_zarr_group(blobs: FolderBlobStore) -> None:
    names = ("..", ".", "", "zarr.json", "../../x", "__x", "x" * 300, "data", "fine")
    array = stored(blobs, xr.DataArray(da.ones(2, chunks=1), dims="x", coords={name: ("x", [3, 4]) for name in names}))
    for number, _ in enumerate(names):
        assert ArrayReader(blobs).coordinate(array, number, 5) == [3, 4]
    group = xr.open_zarr(blobs.folder / array.zarr_key)
    assert set(group.variables) == {"data", "fine"}


def test_a_slice_that_does_not_fit_is_refused(blobs: FolderBlobStore, grids: list[Array]) -> None:
    reader = ArrayReader(blobs)
    with pytest.raises(BadInput, match=r"start has 1 numbers, but the array has 2 dimensions: \[12, 5\]"):
        reader.part(grids[0], [0], [1, 1], [])
    with pytest.raises(BadInput, match="step must be 1 or more, not 0"):
        reader.part(grids[0], [0, 0], [1, 1], [0, 1])
    large = replace(grids[0], shape=[10_000, 10_000])
    with pytest.raises(AnswerTooLarge, match="the slice has 100000000 values, more than 250000"):
        reader.part(large, [0, 0], [10_000, 10_000], [])


def test_every_kind_of_value_has_a_json_form() -> None:
    assert json_array(np.array([[1.5, np.nan], [np.inf, 0]])) == [[1.5, "NaN"], ["Infinity", 0.0]]
    assert json_array(np.array([1 + 2j])) == [[1.0, 2.0]]
    assert json_array(np.array([2**60, 1])) == [str(2**60), 1]
    assert json_array(np.array(["2020-01", "NaT"], "M8[M]")) == ["2020-01", None]
    assert json_array(np.array(["2020-01-01", "NaT"], "M8[D]")) == ["2020-01-01", None]
    assert json_array(np.array([90, "NaT"], "m8[m]")) == ["PT5400S", None]
    assert json_array(np.array([-1, 1500], "m8[ps]")) == ["-PT0.000000000001S", "PT0.0000000015S"]
    assert json_array(np.array([True, False])) == [True, False]
    assert json_array(np.zeros((2, 0, 3))) == [[], []]
    assert json_array(np.array(1.5)) == 1.5
