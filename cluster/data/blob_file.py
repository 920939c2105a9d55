"""A blob as a file that can be read at any position, for readers of Parquet and Zarr."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.store.blob_store import BlobStore  # which a client of the api need not have


class BlobFile(io.RawIOBase):
    """A blob, opened for reading. Each read is one request to the blob store."""

    def __init__(self, blobs: BlobStore, key: str, size_bytes: int) -> None:
        super().__init__()
        self._blobs, self._key, self._size = blobs, key, size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        rest = max(0, self._size - self._position)
        length = rest if size is None or size < 0 else min(size, rest)
        found = self._blobs.read_sync(self._key, self._position, length) if length else b""
        self._position += len(found)
        return found
