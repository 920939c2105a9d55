"""Reads the arrays among the arguments of a task: a `.npy` file, or the chunks that a manifest lists."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

from cluster.data.array_reader import ArrayReader
from cluster.data.file_tables import manifest_of
from cluster.data.libraries import numpy
from cluster.data.manifest import Manifest
from cluster.errors import BadInput
from cluster.task_types.array_types import Array
from cluster.task_types.data_files import ArrayFile
from cluster.task_types.file import FileContent, content_of


class FileArray:
    """One array; its files are fetched when they are read."""

    def __init__(self, file: ArrayFile) -> None:
        # A copy, as the file refers to its reader: a cycle would keep both, and what they have open.
        self._file = copy(file)
        self._manifest = manifest_of(file)
        if self._manifest is not None and not isinstance(self._manifest.data, Array):
            raise BadInput(f"the file {file.id} is a table, not an array")

    @property
    def dtype(self) -> str:
        return str(self._npy.dtype) if self._array is None else self._array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._npy.shape if self._array is None else self._array.shape)

    def to_numpy(self) -> Any:
        if self._array is None:
            return numpy().array(self._npy)
        return self._reader.read(self._array, [slice(None)] * len(self._array.shape))

    def to_dask(self) -> Any:
        """A Dask array with the chunks of the files; of a `.npy` file, with Dask's usual ones."""
        import dask.array as da

        np = numpy()
        dtype = np.dtype(self.dtype)
        sizes: Any = "auto" if self._array is None else tuple(self._array.chunks or ())
        chunks = da.core.normalize_chunks(sizes, self.shape, dtype=dtype)
        if not self.shape:
            return da.from_array(self.to_numpy())
        meta = np.empty((0,) * len(self.shape), dtype)
        return da.map_blocks(_read_block, file=self._file, chunks=chunks, dtype=dtype, meta=meta)

    def to_xarray(self) -> Any:
        import xarray

        if self._array is None:
            return xarray.DataArray(self.to_numpy())
        array, reader = self._array, self._reader
        coords = {it.name: (it.dims, reader.coordinate_values(array, n)) for n, it in enumerate(array.coords)}
        return xarray.DataArray(self.to_dask(), coords, array.dims or None, array.name, array.attrs)

    def block(self, location: list[tuple[int, int]]) -> Any:
        """The part from the first index to the last one (exclusive) along each dimension."""
        slices = [slice(*it) for it in location]
        if self._array is None:
            return numpy().array(self._npy[tuple(slices)])
        return self._reader.read(self._array, slices)

    @property
    def _array(self) -> Array | None:
        """The description of an array in chunks. Its key is empty, so those of its blobs are the manifest's names."""
        return None if self._manifest is None else self._manifest.data  # type: ignore[return-value]

    @cached_property
    def _reader(self) -> ArrayReader:
        assert self._manifest is not None
        blobs: Any = _ManifestFiles(self._manifest, content_of(self._file))
        return ArrayReader(blobs, max_read_bytes=None)

    @cached_property
    def _npy(self) -> Any:
        """A `.npy` file, mapped into memory."""
        try:
            return numpy().load(self._file.path(), mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise BadInput(f"the file {self._file.id} is not an array of numpy: {error}") from error


class _ManifestFiles:
    """The files of a manifest with the reading half of a blob store's interface."""

    def __init__(self, manifest: Manifest, content: FileContent) -> None:
        self._manifest, self._content = manifest, content

    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        with self._manifest.file(key, self._content).open() as file:
            file.seek(offset)
            return file.read(length)


def _read_block(file: ArrayFile, block_info: Any = None) -> Any:
    """Runs on a worker: one chunk."""
    return FileArray(file).block(block_info[None]["array-location"])
