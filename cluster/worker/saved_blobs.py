"""`save_blob`: stores bytes of a running task, or of a part of its graph, in the blob store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO, Final, TypeAlias

from cluster.errors import BlobError, StoreUnavailable
from cluster.store.blob_store import CHUNK_BYTES, retry
from cluster.store.blob_writer import Written
from cluster.task_types.value_types import MEDIA_TYPE, Blob
from cluster.worker.task_context import RunningAttempt, attempt_or_part

MAX_BLOB_NAME_BYTES: Final = 200
"""Maximum length of a blob's name in UTF-8; file systems allow 255."""

Content: TypeAlias = bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO
"""Bytes, the path of a file, or a binary file, which is read from its current position to its end."""


def save_blob(name: str, data: Content, *, media_type: str = "application/octet-stream") -> Blob:
    """Stores bytes that are too large for a result, and returns the `Blob` to return in their place. Works in a task
    function and in the parts of its graph.

    Args:
        name: the file name of the download: letters, digits, '.', '-' and '_', not '.' first, at most 200 bytes in
            UTF-8. Each blob of an attempt (in a graph: of a part) needs its own name; saving the same bytes again
            returns the same blob.
        data: bytes, the `Path` of a file, or a binary file, which is read to its end. A file is never in memory as a
            whole.
        media_type: Content-Type of the download, such as `image/png` or `text/csv; charset=utf-8`.

    Raises:
        RuntimeError: no task is running in this thread.
        TypeError: `data` is a text, or a file that was opened for text.
        ValueError: the name or the media type is invalid, or this attempt has saved other bytes under the name.
        OSError: the file cannot be read.
        BlobError: the blob store refuses or does not respond.
    """
    attempt = attempt_or_part()
    _check_name(name)
    if not MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"a media type is ASCII text like 'text/csv; charset=utf-8', not {media_type[:100]!r}")
    source = _Source(data)
    key = f"{attempt.blob_prefix}/{name}"
    if name in attempt.saved:
        blob = _blob(key, source.hash(), media_type)
        if attempt.saved[name] == blob:
            return blob
        raise ValueError(
            f"this attempt has already saved other bytes as {name!r}, and both would have the same URL: give each blob "
            "its own name, by a number for example"
        )
    register(attempt)
    blob = _blob(key, source.write(attempt, key), media_type)
    attempt.saved[name] = blob
    return blob


def register(attempt: RunningAttempt) -> None:
    """Records in Redis that a task may have blobs, before the first one is written.

    Raises:
        BlobError: Redis does not answer.
    """
    if attempt.saved:
        return
    try:
        attempt.register_blobs()
    except StoreUnavailable as error:
        raise BlobError(f"the blobs of {attempt.task_id} cannot be registered for deletion: {error}") from error


def _blob(key: str, written: Written, media_type: str) -> Blob:
    return Blob(key, written.size_bytes, media_type, written.sha256)


def _check_name(name: str) -> None:
    if not name or not all(char.isalnum() or char in "._-" for char in name) or name.startswith("."):
        raise ValueError(f"a blob's name may have letters, digits, '-', '_' and, not first, '.'; this is {name!r}")
    if len(name.encode()) > MAX_BLOB_NAME_BYTES:
        raise ValueError(
            f"a blob's name has at most {MAX_BLOB_NAME_BYTES} bytes, not {len(name.encode())}: {name[:40]!r}..."
        )


class _Source:
    """What a task saves, read piece by piece, as often as needed if it can be read again."""

    def __init__(self, data: Content) -> None:
        if isinstance(data, str):
            raise TypeError("save_blob takes bytes, a Path or a binary file: encode a text, or write Path(...)")
        self._data = data
        self._start: int | None = None
        self._can_repeat = isinstance(data, bytes | bytearray | memoryview | os.PathLike)
        if not isinstance(data, bytes | bytearray | memoryview | os.PathLike) and data.seekable():
            self._start, self._can_repeat = data.tell(), True

    def hash(self) -> Written:
        digest, size = hashlib.sha256(), 0
        for chunk in self._chunks():
            digest.update(chunk)
            size += len(chunk)
        return Written(size, digest.hexdigest())

    def write(self, attempt: RunningAttempt, key: str) -> Written:
        def work() -> Written:
            return attempt.blobs.write_from(key, self._chunks())

        return retry(work, attempt.stop) if self._can_repeat else work()

    def _chunks(self) -> Iterator[bytes | memoryview]:
        if isinstance(self._data, bytes | bytearray | memoryview):
            yield memoryview(self._data).cast("B")
        elif isinstance(self._data, os.PathLike):
            with open(self._data, "rb") as file:
                yield from _pieces(file)
        else:
            if self._start is not None:
                self._data.seek(self._start)
            yield from _pieces(self._data)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        if isinstance(chunk, str):
            raise TypeError("save_blob reads binary files: open it with mode 'rb'")
        yield chunk
