"""Stores a returned value as the `Array` that the task type declares: a short one as `.npy`, a long one or one of Dask
as Zarr, chunk by chunk."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from cluster.data.array_stats import BlockStats, block_stats, merged
from cluster.data.blob_stores import blob_store
from cluster.data.data_sink import DataSink
from cluster.data.libraries import numpy
from cluster.data.zarr_format import (
    DATA,
    MAX_CHUNK_BYTES,
    array_metadata,
    chunk_key,
    chunk_shape,
    encode_chunk,
    grid_of,
    group_metadata,
    indexes,
)
from cluster.store.blob_writer import Written
from cluster.task_types.array_types import Array, Coordinate, coordinate_key
from cluster.task_types.conversion import to_builtin
from cluster.task_types.result_checks import InvalidOutput

NPY_LIMIT_BYTES: Final = 64_000_000
"""The longest array that is kept as one `.npy` file."""
MAX_CHUNKS: Final = 50_000
"""Chunks of a Dask array."""
NAME: Final = re.compile(r"(?!__)[^/\0]{1,60}")
"""A coordinate's name that can be one of an array in a Zarr group; the others are only kept as `.npy`."""
ACCEPTED: Final = "return a numpy array, a Dask array, or an xarray DataArray"


def store_array(value: Any, path: str, sink: DataSink) -> Array:
    """Writes a returned value as an array.

    Raises:
        InvalidOutput: it is no array, or of a type that cannot be kept.
        BlobError: the blob store refuses or does not answer.
    """
    np = numpy()
    dims: list[str] = []
    attrs: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    name: str | None = None
    library = type(value).__module__.partition(".")[0]
    if library == "xarray":
        dims, attrs, coords, name, value = _parts_of(value)
    if isinstance(value, list | tuple | int | float):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise InvalidOutput(f"is no regular list of lists ({error}): {ACCEPTED}") from error
    lazy = is_chunked(value)
    if not lazy and not isinstance(value, np.ndarray | np.generic):
        value = _from_protocol(value)
    value = unmasked(value)
    _check_dtype(value.dtype)
    value = _plain(value)
    key = sink.key(path)
    kept = [_store_coordinate(number, it, coords[it], key, sink) for number, it in enumerate(coords)]
    common: dict[str, Any] = {"dims": dims, "attrs": attrs, "coords": kept, "name": name}
    if lazy:
        return _store_lazy(value, key, sink, common, coords)
    value = np.asarray(value)
    _check_texts(value)
    if value.nbytes <= NPY_LIMIT_BYTES:
        written = sink.write(f"{key}.npy", npy_bytes(value), "application/octet-stream")
        stats = merged([block_stats(value)])
        return Array(
            key, str(value.dtype), list(value.shape), written.size_bytes, stats=stats, sha256=written.sha256, **common
        )
    if value.dtype.kind == "U":
        raise InvalidOutput(f"is an array of texts of {value.nbytes} bytes: return a Table, which has no limit")
    chunks = chunk_shape(value.shape, value.dtype.itemsize)
    stats_of, size = [], 0
    for index in indexes(grid_of(value.shape, chunks)):
        block = value[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))]
        stats_of.append(block_stats(block))
        size += sink.write(f"{key}.zarr/{DATA}/{chunk_key(index)}", encode_chunk(block, chunks)).size_bytes
    return _finished(key, value.dtype, value.shape, chunks, size, stats_of, sink, common, coords)


def is_chunked(value: Any) -> bool:
    """Whether it is a Dask array."""
    # Of its class: a `delayed` value claims to have every attribute.
    return hasattr(value, "__dask_graph__") and hasattr(type(value), "rechunk")


def unmasked(value: Any) -> Any:
    """An array without a mask: masked floats are `NaN`.

    Raises:
        InvalidOutput: other values are masked.
    """
    np = numpy()
    if not isinstance(value, np.ma.MaskedArray):
        return value
    if not np.ma.is_masked(value):
        return value.data
    if value.dtype.kind not in "fc":
        raise InvalidOutput("is a masked array: fill in what is masked, .filled(...)")
    return value.filled(np.nan)


def _plain(value: Any) -> Any:
    """An array of numpy or Dask in the machine's byte order, and with times in whole units, which all readers know."""
    np = numpy()
    dtype = value.dtype.newbyteorder("=")
    if dtype.kind in "mM":
        unit, factor = np.datetime_data(dtype)
        dtype = dtype if factor == 1 else np.dtype(f"{dtype.kind}8[{unit}]")
    return value if dtype == value.dtype else value.astype(dtype)


def npy_bytes(value: Any) -> bytes:
    """The `.npy` file of a numpy array, in C order."""
    np = numpy()
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(value).reshape(value.shape), allow_pickle=False)
    return file.getvalue()


def _from_protocol(value: Any) -> Any:
    np = numpy()
    if not hasattr(value, "__array__") or hasattr(value, "columns"):
        hint = "; of a table: declare Table" if hasattr(value, "columns") else ""
        kind = type(value)
        raise InvalidOutput(f"is a {kind.__module__}.{kind.__qualname__}, which is no array: {ACCEPTED}{hint}")
    return np.asarray(value)


def _check_dtype(dtype: Any) -> None:
    np = numpy()
    advice = {
        "O": "convert it, .astype(float) or .astype(str)", "S": "decode it, numpy.char.decode",
        "V": "declare Table for a structured array", "T": "convert it, .astype(str)",
    }.get(dtype.kind)  # fmt: skip
    if dtype.char in "gG" and dtype.itemsize > np.dtype("D" if dtype.char == "G" else "d").itemsize:
        advice = "round it, .astype(float)"
    if advice:
        raise InvalidOutput(f"is an array of {dtype}: {advice}")


def _check_texts(values: Any) -> None:
    np = numpy()
    if values.dtype.kind == "U":
        points = np.frombuffer(np.ascontiguousarray(values).tobytes(), values.dtype.str[0] + "u4")
        if ((points >= 0xD800) & (points < 0xE000)).any():
            raise InvalidOutput(
                "has texts with lone surrogates, which are no Unicode: decode their bytes, or drop them"
            )


def _parts_of(value: Any) -> tuple[list[str], dict[str, Any], dict[str, Any], str | None, Any]:
    """The dimensions, attributes, coordinates, name and data of a DataArray."""
    if type(value).__name__ != "DataArray":
        raise InvalidOutput(
            f"is an xarray {type(value).__name__}: return one variable of it, or a dataclass with an Array for each"
        )
    coords = {}
    for name, coordinate in value.coords.items():
        if getattr(value.indexes.get(name), "nlevels", 1) > 1:
            raise InvalidOutput(f"has the coordinate {name!r} of several levels: call .reset_index({name!r})")
        coords[str(name)] = coordinate
    attrs = to_builtin(dict(value.attrs))
    try:
        attrs = json.loads(json.dumps(attrs, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidOutput(f"has attributes that JSON lacks ({error}): convert or drop them") from error
    return [str(it) for it in value.dims], attrs, coords, None if value.name is None else str(value.name), value.data


def _store_coordinate(number: int, name: str, coordinate: Any, key: str, sink: DataSink) -> Coordinate:
    values = coordinate_values(name, coordinate)
    written = sink.write(coordinate_key(key, number), npy_bytes(values))
    dims = [str(it) for it in coordinate.dims]
    return Coordinate(name, dims, str(values.dtype), list(values.shape), written.size_bytes)


def coordinate_values(name: str, coordinate: Any) -> Any:
    """The values of a coordinate as a numpy array that can be kept."""
    np = numpy()
    values = np.asarray(coordinate.values)
    if values.dtype.kind in "OT" and all(isinstance(it, str) for it in values.ravel()):
        values = values.astype(str)
    try:
        _check_dtype(values.dtype)
        values = _plain(values)
        _check_texts(values)
    except InvalidOutput as error:
        raise error.inside(f".coords[{name!r}]") from None
    if values.nbytes > NPY_LIMIT_BYTES:
        raise InvalidOutput(
            f"has {values.nbytes} bytes, but a coordinate at most {NPY_LIMIT_BYTES}", f".coords[{name!r}]"
        )
    return values


def _store_lazy(array: Any, key: str, sink: DataSink, common: dict[str, Any], coords: dict[str, Any]) -> Array:
    """Writes the chunks of a Dask array where they are computed."""
    import dask

    if any(math.isnan(size) for sizes in array.chunks for size in sizes):
        raise InvalidOutput("is a Dask array whose chunks have unknown sizes: call .compute_chunk_sizes()")
    chunks = [max(sizes, default=1) or 1 for sizes in array.chunks]
    regular = [[chunk] * (length // chunk) + [length % chunk] * (length % chunk > 0) for length, chunk in
               zip(array.shape, chunks, strict=True)]  # fmt: skip
    if [list(sizes) for sizes in array.chunks] != regular:
        array = array.rechunk(chunks)  # Zarr's chunks are all of one shape
    if math.prod(chunks) * array.dtype.itemsize > MAX_CHUNK_BYTES or array.dtype.kind == "U":
        chunks = chunk_shape(chunks, array.dtype.itemsize)
        array = array.rechunk(chunks)
    grid = grid_of(array.shape, chunks)
    if math.prod(grid) > MAX_CHUNKS:
        raise InvalidOutput(f"has {math.prod(grid)} chunks, but an array at most {MAX_CHUNKS}: .rechunk('auto')")
    sink.before_write()
    write = dask.delayed(write_chunk, pure=False, traverse=False)
    url = sink.blobs.url
    places = list(indexes(grid))
    keys = [f"{key}.zarr/{DATA}/{chunk_key(index)}" for index in places]
    shapes = [
        [min(chunk, length - i * chunk) for i, chunk, length in zip(index, chunks, array.shape, strict=True)]
        for index in places
    ]
    # An array without values has a block, but no chunk.
    blocks = array.to_delayed(optimize_graph=True).ravel().tolist() if keys else []
    parts = [
        write(block, name, chunks, url, array.dtype.str, shape)
        for block, name, shape in zip(blocks, keys, shapes, strict=True)
    ]
    stats: list[BlockStats | None] = [None] * len(parts)
    size = 0
    for number, (found, written) in sink.as_completed(parts):
        sink.note(keys[number], written)
        stats[number] = found
        size += written.size_bytes
    return _finished(key, array.dtype, array.shape, chunks, size, stats, sink, common, coords)


def write_chunk(
    block: Any, key: str, chunks: Sequence[int], blob_store_url: str, dtype: str, shape: Sequence[int]
) -> tuple[BlockStats | None, Written]:
    """Runs on a worker: writes one chunk; returns its statistics and what was written.

    Args:
        dtype, shape: what Dask says of the block; it is told, and does not look.

    Raises:
        InvalidOutput: the block is another one, or has masked values that are no floats.
    """
    np = numpy()
    declared = np.dtype(dtype)
    block = np.asarray(unmasked(block))
    if list(block.shape) != list(shape):
        raise InvalidOutput(
            f"is a Dask array with a block of the shape {list(block.shape)} that was declared as {list(shape)}: give "
            "map_blocks the right chunks="
        )
    if not np.can_cast(block.dtype, declared, "safe"):
        raise InvalidOutput(
            f"is a Dask array of {declared} with a block of {block.dtype}: give map_blocks the right dtype=, or "
            ".astype(...) its blocks"
        )
    block = block.astype(declared, copy=False)
    _check_texts(block)
    written = blob_store(blob_store_url).write(key, encode_chunk(block, chunks))
    return block_stats(block), written


def _finished(
    key: str, dtype: Any, shape: Sequence[int], chunks: Sequence[int], size: int, stats: Iterable[BlockStats | None],
    sink: DataSink, common: dict[str, Any], coords: dict[str, Any],
) -> Array:  # fmt: skip
    """Writes the metadata of a chunked array, and its coordinates as arrays of the same group."""
    dims = common["dims"]
    metadata = {DATA: array_metadata(shape, chunks, dtype, dims, common["attrs"])}
    for name, coordinate in coords.items():
        values = coordinate_values(name, coordinate)
        # Zarr 3 has no standard type for texts: they are in the `.npy` of the coordinate.
        if values.dtype.kind == "U" or not NAME.fullmatch(name) or name in (DATA, ".", "..", "zarr.json"):
            continue
        metadata[name] = array_metadata(values.shape, values.shape, values.dtype, [str(it) for it in coordinate.dims])
        sink.write(f"{key}.zarr/{name}/{chunk_key([0] * values.ndim)}", encode_chunk(values, values.shape))
    for name, content in metadata.items():
        sink.write(f"{key}.zarr/{name}/zarr.json", orjson.dumps(content))
    sink.write(f"{key}.zarr/zarr.json", group_metadata(metadata))
    array = Array(key, str(dtype), list(shape), size, stats=merged(stats), chunks=list(chunks), **common)
    return replace(array, sha256=sink.write_manifest(array))
