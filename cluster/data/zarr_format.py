"""The part of Zarr 3 that arrays are kept in: a regular grid of chunks, compressed by Zstandard, in a group with
consolidated metadata, which xarray and other libraries open (https://zarr-specs.readthedocs.io/en/latest/v3/core/)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Final

from cluster.data.libraries import numpy, pyarrow

DATA: Final = "data"
"""The array's name in its group, unless it has one."""
MAX_CHUNK_BYTES: Final = 128_000_000
"""Size of a chunk of a Dask array: readers decode a whole one."""
CHUNK_BYTES: Final = 8_000_000
"""Size of a chunk of an array that was in memory, before compression."""
_CODEC: Final = "zstd"


def array_metadata(
    shape: Sequence[int], chunks: Sequence[int], dtype: Any, dims: Sequence[str], attrs: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The content of an array's `zarr.json`."""
    made: dict[str, Any] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": _data_type(dtype),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [max(1, size) for size in chunks]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _fill_value(dtype),
        "codecs": [
            {"name": "bytes", **({"configuration": {"endian": "little"}} if dtype.itemsize > 1 else {})},
            {"name": _CODEC, "configuration": {"level": 1, "checksum": False}},
        ],
        "attributes": attrs or {},
        "storage_transformers": [],
    }
    return made | ({"dimension_names": list(dims)} if dims else {})


def group_metadata(arrays: dict[str, dict[str, Any]]) -> bytes:
    """The content of a group's `zarr.json`, with the metadata of its arrays."""
    consolidated = {"kind": "inline", "must_understand": False, "metadata": arrays}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {}, "consolidated_metadata": consolidated}
    return json.dumps(group, allow_nan=False).encode()


def _data_type(dtype: Any) -> Any:
    if dtype.kind in "mM":
        unit, factor = numpy().datetime_data(dtype)
        name = "numpy.datetime64" if dtype.kind == "M" else "numpy.timedelta64"
        return {"name": name, "configuration": {"unit": unit, "scale_factor": factor}}
    return dtype.name


def _fill_value(dtype: Any) -> Any:
    return {"b": False, "f": 0.0, "c": [0.0, 0.0], "m": "NaT", "M": "NaT"}.get(dtype.kind, 0)


def encode_chunk(block: Any, chunks: Sequence[int]) -> bytes:
    """The bytes of a chunk. One at the edge of the array is filled up to the shape of the others."""
    np, pa = numpy(), pyarrow()
    if tuple(block.shape) != tuple(chunks):
        whole = np.zeros(chunks, block.dtype)
        whole[tuple(map(slice, block.shape))] = block
        block = whole
    plain = np.ascontiguousarray(block, block.dtype.newbyteorder("<"))
    # pyarrow takes neither empty buffers of numpy nor datetimes.
    return pa.Codec(_CODEC, compression_level=1).compress(plain.tobytes(), asbytes=True)  # type: ignore[no-any-return]


def decode_chunk(data: bytes, chunks: Sequence[int], dtype: Any) -> Any:
    """The chunk with these bytes, as a read-only numpy array."""
    np, pa = numpy(), pyarrow()
    size = math.prod(chunks) * dtype.itemsize
    plain = pa.decompress(data, decompressed_size=size, codec=_CODEC, asbytes=True)
    return np.frombuffer(plain, dtype.newbyteorder("<")).reshape(tuple(chunks))


def chunk_key(index: Sequence[int]) -> str:
    """The name of a chunk within its array: `c/0/1`."""
    return "/".join(["c", *map(str, index)])


def grid_of(shape: Sequence[int], chunks: Sequence[int]) -> list[int]:
    """The number of chunks along each dimension."""
    return [math.ceil(length / size) if size else 0 for length, size in zip(shape, chunks, strict=True)]


def indexes(grid: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The indexes of all chunks of a grid, in C order."""
    return product(*map(range, grid))


def chunk_shape(shape: Sequence[int], itemsize: int) -> list[int]:
    """The shape of chunks of about CHUNK_BYTES: the longest dimensions are halved first."""
    chunks = [max(1, length) for length in shape]
    while math.prod(chunks) * itemsize > CHUNK_BYTES and max(chunks) > 1:
        longest = chunks.index(max(chunks))
        chunks[longest] = math.ceil(chunks[longest] / 2)
    return chunks
