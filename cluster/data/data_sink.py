"""Where a task's tables and arrays are written: the blobs of its attempt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import IO, Any, Final

from cluster.data.manifest import MAX_FILES, Manifest
from cluster.store.blob_store import CHUNK_BYTES, BlobStore, retry
from cluster.store.blob_writer import Written
from cluster.task_types.array_types import Array
from cluster.task_types.file import MANIFEST
from cluster.task_types.table_types import Table

MAX_NAME_LENGTH: Final = 60


@dataclass
class DataSink:
    """The blobs of one attempt.

    Attributes:
        prefix: first part of their names, `<task id>/<attempt>`, so that they are deleted with the task's other blobs.
        stop: set if the attempt was cancelled.
        files: all that was written, by name.
        as_completed: computes Dask collections on the workers and yields the index and the value of each.
        before_write: registers the task for the deletion of its blobs, before the first one.
        on_written: told of each blob: its name, what was written, and its media type if it is a file of its own.
    """

    blobs: BlobStore
    prefix: str
    as_completed: Callable[[Iterable[Any]], Iterator[tuple[int, Any]]]
    before_write: Callable[[], object] = lambda: None
    on_written: Callable[[str, Written, str | None], object] = lambda key, written, media_type: None
    stop: Event = field(default_factory=Event)
    files: dict[str, Written] = field(default_factory=dict)
    _keys: set[str] = field(default_factory=set)

    def key(self, path: str) -> str:
        """A name for the data at this place of the output, such as `.summary`: `<prefix>/data/summary`."""
        name = re.sub(r"[^A-Za-z0-9_]+", "-", path).strip("-")[:MAX_NAME_LENGTH] or "result"
        numbered = (name if number == 0 else f"{name}-{number}" for number in range(len(self._keys) + 1))
        made = next(name for name in numbered if name not in self._keys)
        self._keys.add(made)
        # No blob of `save_blob` has a `/` in its name.
        return f"{self.prefix}/data/{made}"

    def write_file(self, key: str, file: IO[bytes], media_type: str) -> Written:
        """Copies a local file into the blob store, as a file that other tasks can take.

        Raises:
            BlobError: the store refuses or does not answer.
        """
        self.before_write()
        return self.note(key, copy_file(self.blobs, key, file, self.stop), media_type)

    def write(self, key: str, data: bytes, media_type: str | None = None) -> Written:
        """Writes a blob.

        Args:
            media_type: if it is a file that other tasks can take.

        Raises:
            BlobError: the store refuses or does not answer.
        """
        self.before_write()
        return self.note(key, self.blobs.write_with_retries(key, data, self.stop), media_type)

    def note(self, key: str, written: Written, media_type: str | None = None) -> Written:
        """Notes a blob that was written, here or by a part of a graph."""
        self.files[key] = written
        self.on_written(key, written, media_type)
        return written

    def write_manifest(self, data: Table[Any] | Array) -> str | None:
        """Makes the files of a table or an array one file that other tasks can take, and returns its SHA-256; None if
        they are too many.

        Raises:
            BlobError: the store refuses or does not answer.
        """
        files = {name.removeprefix(data.key): it for name, it in self.files.items() if name.startswith(f"{data.key}.")}
        if len(files) > MAX_FILES:
            return None
        return self.write(data.key, Manifest(data, files).encode(), MANIFEST).sha256


def copy_file(blobs: BlobStore, key: str, file: IO[bytes], stop: Event) -> Written:
    """Copies a local file into the blob store, from its beginning if a try fails."""
    return retry(lambda: blobs.write_from(key, _chunks(file)), stop)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
