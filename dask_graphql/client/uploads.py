"""Uploads: the files among the arguments of a submission are sent to the api, unless it has them already."""

from __future__ import annotations

import asyncio
import hashlib
import io
import mimetypes
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

from cluster.task_types.file import File, file_id
from dask_graphql.client.codec import Types
from dask_graphql.client.errors import BadArguments

CHUNK_BYTES: Final = 1 << 20

Content: TypeAlias = bytes | os.PathLike[str] | BinaryIO
"""Bytes, the path of a file, or a binary file, which is read from its current position to its end."""

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes that were sent and their number in all."""


@dataclass(frozen=True)
class Source:
    """What is uploaded.

    Attributes:
        file: open at `start`.
        name: its file name; may be empty.
        media_type: its Content-Type.
        sha256, size_bytes: of what is read from `start` on.
        opened: whether to close it.
    """

    file: BinaryIO
    start: int
    name: str
    media_type: str
    sha256: str
    size_bytes: int
    opened: bool

    @property
    def id(self) -> str:
        """The file's id, `sha256:` and 64 hex digits."""
        return file_id(self.sha256)

    async def chunks(self, on_progress: OnProgress | None) -> AsyncIterator[bytes]:
        """Yields its bytes from the start; it may be called again."""
        await asyncio.to_thread(self.file.seek, self.start)
        sent = 0
        while sent < self.size_bytes:
            chunk = await asyncio.to_thread(self.file.read, min(CHUNK_BYTES, self.size_bytes - sent))
            if not chunk:
                return  # it was cut off meanwhile: the api says so
            sent += len(chunk)
            yield chunk
            if on_progress is not None:
                on_progress(sent, self.size_bytes)

    def close(self) -> None:
        """Closes the file, if it was opened for the upload. Otherwise it is where it was, to be uploaded again."""
        if self.opened:
            self.file.close()
        else:
            self.file.seek(self.start)


def open_source(content: Content, name: str | None = None, media_type: str | None = None) -> Source:
    """Opens what is to be uploaded, and hashes it: a pass over the file, because the api is asked for it first.

    Raises:
        BadArguments: it is a text, cannot seek, or is not open for bytes.
        OSError: it cannot be read.
    """
    opened = isinstance(content, os.PathLike | bytes)
    if isinstance(content, bytes):
        file: BinaryIO = io.BytesIO(content)
    elif isinstance(content, os.PathLike):
        file = Path(content).open("rb")  # noqa: SIM115 - `close` does it
        name = Path(content).name if name is None else name
    else:
        file = content
        if not file.seekable():
            raise BadArguments("a file object must be able to seek: write it to a file first, and pass its Path")
        given = getattr(file, "name", "")
        name = os.path.basename(given) if name is None and isinstance(given, str) else name
    start, digest, size = file.tell(), hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        if isinstance(chunk, str):
            raise BadArguments("a file object must be open for bytes: open it with mode 'rb'")
        digest.update(chunk)
        size += len(chunk)
    guessed = media_type or mimetypes.guess_type(name or "")[0] or "application/octet-stream"
    return Source(file, start, name or "", guessed, digest.hexdigest(), size, opened)


def is_content(value: Any) -> bool:
    """Whether a value is something to upload. (A `File`, which is a path too on a worker, has been.)"""
    return not isinstance(value, File) and (isinstance(value, bytes | os.PathLike) or hasattr(value, "read"))


async def with_uploads(
    value: Any, graphql_type: str, types: Types, upload: Callable[[Content], Any], seen: dict[int, File]
) -> Any:
    """A value with `File`s in place of what it has to upload, in lists and dicts too, where the type has a file.

    Args:
        upload: uploads one, and returns its File.
        seen: what was uploaded already, by the identity of the value.
    """
    kind = graphql_type.rstrip("!")
    if kind.startswith("[") and isinstance(value, list | tuple):
        return [await with_uploads(item, kind[1:-1], types, upload, seen) for item in value]
    if kind == "FileId" and is_content(value):
        if id(value) not in seen:
            seen[id(value)] = await upload(value)
        return seen[id(value)]
    used = types.get(kind)
    if used is None or not isinstance(value, Mapping):
        return value
    kinds = {name: member.graphql_type for member in used.fields for name in (member.name, member.graphql_name)}
    return {
        name: await with_uploads(item, kinds[name], types, upload, seen) if name in kinds else item
        for name, item in value.items()
    }
