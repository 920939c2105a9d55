"""Reads parts of arrays on an api node: only the bytes or the chunks that a slice needs."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from cluster.data.blob_file import BlobFile
from cluster.data.json_cells import iso_duration, json_values
from cluster.data.libraries import numpy, pyarrow
from cluster.data.zarr_format import DATA, MAX_CHUNK_BYTES, chunk_key, decode_chunk
from cluster.errors import AnswerTooLarge, BadInput
from cluster.task_types.array_types import Array, Coordinate, coordinate_key

if TYPE_CHECKING:
    from cluster.store.blob_store import BlobStore  # which a client of the api need not have

MAX_VALUES: Final = 250_000
"""Values of one slice."""
MAX_READ_BYTES: Final = 256_000_000
"""Bytes of the chunks, decoded, that one slice touches."""
BAND_BYTES: Final = 8_000_000
"""Size of the pieces, decoded, in which a chunked array is sent as `.npy`."""


class ArrayReader:
    """Reads arrays from their files. All methods block.

    Args:
        max_read_bytes: maximum size of the chunks, decoded, that are read for one part; None for no limit.
    """

    def __init__(self, blobs: BlobStore, max_read_bytes: int | None = MAX_READ_BYTES) -> None:
        self._blobs = blobs
        self._max_read_bytes = max_read_bytes

    def part(self, array: Array, start: Sequence[int], stop: Sequence[int], step: Sequence[int]) -> Any:
        """The part of an array as nested lists in JSON form.

        Raises:
            BadInput: the slice does not fit the array's dimensions.
            AnswerTooLarge: it has more than MAX_VALUES values, or touches too much.
            BlobError: the array is gone, or the blob store does not answer.
        """
        slices = checked_slices(array.shape, start, stop, step)
        count = math.prod(len(range(*it.indices(length))) for it, length in zip(slices, array.shape, strict=True))
        if count > MAX_VALUES:
            raise AnswerTooLarge(
                f"the slice has {count} values, more than {MAX_VALUES}: ask for a smaller one, a larger step, or "
                "download the array",
                limit=MAX_VALUES,
            )
        return json_array(self.read(array, slices))

    def coordinate(self, array: Array, number: int, limit: int) -> Any:
        """The first values of a coordinate as nested lists in JSON form."""
        found = self.coordinate_values(array, number)
        return json_array(found[:limit] if found.ndim else found)

    def coordinate_values(self, array: Array, number: int) -> Any:
        """A coordinate as a numpy array."""
        coordinate = array.coords[number]
        return self._npy(coordinate_key(array.key, number), coordinate, [slice(None)] * len(coordinate.shape))

    def read(self, array: Array, slices: Sequence[slice]) -> Any:
        """The part of an array as a numpy array."""
        if array.chunks is None:
            return self._npy(array.npy_key, array, slices)
        np = numpy()
        dtype = np.dtype(array.dtype)
        ranges = [range(*it.indices(length)) for it, length in zip(slices, array.shape, strict=True)]
        found = np.zeros([len(it) for it in ranges], dtype)
        if not found.size:
            return found
        touched = [sorted({position // size for position in it}) for it, size in zip(ranges, array.chunks, strict=True)]
        chunk_bytes = math.prod(array.chunks) * dtype.itemsize
        limit = self._max_read_bytes
        if limit is not None and math.prod(map(len, touched)) * chunk_bytes > max(limit, chunk_bytes):
            raise AnswerTooLarge(
                f"the slice touches more than {limit} bytes of chunks: ask for a smaller one, or download the array",
                limit=limit,
            )
        for index in product(*touched):
            block = self.chunk(array, index)
            inside, outside = [], []
            for position, size, it in zip(index, array.chunks, ranges, strict=True):
                # Where the range is within the chunk.
                begin = max(0, -((it.start - position * size) // it.step))
                end = min(len(it), -((it.start - (position + 1) * size) // it.step))
                outside.append(slice(begin, end))
                inside.append(slice(it[begin] - position * size, it[end - 1] - position * size + 1, it.step))
            found[tuple(outside)] = block[tuple(inside)]
        return found

    def chunk(self, array: Array, index: Sequence[int]) -> Any:
        """One chunk, decoded."""
        assert array.chunks is not None
        key = f"{array.zarr_key}/{DATA}/{chunk_key(index)}"
        data = self._blobs.read_sync(key, 0, MAX_CHUNK_BYTES + MAX_CHUNK_BYTES // 8)
        return decode_chunk(data, array.chunks, numpy().dtype(array.dtype))

    def _npy(self, key: str, array: Array | Coordinate, slices: Sequence[slice]) -> Any:
        """A part of a `.npy` file, of which only the rows of the first dimension are read."""
        np = numpy()
        file: Any = BlobFile(self._blobs, key, array.size_bytes)
        version = np.lib.format.read_magic(file)
        shape, _, dtype = (
            np.lib.format.read_array_header_1_0(file)
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0(file)
        )
        if not shape:
            return np.frombuffer(file.read(dtype.itemsize), dtype).reshape(())
        rows = range(*slices[0].indices(shape[0]))
        if not len(rows):
            return np.zeros(
                (0, *(len(range(*it.indices(n))) for it, n in zip(slices[1:], shape[1:], strict=True))), dtype
            )
        first, last = rows[0], rows[-1] + 1
        row_bytes = math.prod(shape[1:]) * dtype.itemsize
        file.seek(file.tell() + first * row_bytes)
        part = np.frombuffer(file.read((last - first) * row_bytes), dtype).reshape((last - first, *shape[1:]))
        return part[(slice(None, None, rows.step), *slices[1:])]

    def npy_stream(self, array: Array) -> Iterator[bytes]:
        """A chunked array as one `.npy` file, in bands along its first dimension.

        Raises:
            AnswerTooLarge: a single row of it is too long for that, in the first piece.
        """
        np = numpy()
        assert array.chunks is not None
        band = band_rows(array)
        head = io.BytesIO()
        dtype = np.dtype(array.dtype).newbyteorder("<")
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(array.shape)}
        np.lib.format.write_array_header_1_0(head, header)
        yield head.getvalue()
        if not array.shape:
            yield np.ascontiguousarray(self.read(array, []), dtype).tobytes()
            return
        whole = [slice(None)] * (len(array.shape) - 1)
        for first in range(0, array.shape[0], band):
            part = self.read(array, [slice(first, min(array.shape[0], first + band)), *whole])
            yield np.ascontiguousarray(part, dtype).tobytes()


def band_rows(array: Array) -> int:
    """Rows of a chunked array that are sent at a time: whole chunks, of about BAND_BYTES. 0 if those of a single chunk
    are too long to be sent as `.npy`."""
    assert array.chunks is not None
    if not array.chunks:
        return 1
    row_bytes = math.prod(array.shape[1:]) * numpy().dtype(array.dtype).itemsize
    chunk = array.chunks[0]
    if chunk * row_bytes > MAX_READ_BYTES // 2:
        return 0
    return int(chunk * max(1, BAND_BYTES // max(1, chunk * row_bytes)))


def checked_slices(shape: Sequence[int], start: Sequence[int], stop: Sequence[int], step: Sequence[int]) -> list[slice]:
    """The slices of an array's dimensions, as Python's.

    Raises:
        BadInput: their number is not that of the dimensions, or a step is not positive.
    """
    for name, values in (("start", start), ("stop", stop), *((("step", step),) if step else ())):
        if len(values) != len(shape):
            raise BadInput(
                f"{name} has {len(values)} numbers, but the array has {len(shape)} dimensions: {list(shape)}",
                argument=name,
            )
    if any(it < 1 for it in step):
        raise BadInput(f"step must be 1 or more, not {min(step)}", argument="step")
    return [slice(*it) for it in zip(start, stop, step or [1] * len(shape), strict=True)]


def json_array(values: Any) -> Any:
    """A numpy array as nested lists, with values in the JSON form of tables; a complex one is `[real, imaginary]`."""
    np, pa = numpy(), pyarrow()
    if not values.size:
        return values.tolist()
    if values.dtype.kind == "c":
        return json_array(np.stack([values.real, values.imag], axis=-1))
    flat = np.ascontiguousarray(values).ravel()
    unit = np.datetime_data(flat.dtype)[0] if flat.dtype.kind in "mM" else None
    if flat.dtype.kind == "m" and unit in _SPANS:
        factor, scale = _SPANS[unit]
        missing, numbers = np.isnat(flat).tolist(), flat.view("i8").tolist()
        cells = [None if no else iso_duration(it * factor, scale) for no, it in zip(missing, numbers, strict=True)]
    elif unit is not None and unit not in ("D", "s", "ms", "us", "ns"):
        cells = [None if np.isnat(it) else str(it) for it in flat]
    elif flat.dtype.kind == "U":
        cells = flat.tolist()
    else:
        cells = json_values(pa.array(flat))
    return _nested(cells, list(values.shape))


_SPANS: Final = {
    "W": (604_800, 0), "D": (86_400, 0), "h": (3_600, 0), "m": (60, 0), "s": (1, 0),
    "ms": (1, 3), "us": (1, 6), "ns": (1, 9), "ps": (1, 12), "fs": (1, 15), "as": (1, 18),
}  # fmt: skip
"""Units of `timedelta64` that have a length: how many units of 10^-scale seconds, and the scale."""


def _nested(cells: list[Any], shape: list[int]) -> Any:
    if not shape:
        return cells[0]
    for length in reversed(shape[1:]):
        cells = [cells[at : at + length] for at in range(0, len(cells), length)]
    return cells
