"""Writing a blob piece by piece: it is hashed on the way, and exists only once it is complete."""

from __future__ import annotations

import hashlib
import io
from abc import abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        size_bytes: its length.
        sha256: its hash, 64 lower-case hex digits.
    """

    size_bytes: int
    sha256: str


class BlobWriter(io.RawIOBase):
    """A binary file, open for writing, that becomes a blob: at the end of its `with` block, or by `commit`.

    If the block raises, or after `discard`, there is no blob. Libraries that write to file objects can use it; it
    cannot seek. Closing it does not make the blob.

    Raises, in every method:
        BlobError: the store refuses or does not answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self._hash = hashlib.sha256()
        self._size = 0

    @property
    def written(self) -> Written:
        """What was written so far."""
        return Written(self._size, self._hash.hexdigest())

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        """Writes all of `data`, of any size, and returns its length."""
        view = memoryview(data).cast("B")
        self._write(view)
        self._hash.update(view)
        self._size += len(view)
        return len(view)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()

    @abstractmethod
    def _write(self, data: memoryview) -> None:
        """Writes the next bytes."""

    @abstractmethod
    def commit(self) -> None:
        """Makes the blob, which replaces one of the same name. If that fails, there is none, and nothing is left."""

    @abstractmethod
    def discard(self) -> None:
        """Gives up what was written. Raises nothing."""
